"""The batched engine: the kernel trains many clients at once, and the coordinator's aggregation adds them up."""

import math
from collections.abc import Mapping
from typing import Self

import numpy as np
import torch

from client_sdk.kernel.training import CPU, Task
from client_sdk.protocol.contributing import nothing
from coordinator.aggregation import clip
from coordinator.aggregation.optimizers import server_step
from coordinator.aggregation.secure_sum import SecureSum
from fedau2.v1.task_pb2 import CHECKPOINT_ENCODING_UNSPECIFIED, CheckpointEncoding, TaskManifest
from fedau2.v1.tensors_pb2 import TENSOR_KIND_DENSE
from fedau2.wire import encodings, manifest
from fedau2.wire.blobs import Tensors
from fedau2.wire.contributions import Rows, Update, encode
from fedau2.wire.secure import packing
from simulator.engines import on_sums
from simulator.engines.chunks import Job, Round, Sums
from simulator.engines.engine import RoundReport, Traffic, require_any_cohort, require_own_rounds
from simulator.engines.executors.contract import Start
from simulator.engines.executors.threads import Threads
from simulator.engines.kernels import KernelName
from simulator.memory import keep_freed
from simulator.population.population import Members, Population
from simulator.unlearning.baselines import Noise
from simulator.unlearning.renewal import Renewal

CHUNK = 96
"""Most clients in a call of the kernel; a few more where chunks are cut by interactions."""

LEAST = 48
"""Clients above which a cohort is cut into an even number of chunks, so that two workers share it."""

NUMBERS = 5 * 2**17
"""Most private numbers in a call with several clients, so that a step's data fits the processor's cache."""

COPIES = 2**25
"""Most numbers of copied dense tensors in a call. With several local steps each client has copies of them.

The size of a chunk depends on the task, the cohort and its interactions alone, not on the number of workers: the same
chunks give the same bytes.

Sometimes each contribution is needed by itself, for the aggregator or for a defence. Then a call has one client, as on
a device: several clients in a call would be padded to the longest history, which costs more than more calls.
"""

