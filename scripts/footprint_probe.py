"""Measures the cost of one device's process.

`footprint.py` runs it with the Python of an environment that holds the SDK alone:

    python footprint_probe.py import
    python footprint_probe.py secure
    python footprint_probe.py recommend STATE_FOLDER START
    python footprint_probe.py train STATE_FOLDER START ENGINE

START is `time.monotonic()` just before the process started. The output is a JSON object with milliseconds and MiB. The
CPU time (`cpu`) is the time of a machine without other work whose disk never waits.
"""

import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, Literal

HEAVY = ("torch", "pandas", "onnxruntime", "grpc", "cryptography")
REPEATS = 300
SECONDS = 2.0


def resident() -> float:
    """Returns the present memory of this process, MiB (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def peak() -> float:
    """Returns the largest memory of this process so far, MiB (Linux)."""
    status = Path("/proc/self/status").read_text()  # getrusage would begin with the parent's
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def importing() -> dict[str, Any]:
    """Measures `import client_sdk` and `from client_sdk import FedClient`."""
    start = time.perf_counter()
    import client_sdk

    package = time.perf_counter()
    client_sdk.FedClient  # noqa: B018 - loaded on first use
    return {
        "import_ms": 1e3 * (package - start),
        "client_ms": 1e3 * (time.perf_counter() - start),
        "rss": resident(),
        "heavy": [name for name in HEAVY if name in sys.modules],
    }


def masking() -> dict[str, Any]:
    """Measures what a contribution to a secure sum imports beside `FedClient`. Needs the extra `secure`."""
    figures = importing()
    start, before = time.perf_counter(), resident()
    import client_sdk.identity.enrolling
    import client_sdk.protocol.masking  # noqa: F401

    return figures | {"secure_ms": 1e3 * (time.perf_counter() - start), "secure_rss": resident() - before}


def recommending(folder: str, start: float) -> dict[str, Any]:
    """Measures from process start to the first recommendation, and then a recommendation beside the graph and NumPy."""
    from client_sdk import FedClient

    client = FedClient.open(folder, "localhost:1", "films")
    client.recommend(k=10)
    figures = {
        "first_ms": 1e3 * (time.monotonic() - start),
        "first_cpu_ms": 1e3 * time.process_time(),
        "first_rss": resident(),
        "heavy": [name for name in HEAVY if name in sys.modules],
    }
    for _ in range(10):
        client.recommend(k=10)
    figures |= {"rss": resident(), "peak": peak()}
    client.close()
    with FedClient.open(folder, "localhost:1", "films") as client:
        bare, by_hand = rivals(folder + "-copy")
        calls = {"recommend_ms": lambda: client.recommend(k=10), "graph_ms": bare, "numpy_ms": by_hand}
        return figures | timed(calls)


def training(folder: str, start: float, engine: Literal["onnx", "torch"]) -> dict[str, Any]:
    """Measures from process start to a contribution that could be uploaded, by an engine."""
    from client_sdk import FedClient, engines
    from client_sdk.protocol import preparation
    from client_sdk.protocol.fetching import Fetcher
    from client_sdk.protocol.lease import NoLease
    from client_sdk.protocol.trust import Trust
    from fedau2.wire import contributions

    with FedClient.open(folder, "localhost:1", "films", engine=engine) as client:
        store = client._store
        model = store.model()
        assert model is not None
        fetcher = Fetcher(store, model, Trust(), NoLease())
        task = complete(fetcher.manifest())
        job = preparation.job(store, model, task, complete(fetcher.rest(task)))
        update = engines.make(engine).begin(job)
        for _ in range(update.steps):
            update.step()
        data = contributions.encode(update.finish().contribution)
        return {
            "update_ms": 1e3 * (time.monotonic() - start),
            "update_cpu_ms": 1e3 * time.process_time(),
            "update_rss": peak(),
            "bytes": len(data),
            "heavy": [name for name in HEAVY if name in sys.modules],
        }


def complete(fetching: Generator[object, None, Any]) -> Any:  # noqa: ANN401
    """Returns what a step of fetching returns, when nothing has to be fetched."""
    try:
        next(fetching)
    except StopIteration as end:
        return end.value
    raise RuntimeError("the state folder lacks a part of the model")


def rivals(folder: str) -> tuple[Callable[[], object], Callable[[], object]]:
    """Makes functions that recommend the same by a bare ONNX Runtime session, and by NumPy."""
    import numpy as np
    import onnxruntime

    from client_sdk.onnx.served_model import ServedModel
    from client_sdk.protocol.preparation import initial_state
    from client_sdk.protocol.trust import Trust
    from client_sdk.store.sqlite_store import SqliteStore

    store = SqliteStore(Path(folder))
    model = store.model()
    assert model is not None
    recommender = ServedModel.load(store, model, Trust())
    task, serving = recommender.task, recommender._serving
    private = {name: value[0] for name, value in initial_state(task, store.key()).values.items()}
    seen, graph = store.interactions(task.catalogue), store.blob(task.graphs[1].resource)
    store.close()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    session = onnxruntime.InferenceSession(graph, options)
    feed = {**serving, **private, "seen": seen, "k": np.array(10)}

    def whole(name: str) -> Any:  # noqa: ANN401
        tiles = serving[f"serving.{name}"].astype(np.float32)
        return np.ascontiguousarray(np.concatenate(tiles, axis=-1)[:, : task.items].T)

    item_hidden, item_gmf = whole("item_hidden"), whole("item_gmf")
    dense = {name.removeprefix("serving."): value for name, value in serving.items()}

    def by_hand() -> object:
        user = private["user_mlp"] @ dense["user_hidden.weight"] + dense["mlp.0.bias"]
        hidden = np.maximum(item_hidden + user, 0)
        for layer in (1, 2):
            hidden = np.maximum(hidden @ dense[f"mlp.{layer}.weight"].T + dense[f"mlp.{layer}.bias"], 0)
        weight = dense["output.weight"]
        logits = hidden @ weight[32:] + item_gmf @ (private["user_gmf"] * weight[:32]) + dense["output.bias"]
        logits[seen] = -np.inf
        best = np.argpartition(-logits, 10)[:10]
        return best[np.argsort(-logits[best])]

    assert by_hand().tolist() == session.run(["items"], feed)[0].tolist()  # type: ignore[attr-defined]
    return lambda: session.run(None, feed), by_hand


def timed(calls: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Measures the median time of each call in milliseconds. The calls alternate, so that other work affects all."""
    spent: dict[str, list[float]] = {name: [] for name in calls}
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end and len(spent["graph_ms"]) < REPEATS:
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            spent[name].append(1e3 * (time.perf_counter() - start))
    return {name: statistics.median(values) for name, values in spent.items()}


if __name__ == "__main__":
    measurement, *rest = sys.argv[1:]
    if measurement == "import":
        figures = importing()
    elif measurement == "secure":
        figures = masking()
    elif measurement == "recommend":
        figures = recommending(rest[0], float(rest[1]))
    else:
        figures = training(rest[0], float(rest[1]), "onnx" if rest[2] == "onnx" else "torch")
    print(json.dumps(figures))
