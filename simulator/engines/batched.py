"""The batched engine: the kernel trains many clients at once, and the coordinator's aggregation adds them up."""

import math
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Self

import numpy as np
import torch

from client_sdk.kernel.training import CohortTraining, Task
from client_sdk.protocol import defences
from client_sdk.protocol.values import Report
from coordinator.aggregation import aggregators
from coordinator.aggregation.aggregators import Aggregator, Mean
from coordinator.aggregation.optimizers import server_step
from coordinator.aggregation.secure_sum import SecureSum
from fedau2.v1.task_pb2 import CHECKPOINT_ENCODING_UNSPECIFIED, CheckpointEncoding, TaskManifest
from fedau2.v1.tensors_pb2 import TENSOR_KIND_DENSE
from fedau2.wire import encodings, manifest
from fedau2.wire.blobs import Tensors
from fedau2.wire.contributions import Rows, Update, encode
from fedau2.wire.secure import packing
from fedau2.wire.secure.layout import Layout
from fedau2.wire.secure.quantise import vector
from simulator.engines import on_sums
from simulator.engines.engine import RoundReport, Traffic, require_any_cohort
from simulator.engines.kernels import KernelName, choose
from simulator.population.population import Members, Population
from simulator.unlearning.baselines import Noise

CHUNK = 96
"""Most clients in a call of the kernel."""

NUMBERS = 5 * 2**17
"""Most private numbers in a call with several clients, so that a step's data fits the processor's cache."""

COPIES = 2**25
"""Most numbers of copied dense tensors in a call. With several local steps each client has copies of them.

The size of a chunk depends on the task alone and not on the number of workers: the same chunks give the same bytes.

Sometimes each contribution is needed by itself, for the aggregator or for a defence. Then a call has one client, as on
a device: several clients in a call would be padded to the longest history, which costs more than more calls.
"""

_SAMPLED = 100
"""Most clients whose contributions are encoded to measure the traffic."""


