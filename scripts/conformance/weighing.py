"""Vectors of the weights of interactions: from what an app records to the weighed samples."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from client_sdk import draws
from client_sdk.draws import Samples, Stream
from client_sdk.interactions import Kept
from client_sdk.plan import LocalPlan
from client_sdk.store.sqlite_store import SqliteStore
from client_sdk.weights import Weights, weighed
from fedau2.v1.task_pb2 import DRAW_CONTRASTS, DRAW_WHOLE, Draw, InteractionWeights, Plan
from fedau2.wire import blobs
from scripts.conformance.arrays import Json, array, data
from scripts.conformance.drawing import INTERACTIONS, KEYS, samples

_CATALOGUE = ("e", "d", "c", "b", "a")
_RECORDED = (
    Kept("a", 1),
    Kept("a", 2, "purchase", 0.3),
    Kept("b", 5, "like"),
    Kept("b", 5, "dislike"),
    Kept("c", 9, "dislike"),
    Kept("c", 3, "purchase"),
    Kept("c", 10, "view", 0.7),
    Kept("d", 4, "rating", 2.5, 3.5),
    Kept("d", 4, "rating", 1.0, 1.0),
    Kept("e", 7, "rating", 1.0, 9.0),
    Kept("x", 8, "purchase"),
)
"""Each kind, with an item that is disliked at once, one that is chosen again, and one that is not listed."""

_PLANS = (
    None,
    InteractionWeights(view=0.1, like=1, purchase=3, rating=2),
    InteractionWeights(view=0.1, purchase=3, rating=0.7, lowest_rating=2, full_rating=5, app_weights=True),
    InteractionWeights(like=1, rating=1, lowest_rating=3.5, full_rating=4),
)

_WEIGHTS = (np.arange(len(INTERACTIONS), dtype=np.float32) + np.float32(1)) * np.float32(0.3)


def vectors() -> Json:
    """Returns the vectors by the names of their parts."""
    return {"positives": [*_positives()], "contrasts": [*_contrasts()], "whole": [*_whole()]}


def _positives() -> Iterator[Json]:
    content = "".join(f"{item}\n" for item in _CATALOGUE).encode()
    catalogue = blobs.resource(content)
    with TemporaryDirectory() as folder, closing(SqliteStore(Path(folder) / "state")) as store:
        store.keep_blob(catalogue, content)
        store.record_many(_RECORDED)
        for weights in _PLANS:
            found = store.positives(catalogue, Weights.of(Plan(interactions=weights)))
            yield {
                "catalogue": _CATALOGUE,
                "recorded": [kept._asdict() for kept in _RECORDED],
                "plan": None if weights is None else data(weights.SerializeToString(deterministic=True)),
                "rows": array(found.rows),
                "weights": None if found.weights is None else array(found.weights),
            }


def _contrasts() -> Iterator[Json]:
    for steps, negatives, chunk in ((1, 4, 16), (3, 2, 5)):
        local = LocalPlan(steps, negatives, chunk)
        drawn = draws.samples(INTERACTIONS, 100, local, draws.generator(KEYS[0], 11, Stream.SAMPLES))
        place = {"key": data(KEYS[0]), "round": 11, "items": 100}
        numbers = {"steps": steps, "negatives": negatives, "chunk": chunk}
        yield {**place, **numbers, **_weighed(drawn, DRAW_CONTRASTS)}


def _whole() -> Iterator[Json]:
    numbers = {"steps": 2, "dropout": 0.3, "noise": 2}
    drawn = draws.whole(LocalPlan(2, 1, 1), INTERACTIONS, KEYS[1], 5, dropout=0.3, noise=2)
    yield {"key": data(KEYS[1]), "round": 5, **numbers, **_weighed(drawn, DRAW_WHOLE)}


def _weighed(drawn: list[Samples], draw: Draw.ValueType) -> Json:
    found = weighed(drawn, draw, INTERACTIONS, _WEIGHTS)
    return {
        "interactions": array(INTERACTIONS),
        "weights": array(_WEIGHTS),
        "samples": [samples(step) for step in found],
    }
