"""Measures what an unmasker's processor and memory take to open a sum, for cohorts and vectors of several sizes.

Each case has a process of its own. Its devices seal real openings, and no device makes its masked vector, because the
unmasker never sees one. Needs the extra `unmasker`.
"""

import argparse
import hashlib
import multiprocessing
import resource
import secrets
import tempfile
import time
from contextlib import closing
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fedau2.v1.secure_pb2 import Grid, SecureSums
from fedau2.v1.task_pb2 import OPTIMIZER_KIND_SGD, LocalUpdate, Optimizer, Plan, Resource, ServerStep, TaskManifest
from fedau2.v1.tensors_pb2 import (
    DISTRIBUTION_NORMAL,
    DTYPE_FLOAT32,
    TENSOR_KIND_TABLE,
    TENSOR_SCOPE_SHARED,
    Initializer,
    TensorSpec,
)
from fedau2.v1.unmasker_pb2 import EVIDENCE_CLASS_OPEN, OpenRoundRequest, OpenSumBegin, SignedRoundKey, SumMember
from fedau2.wire.identity.signing import public_bytes
from fedau2.wire.secure import masks, opening, packing
from fedau2.wire.secure.context import Context
from fedau2.wire.secure.layout import CANARY, Layout
from fedau2.wire.secure.opening import Bound
from fedau2.wire.secure.policy import FEATURE
from unmasker import Books, Rules, StateFolder, Unmasker
from unmasker.engine import summing
from unmasker.engine.sum_request import SumRequest
from unmasker.store import holders

ITEMS, BITS, DAY = 1682, 28, 86400


def main() -> None:
    """Prints a line for each number of members and words. The target of a report is 1 ms and 5 ns a word."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", type=int, nargs="+", default=[94, 1000], help="(default: %(default)s)")
    parser.add_argument("--widths", type=int, nargs="+", default=[32, 160], help="of a table (default: %(default)s)")
    parser.add_argument("--noise", type=float, default=0.0, help="noise_multiplier (default: %(default)s)")
    options = parser.parse_args()
    print("| members | words | CPU a report, ms | target | books' part, ms | openings, MB | adding up, MB |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for members, width in product(options.members, options.widths):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            pool.apply(_measure, (members, width, options.noise))


def _measure(count: int, width: int, noise: float) -> None:
    with tempfile.TemporaryDirectory() as name, closing(_unmasker(Path(name) / "state")) as unmasker:
        task = _task(unmasker.books.keys.public.identity, width, noise)
        before, request = _resident(), _request(unmasker, task, count)
        openings, spent = _resident(), [time.process_time()]
        key = unmasker.begin_sum(request)
        spent.append(time.process_time())
        members = summing.open_members(request, key, unmasker.books.keys, _check)
        spent.append(time.process_time())
        refused = unmasker.claim_sum(request, members)
        spent.append(time.process_time())
        answer = summing.add_up(request, key, members, _check)
        spent.append(time.process_time())
        unmasker.settle_sum(request, members, answer)
        spent.append(time.process_time())
        assert refused is None, "the sum was not opened"
    words, peak = Layout.of(task).size, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    times = np.diff(spent) * 1000 / count
    report, target, books = times.sum(), 1 + 5e-6 * words, times[::2].sum()
    cells = [f"{report:.2f}", f"{target:.2f}", f"{books:.3f}"]
    cells += [f"{openings - before:.1f}", f"{peak - openings:.1f}"]
    print(f"| {count:,} | {words:,} | {' | '.join(cells)} |", flush=True)


def _check() -> None:
    """Somebody waits for the answer."""


def _unmasker(path: Path) -> Unmasker:
    return Unmasker(Books.make(StateFolder(path)), Rules())


def _request(unmasker: Unmasker, task: TaskManifest, members: int) -> SumRequest:
    manifest, layout = task.SerializeToString(deterministic=True), Layout.of(task)
    request = OpenRoundRequest(
        task_id=bytes(16),
        manifest=hashlib.sha256(manifest).digest(),
        checkpoint=bytes(32),
        policy=task.secure_sums.SerializeToString(deterministic=True),
    )
    key = unmasker.open_round(request).key
    context = Context(bytes(16), 0, key.manifest, key.checkpoint, task.secure_sums, key.public_key).hash()
    head, made = np.zeros(layout.head.stop, np.uint32), []
    with unmasker.books.writing() as page:
        enrol = partial(holders.certify, page, EVIDENCE_CLASS_OPEN, moves=False, seconds=DAY)
        for _ in range(members):
            device, seed = Ed25519PrivateKey.generate(), secrets.token_bytes(32)
            certificate = enrol(subject=secrets.token_bytes(32), public_key=public_bytes(device))
            words = masks.words(seed, context, head.size)
            words[: len(CANARY)] += np.array(CANARY, np.uint32)
            head += words
            made.append(_member(key, context, device, certificate, seed, words))
    begin = OpenSumBegin(task_id=bytes(16), manifest=manifest, members=members, head=packing.pack(head, BITS))
    return SumRequest(begin, tuple(sorted(made, key=lambda member: member.lease)))


def _member(
    key: SignedRoundKey, context: bytes, device: Ed25519PrivateKey, certificate: bytes, seed: bytes, words: np.ndarray
) -> SumMember:
    bound = Bound(context, secrets.token_bytes(16), secrets.token_bytes(32))
    sealed = opening.seal(bound, seed, certificate, device, key.public_key)
    canary = packing.pack(words[: len(CANARY)], BITS)
    return SumMember(lease=bound.lease, digest=bound.digest, canary=canary, sealed=sealed)


def _task(identity: bytes, width: int, noise: float) -> TaskManifest:
    table = TensorSpec(name="table", shape=[ITEMS, width], dtype=DTYPE_FLOAT32)
    table.kind, table.scope = TENSOR_KIND_TABLE, TENSOR_SCOPE_SHARED
    table.initializer.CopyFrom(Initializer(distribution=DISTRIBUTION_NORMAL, scale=0.01))
    grid = Grid(tensor="table", exponent=10, clip=2**10, noise_share=1.0 if noise else 0.0)
    sums = SecureSums(version=1, modulus_bits=BITS, value_bits=12, minimum=64, grids=[grid], unmaskers=[identity])
    sums.noise_multiplier, sums.max_participations = noise, 6
    return TaskManifest(
        format=2,
        model="fedncf",
        items=ITEMS,
        tensors=[table],
        plan=Plan(
            local=LocalUpdate(steps=1, negatives=4, chunk=128, private_learning_rate=0.1),
            server=ServerStep(shared=Optimizer(kind=OPTIMIZER_KIND_SGD, learning_rate=0.1)),
        ),
        catalogue=Resource(sha256=bytes(32), size=1),
        checkpoint=Resource(sha256=bytes(32), size=1),
        required_features=[FEATURE],
        secure_sums=sums,
    )


def _resident() -> float:
    """Returns the memory of this process in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


if __name__ == "__main__":
    main()