TOGETHER = 16
"""Most clients in a call of the native kernel whose contributions become integers together.

PyTorch trains one in a call: with others a client would get other bytes than a device does, and sums of integers are to
be those of devices.
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
        workers: number of the executor's workers; each computes a chunk at a time.
        noise: noise that clients add to their training; none by default.
        encoding: the encoding in which clients get checkpoints. The server's step is on exact ones.
        kernel: name of the kernel that trains, see `kernels.choose`.
        start: starts the executor; threads by default.
        renewal: an erasure from private state that is made again every few rounds; none by default.
        device: where the kernel trains; all else is on the CPU.

    Attributes:
        checkpoint: the newest one, as clients get it.

    Raises:
        ConfigError: the plan keeps a client's contributions several rounds apart or has buffered rounds, or the kernel
            cannot be used.
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
        start: Start = Threads,
        renewal: Renewal | None = None,
        device: torch.device = CPU,
    ) -> None:
        require_any_cohort(task.plan)
        require_own_rounds(task.plan)
        keep_freed()
        self._job = Job(task, kernel, device)
        self._executor = start(self._job, population, workers)
        self._noise, self._renewal = noise or Noise(0), renewal
        self._manifest, self._population, self._layout = task, population, self._job.layout
        self._encoding = encoding
        self._publish(checkpoint)
        self._server_state: Tensors = {}
        self._round = 0
        numbers = sum(math.prod(spec.shape) for spec in manifest.private(task))
        self._chunk = CHUNK if self._job.kernel.operations.in_place else min(CHUNK, max(1, NUMBERS // max(1, numbers)))
        # A client with a vector of its own works on each sample. One whose private numbers are of all items, or that is
        # read as a whole, mostly works on the catalogue.
        self._by_interactions = 0 < numbers < task.items and task.plan.local.steps == 1
        self._summed = self._job.summed(self._job.sums(Round(0, checkpoint, self._noise)))
        if task.plan.local.steps > 1:
            dense = [spec for spec in manifest.shared(task).values() if spec.kind == TENSOR_KIND_DENSE]
            copied = sum(math.prod(spec.shape) for spec in dense)
            self._chunk = min(self._chunk, max(1, COPIES // max(1, copied)))

    def train_round(self, members: Members) -> RoundReport:
        """Trains a cohort and takes the server's step. An erasure that is due is made after that."""
        total, report = self.collect(members)
        given = self._manifest, self._exact, self._server_state
        sums = total.mean(), total.variances(), len(members)
        stepped, self._server_state = server_step(*given, *sums, self._round)
        self._server_state |= total.remembered()
        self._round += 1
        if self._renewal and self._renewal.due(self._round):
            self._renewal.renew(self._population, self._round)
            self._executor.changed(np.arange(len(self._population)))
        self._publish(stepped)
        return report

    def _publish(self, checkpoint: Tensors) -> None:
        self._exact = self.checkpoint = checkpoint
        if self._encoding != CHECKPOINT_ENCODING_UNSPECIFIED:
            self.checkpoint = encodings.decode(self._encoded(checkpoint))

    def _encoded(self, checkpoint: Tensors) -> bytes:
        return encodings.encode(checkpoint, self._encoding, encodings.exact(self._manifest))

    def collect(self, members: Members) -> tuple[Sums, RoundReport]:
        """Trains a cohort and adds up its contributions, without the server's step."""
        members = members[members.argsort()]
        now = Round(self._round, self.checkpoint, self._noise, clip.kept(self._server_state))
        total, reports = self._executor.train(now, self._chunks(members))
        self._noise.disturb(self._population, members, self._round)
        if self._noise.private:
            self._executor.changed(members)
        if self._layout and isinstance(total, SecureSum) and self._manifest.secure_sums.noise_multiplier:
            on_sums.open_noisy(total, self._layout, self._manifest.secure_sums, self._noise.seed, self._round)
        return total, RoundReport.join(members, reports)

    def _chunks(self, members: Members) -> list[Members]:
        """Cuts a cohort into chunks of about the same work."""
        if not self._summed:
            size = TOGETHER if self._job.factored and self._job.kernel.operations.in_place else 1
            return [members[start : start + size] for start in range(0, len(members), size)]
        chunks = math.ceil(len(members) / min(self._chunk, max(LEAST, math.ceil(len(members) / 2))))
        chunks += chunks > 1 and chunks % 2
        work = np.ones(len(members))
        if self._by_interactions:
            work = np.array([len(self._population.interactions[member]) for member in members.tolist()], np.float64)
        done = work.cumsum()
        cuts = np.searchsorted(done - work / 2, done[-1] * np.arange(1, chunks) / chunks)
        return [chunk for chunk in np.split(members, cuts) if len(chunk)]

    def close(self) -> None:
        """Ends the executor's workers."""
        self._executor.close()

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
        return Traffic(self._uploaded(), float(len(self._encoded(self._exact))))

    def _uploaded(self) -> float:
        if self._layout:
            return float(packing.size(self._layout.size, self._manifest.secure_sums.modulus_bits))
        passes = self._manifest.plan.server.passes
        moving, passing = self._uploaded_in(0), self._uploaded_in(1) if passes else 0.0
        return (moving + passes * passing) / (1 + passes)

    def _uploaded_in(self, round_number: int) -> float:
        task = Task.load(self._manifest, self.checkpoint)
        clients = range(min(_SAMPLED, len(self._population)))
        sent = (self._contribution(task, round_number, client) or nothing(self._manifest) for client in clients)
        return float(np.mean([len(encode(contribution)) for contribution in sent]))

    def _contribution(self, task: Task, round_number: int, client: int) -> dict[str, Update]:
        """Computes one contribution at a time, since it may be as large as the model. Noise fills every row."""
        return {
            name: np.zeros(task.shared[name].shape, np.float32)
            if name in self._noise.shared and isinstance(update, Rows)
            else update
            for name, update in self._population.contribution(task, round_number, client).items()
        }