class BatchedEngine:
    """Trains a whole cohort at once; a `RoundEngine`.

    Where the manifest has a policy of secure sums, contributions are rounded and added up as that says, without masks,
    and the sum gets the noise that an unmasker would add.

    Args:
        task: checked manifest.
        checkpoint: initial shared tensors.
        population: the clients; training changes their state.
        workers: number of threads; each computes a chunk at a time.
        noise: noise that clients add to their training; none by default.
        encoding: the encoding in which clients get checkpoints. The server's step is on exact ones.
        kernel: name of the kernel that trains, see `kernels.choose`.

    Attributes:
        checkpoint: the newest one, as clients get it.

    Raises:
        ConfigError: the plan keeps a client's contributions several rounds apart, or the kernel cannot be used.
    """

    def __init__(
        self,
        task: TaskManifest,
        checkpoint: Tensors,
        population: Population,
        workers: int = 1,
        noise: Noise | None = None,
        encoding: CheckpointEncoding.ValueType = CHECKPOINT_ENCODING_UNSPECIFIED,
        kernel: KernelName = "auto",
    ) -> None:
        require_any_cohort(task.plan)
        self._kernel = choose(kernel, task)
        self._noise = noise or Noise(0)
        self._manifest, self._population, self._workers = task, population, workers
        self._layout = Layout.of(task) if task.HasField("secure_sums") else None
        self._encoding = encoding
        self._publish(checkpoint)
        self._server_state: Tensors = {}
        self._round = 0
        numbers = sum(math.prod(spec.shape) for spec in manifest.private(task))
        self._chunk = CHUNK if self._kernel.operations.in_place else min(CHUNK, max(1, NUMBERS // max(1, numbers)))
        if task.plan.local.steps > 1:
            dense = [spec for spec in manifest.shared(task).values() if spec.kind == TENSOR_KIND_DENSE]
            copied = sum(math.prod(spec.shape) for spec in dense)
            self._chunk = min(self._chunk, max(1, COPIES // max(1, copied)))

    def train_round(self, members: Members) -> RoundReport:
        """Trains a cohort and takes the server's step."""
        total, report = self.collect(members)
        given = self._manifest, self._exact, self._server_state
        stepped, self._server_state = server_step(*given, total.mean(), total.variances(), len(members))
        self._publish(stepped)
        self._round += 1
        return report

    def _publish(self, checkpoint: Tensors) -> None:
        self._exact = self.checkpoint = checkpoint
        if self._encoding != CHECKPOINT_ENCODING_UNSPECIFIED:
            self.checkpoint = encodings.decode(encodings.encode(checkpoint, self._encoding))

    def collect(self, members: Members) -> tuple[Aggregator | SecureSum, RoundReport]:
        """Trains a cohort and adds up its contributions, without the server's step."""
        task = Task.load(self._manifest, self.checkpoint)
        members = members[members.argsort()]
        total = self._total()
        summed = isinstance(total, Mean) and not defences.active(self._manifest.plan)
        size = self._chunk if summed else 1
        chunks = [members[start : start + size] for start in range(0, len(members), size)]
        reports = []
        with _single_threaded(), ThreadPoolExecutor(self._workers) as pool:
            for arguments, report in pool.map(lambda chunk: self._train(task, chunk, summed), chunks):
                total.add(*arguments)
                reports.append(report)
        self._noise.disturb(self._population, members, self._round)
        if self._layout and isinstance(total, SecureSum) and self._manifest.secure_sums.noise_multiplier:
            on_sums.open_noisy(total, self._layout, self._manifest.secure_sums, self._noise.seed, self._round)
        return total, RoundReport.join(members, reports)

    def _total(self) -> Aggregator | SecureSum:
        if self._layout:
            return SecureSum(self._manifest)
        return self._noise.noisy(aggregators.of(self._manifest, self._kernel.fold()), self._round)

    def _train(self, task: Task, members: Members, summed: bool) -> tuple[tuple[Any, ...], Report]:
        """Trains some clients; returns the arguments of the aggregator's `add`, and the report.

        Nothing else is returned, so that the memory of private state is freed after each chunk.
        """
        population = self._population
        operations = self._kernel.operations
        cohort = population.cohort(self._manifest, self._round, members, operations)
        training = CohortTraining(task, self._round, cohort, summed=summed, operations=operations).run()
        population.keep(members, training)
        if summed:
            return training.summed(), training.report()
        contributions = zip(members, training.contributions(), strict=True)
        defended = (defences.defend(self._manifest, sent, population.keys[m], self._round) for m, sent in contributions)
        if self._layout:
            policy, layout = self._manifest.secure_sums, self._layout
            return tuple(vector(sent, policy, layout) for sent in defended), training.report()
        return tuple(defended), training.report()

    @property
    def resumable(self) -> Self:
        """The engine itself."""
        return self

    def snapshot(self) -> dict[str, Tensors]:
        """Returns the exact checkpoint and the state of the server's optimizer."""
        return {"checkpoint": self._exact, "server": self._server_state}

    def restore(self, snapshot: Mapping[str, Tensors], rounds: int) -> None:
        """Resumes from a snapshot that was taken after this many rounds."""
        self._server_state = dict(snapshot["server"])
        self._publish(dict(snapshot["checkpoint"]))
        self._round = rounds

    def traffic(self, contributions: int) -> Traffic:
        """Returns the bytes of a contribution, although this engine sends none: those of some clients are encoded.

        A client downloads the checkpoint once.
        """
        return Traffic(self._uploaded(), float(len(encodings.encode(self._exact, self._encoding))))

    def _uploaded(self) -> float:
        if self._layout:
            return float(packing.size(self._layout.size, self._manifest.secure_sums.modulus_bits))
        task = Task.load(self._manifest, self.checkpoint)
        clients = range(min(_SAMPLED, len(self._population)))
        return float(np.mean([len(encode(self._contribution(task, client))) for client in clients]))

    def _contribution(self, task: Task, client: int) -> dict[str, Update]:
        """Computes one contribution at a time, since it may be as large as the model. Noise fills every row."""
        return {
            name: np.zeros(task.shared[name].shape, np.float32)
            if name in self._noise.shared and isinstance(update, Rows)
            else update
            for name, update in self._population.contribution(task, 0, client).items()
        }


@contextmanager
def _single_threaded() -> Iterator[None]:
    # Threads work on different clients and not inside an operator: this is faster for small matrices, and the bytes are
    # the same for any number of workers.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
