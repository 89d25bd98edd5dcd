"""Vectors of the wire: keys, Adam, sums, contributions, checkpoints, catalogues, manifests, graphs and releases."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import numpy as np
import safetensors.numpy
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from google.protobuf.duration_pb2 import Duration

from client_sdk import retry
from client_sdk.onnx import private_adam
from client_sdk.protocol import inspection
from client_sdk.protocol.trust import Trust
from client_sdk.protocol.values import PrivateState
from client_sdk.store.sqlite_store import SqliteStore
from fedau2.v1.onnx_pb2 import OnnxEntry, OnnxModel, OnnxNode
from fedau2.v1.task_pb2 import GRAPH_KIND_STEP, RetryWindow
from fedau2.wire import blobs, contributions, encodings, fixed, signatures
from fedau2.wire.contributions import Rows, Update
from fedau2.wire.errors import WireError
from scripts.conformance import manifests, releasing, tasks
from scripts.conformance.arrays import Json, array, data
from scripts.conformance.drawing import KEYS
from scripts.conformance.refusals import error_of

_T = TypeVar("_T")
_SEED = bytes(range(32))
_OTHER = b"the bytes of another task"


def vectors() -> Json:
    """Returns the vectors by the names of their parts."""
    return {
        "windows": [*_windows()],
        "adam": [*_adam()],
        "fixed": _fixed(),
        "contributions": [*_contributions()],
        "catalogues": [*_catalogues()],
        "checkpoints": [*_checkpoints()],
        "encoded": [*_encoded()],
        "manifests": [*manifests.vectors()],
        "graphs": [*_graphs()],
        "signatures": _signatures(),
        "releases": [*releasing.vectors()],
    }


def _windows() -> Iterator[Json]:
    for least, most in ((5, 9), (-3, 4), (9, 5), (0, 0), (10**7, 10**8), (0.5, 0.75)):
        ends = [Duration(seconds=int(end), nanos=round(end % 1 * 1e9)) for end in (least, most)]
        message = RetryWindow(delay_min=ends[0], delay_max=ends[1])
        read = retry.window(message)
        assert read is not None
        seconds = [read.earliest.total_seconds(), read.latest.total_seconds()]
        yield {"bytes": data(message.SerializeToString(deterministic=True)), "seconds": seconds}
    yield {"bytes": "", "seconds": None}


def _adam() -> Iterator[Json]:
    rng = np.random.default_rng(1)
    rate = float(np.float32(0.01))
    for taken in (0, 1, 2, 9, 99, 4000):
        first, second = rng.normal(size=(2, 1, 3)).astype(np.float32) * np.float32(0.01)
        gradient = rng.normal(size=(1, 3)).astype(np.float32)
        values = rng.normal(size=(1, 3)).astype(np.float32)
        state = PrivateState({"p": values}, {"p": first}, {"p": second**2}, np.array([taken]))
        after = private_adam.step(state, {"p": gradient}, rate)
        yield {
            "learning_rate": rate,
            "before": data(state.pack()),
            "gradient": array(gradient),
            "after": data(after.pack()),
        }


def _fixed() -> Json:
    values = np.array([0, -0.0, 1, -1.5, 2**-41, 3 * 2**-41, -5 * 2**-42, 0.1, 4194304], np.float32)
    return {"values": array(values), "fixed": array(fixed.to_fixed(values)), "bound_of_1000": fixed.bound(1000)}


def _contributions() -> Iterator[Json]:
    rng = np.random.default_rng(2)
    dense = rng.normal(size=(2, 3)).astype(np.float32)
    rows = Rows(np.array([0, 7, 300]), rng.normal(size=(3, 2)).astype(np.float32) * np.float32(3))
    none = Rows(np.zeros(0, np.int64), np.zeros((0, 2), np.float32))
    both: dict[str, Update] = {"b.dense": dense, "a.table": rows}
    empty: dict[str, Update] = {"a.table": none}
    for bound in (4194304.0, 0.7, 0.1):
        for updates in (both, empty):
            parts = {
                name: {"rows": array(update.indices), "values": array(update.values)}
                if isinstance(update, Rows)
                else {"values": array(update)}
                for name, update in updates.items()
            }
            clipped = contributions.clip(updates, bound)
            yield {"bound": bound, "updates": parts, "bytes": data(contributions.encode(clipped))}


def _catalogues() -> Iterator[Json]:
    for content in (b"a\nb\n", b"a\nb", "\ufeffa\n\u00e9\r\n".encode(), b"", b"a\n\nb\n", b"a\na\n", b"\xff\n"):
        yield {"bytes": data(content), "items": _or_none(blobs.catalogue, content)}


def _checkpoints() -> Iterator[Json]:
    tensors = {"b": np.arange(6, dtype=np.float32).reshape(2, 3), "a": np.full(1, 0.5, np.float32)}
    whole = blobs.pack(tensors)
    halves = safetensors.numpy.save({"a": np.zeros(2, np.float16)})
    for content in (whole, whole[:-4], whole[:5], whole.replace(b"[2,3]", b"[3,3]"), halves):
        try:
            found = blobs.unpack(content)
        except WireError:
            found = {}
        fits = bool(found) and all(value.dtype == np.float32 for value in found.values())
        yield {"bytes": data(content), "tensors": {n: array(v) for n, v in found.items()} if fits else None}


def _encoded() -> Iterator[Json]:
    """Yields checkpoints in smaller encodings, and the numbers that they stand for; null for one that is refused."""
    rng = np.random.default_rng(3)
    tensors = {"table": rng.normal(size=(3, 9)), "deep": rng.normal(size=(2, 3, 4)), "short": rng.normal(size=(2, 7))}
    whole = {name: value.astype(np.float32) for name, value in tensors.items()} | {"bias": np.ones(9, np.float32)}
    halves = np.arange(0, 2**16, 37).astype(np.uint16).view(np.float16)  # also the smallest, the infinite, and minus 0
    integers = np.arange(-128, 128, dtype=np.int8).reshape(2, 128)
    scales, scale = np.array([0.3, 0], np.float32), encodings.scales("t")
    for content in (
        *(encodings.encode(whole, encoding) for encoding in encodings.NAMES.values()),
        safetensors.numpy.save({"t": halves[~np.isnan(halves)]}),
        safetensors.numpy.save({"t": integers, scale: scales}),
        safetensors.numpy.save({"t": integers}),
        safetensors.numpy.save({"t": integers, scale: scales[:1]}),
        safetensors.numpy.save({"t": integers, scale: scales[:, None]}),
        safetensors.numpy.save({"t": integers, scale: scales.astype(np.float16)}),
        safetensors.numpy.save({"t": integers[0], scale: np.ones(128, np.float32)}),
        safetensors.numpy.save({scale: scales}),
    ):
        found = _or_none(encodings.decode, content)
        yield {"bytes": data(content), "tensors": found and {name: array(value) for name, value in found.items()}}


def _graphs() -> Iterator[Json]:
    changes: dict[str, Callable[[OnnxModel], object]] = {
        "an operator that is not allowed": lambda model: setattr(model.graph.node[0], "op_type", "Loop"),
        "another domain": lambda model: setattr(model.graph.node[0], "domain", "com.example"),
        "a scan in a training graph": lambda model: setattr(model.graph.node[0], "op_type", "Scan"),
        "functions": lambda model: model.functions.append(b""),
        "a training graph of its own": lambda model: model.training_info.append(b""),
        "no operators' version": lambda model: model.ClearField("opset_import"),
        "a sparse tensor": lambda model: model.graph.sparse_initializer.append(b""),
        "data outside": lambda model: setattr(model.graph.initializer[0], "data_location", 1),
        "a tensor of an unknown type": lambda model: setattr(model.graph.initializer[0], "data_type", 8),
        "a tensor that lies": lambda model: model.graph.initializer[0].dims.append(7),
        "a result that is defined twice": lambda model: model.graph.node.append(model.graph.node[0]),
        "an attribute that is not allowed": lambda m: m.graph.node[0].attribute.add(name="x", type=2),
        "too many nodes": lambda m: m.graph.node.extend([OnnxNode(op_type="Abs")] * 5001),
        "an input that is huge": lambda m: m.graph.input[0].type.tensor_type.shape.dim.add(dim_value=2**40),
        "other metadata, which inspection allows": lambda m: m.metadata_props.append(OnnxEntry(key="x", value="y")),
    }
    step = tasks.read("fedvae").step()
    for label, change in changes.items():
        model = OnnxModel.FromString(step)
        change(model)
        content = model.SerializeToString(deterministic=True)
        error = error_of(lambda value: inspection.inspected(value, GRAPH_KIND_STEP), content)
        yield {"name": label, "kind": "GRAPH_KIND_STEP", "bytes": data(content), "error": error}


def _signatures() -> Json:
    key = Ed25519PrivateKey.from_private_bytes(_SEED)
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    body = tasks.read("fedncf").data
    signed = signatures.attach(body, key.sign(signatures.message(body)))
    without_context = signatures.attach(body, key.sign(body))
    other = signatures.attach(body, key.sign(signatures.message(_OTHER)))
    trust = Trust([public])
    manifests_of = {
        "signed": signed,
        "not signed": body,
        "a bit is turned": bytes([signed[0] ^ 1, *signed[1:]]),
        "signed without the context": without_context,
        "the signature of something else": other,
        "something follows the signature": signed + signed[-67:],
    }
    return {
        "key": public.decode(),
        "encoded": [*_encoded()],
        "manifests": [
            {"name": name, "bytes": data(content), "error": error_of(trust.check, content)}
            for name, content in manifests_of.items()
        ],
        "task_keys": [
            {"key": data(key), "task_id": task_id, "task_key": data(_task_key(key, task_id))}
            for key in KEYS
            for task_id in ("5a5a5a5a5a5a5a5a", "t\u00e4sk")
        ],
    }


def _task_key(key: bytes, task_id: str) -> bytes:
    with TemporaryDirectory() as folder, closing(SqliteStore(Path(folder) / "state")) as store:
        store.database.write("UPDATE client SET key = ?", (key,))
        return store.task_key(task_id)


def _or_none(read: Callable[[bytes], _T], content: bytes) -> _T | None:
    try:
        return read(content)
    except WireError:
        return None
