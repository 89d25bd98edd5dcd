"""Measures what masks cost a device and the coordinator, beside a plain contribution of the same bytes.

All parts are timed one after another, several times, and the medians are printed. A plain contribution is one dense
tensor of float32, as long in bytes as the masked one. The arithmetic is NumPy's, and the native library's where that is
installed. Needs the extras `coordinator` and `secure`.
"""

import argparse
import hashlib
import os
import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING
from unittest.mock import patch

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from coordinator.aggregation import aggregators
from coordinator.aggregation.norms import Norms
from coordinator.aggregation.secure_sum import SecureSum
from fedau2 import native
from fedau2.v1.secure_pb2 import Grid, SecureSums
from fedau2.v1.task_pb2 import LocalUpdate, Plan, TaskManifest
from fedau2.v1.tensors_pb2 import (
    DTYPE_FLOAT32,
    TENSOR_KIND_DENSE,
    TENSOR_KIND_TABLE,
    TENSOR_SCOPE_SHARED,
    TensorKind,
    TensorSpec,
)
from fedau2.wire import contributions, manifest
from fedau2.wire.contributions import Decoder
from fedau2.wire.identity.certificate import SIZE
from fedau2.wire.secure import masked, opening
from fedau2.wire.secure.layout import Layout
from fedau2.wire.secure.masked import Masked
from fedau2.wire.secure.opening import Bound
from fedau2.wire.secure.quantise import vector

if TYPE_CHECKING:
    from fedau2_native import Library

BOUND = 2.0**12


def main() -> None:
    """Prints a line for each size of the catalogue."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, nargs="+", default=[1682, 3706, 20000], help="(default: %(default)s)")
    parser.add_argument("--width", type=int, default=160, help="numbers of an item (default: %(default)s)")
    parser.add_argument("--bits", type=int, default=24, help="of the modulus (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=7, help="(default: %(default)s)")
    options = parser.parse_args()
    print("| items | words | arithmetic | a word, ns: round | mask, pack, seal | masked, ms | plain, ms | ratio |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for items in options.items:
        _measure(items, options.width, options.bits, options.repeats)


def _measure(items: int, width: int, bits: int, repeats: int) -> None:
    task = _task(items, width, TENSOR_KIND_TABLE, bits)
    layout, policy = Layout.of(task), task.secure_sums
    values = np.random.default_rng(0).normal(0, 1e-3, (items, width)).astype(np.float32)
    key, round_key = Ed25519PrivateKey.generate(), X25519PrivateKey.generate().public_key().public_bytes_raw()
    context, lease = hashlib.sha256(b"round").digest(), bytes(16)
    rounded = vector({"table": values}, policy, layout)

    def mask() -> bytes:
        seed = os.urandom(32)
        packed = masked.mask(rounded, seed, context, bits)
        bound = Bound(context, lease, hashlib.sha256(packed).digest())
        return Masked(packed, opening.seal(bound, seed, bytes(SIZE), key, round_key)).joined()

    upload = mask()
    total, plain, decoder, norms, data = SecureSum(task), *_plain(len(upload))

    def fold_masked() -> None:
        content = masked.read(upload, layout, bits)
        content.digest  # noqa: B018 - the coordinator needs it
        total.add_packed(content.packed)
        total.reset()

    def fold_plain() -> None:
        update = decoder(data)
        norms.add(update)
        plain.add(update, largest=BOUND)
        plain.reset()

    parts = {"round": lambda: vector({"table": values}, policy, layout), "mask": mask, "masked": fold_masked}
    ways = choices()
    spent = _timed(
        {(way, name): partial(computed, library, part) for way, library in ways.items() for name, part in parts.items()}
        | {("", "plain"): fold_plain},
        repeats,
    )
    for way in ways:
        of_word = {name: 1e6 * spent[way, name] / layout.size for name in parts}
        plain_ms, masked_ms = spent["", "plain"], spent[way, "masked"]
        print(
            f"| {items:,} | {layout.size:,} | {way} | {of_word['round']:.1f} | {of_word['mask']:.1f} | "
            f"{masked_ms:.1f} | {plain_ms:.1f} | {masked_ms / plain_ms:.2f} |",
            flush=True,
        )


def choices() -> dict[str, "Library | None"]:
    """Returns what can compute the integers of secure sums here, by name; None is NumPy."""
    library = native.load()
    return {"NumPy": None} | ({"native": library} if library else {})


def computed(library: "Library | None", work: Callable[[], object]) -> None:
    """Does some work with one of `choices`."""
    with patch.object(native, "arithmetic", lambda: library):
        work()


def _plain(size: int) -> tuple[aggregators.Aggregator, Decoder, Norms, bytes]:
    task = _task(size // 4, 1, TENSOR_KIND_DENSE)
    shared = manifest.shared(task)
    values = np.random.default_rng(0).normal(0, 1e-3, (size // 4, 1)).astype(np.float32)
    return aggregators.of(task), Decoder(shared, BOUND), Norms(shared), contributions.encode({"table": values})


def _task(items: int, width: int, kind: TensorKind.ValueType, bits: int = 0) -> TaskManifest:
    spec = TensorSpec(name="table", shape=(items, width), dtype=DTYPE_FLOAT32, kind=kind, scope=TENSOR_SCOPE_SHARED)
    task = TaskManifest(items=items, tensors=[spec], plan=Plan(local=LocalUpdate(steps=1)))
    if bits:
        grid = Grid(tensor="table", exponent=18, clip=2**20)
        task.secure_sums.CopyFrom(
            SecureSums(version=1, modulus_bits=bits, value_bits=12, minimum=64, row_threshold=10, grids=[grid])
        )
    return task


def _timed(parts: Mapping[tuple[str, str], Callable[[], object]], repeats: int) -> dict[tuple[str, str], float]:
    """Returns the median CPU milliseconds of each part."""
    spent: dict[tuple[str, str], list[float]] = {name: [] for name in parts}
    for _ in range(repeats):
        for name, work in parts.items():
            started = time.process_time()
            work()
            spent[name].append(1000 * (time.process_time() - started))
    return {name: statistics.median(times) for name, times in spent.items()}


if __name__ == "__main__":
    main()
