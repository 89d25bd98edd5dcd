"""Secure sums in a fleet, and sums of the same integers without masks: the same bytes."""

import math
from functools import partial

import numpy as np
import pytest

from client_sdk.kernel import fcf, fedgnn, fedncf, fedrap, fedvae, pfedrec
from export import sums
from export.bundle import build
from export.sums import Policy, TensorGrid
from fedau2.wire import blobs, erasers, manifest, matchings
from simulator.engines.batched import BatchedEngine
from simulator.engines.connections import InProcessConnection
from simulator.engines.coordinator_process import CoordinatorProcess
from simulator.engines.fleet import FleetEngine
from simulator.engines.membership import Members
from simulator.engines.unmasker_process import UnmaskerProcess
from simulator.population.population import Population
from tests import plans

CLIENTS, COHORT, ITEMS, ROUNDS = 80, 64, 40, 3
WIDTHS = {"fedrap": fedrap.Widths(latent=8), "fedvae": fedvae.Widths(hidden=16, latent=6)}
NARROW = {
    "fedncf": fedncf.Widths(gmf=3, mlp=4, hidden=(4,)),
    "fcf": fcf.Widths(latent=6),
    "pfedrec": pfedrec.Widths(latent=6),
    "fedgnn": fedgnn.Widths(latent=3),
}
"""Widths of states that are erased from: maps need more users than a state has numbers."""


@pytest.fixture(scope="module")
def unmasker(tmp_path_factory):
    process = UnmaskerProcess(tmp_path_factory.mktemp("unmasker") / "state")
    yield process
    process.stop()


@pytest.fixture
def make_bundle():
    def make(model, row_threshold, widths=None, **settings):
        plan = plans.make(model, {**plans.GENDER, "head": "dsvae"}, server__clip_norm=0, **settings)
        bundle = build(model, [f"item-{i}" for i in range(ITEMS)], plan, 0, widths or WIDTHS.get(model))
        shapes = {name: math.prod(spec.shape) for name, spec in manifest.shared(bundle.manifest).items()}
        exponents = {
            name: 8 if name.endswith((".means", "eraser.steps", "eraser.linear", "eraser.classes")) else 12
            for name in shapes
        }  # features are larger
        grids = {
            name: TensorGrid(exponent=exponents[name], clip=min(2**13, math.isqrt(n * 4095**2)))
            for name, n in shapes.items()
        }
        policy = Policy(
            modulus_bits=24, value_bits=14, minimum=64, row_threshold=row_threshold, max_participations=0,
            touched_rows=10.0, grids=grids,
        )  # fmt: skip
        return sums.add(bundle, policy)

    return make


def population(bundle):
    """Clients of whom each gender likes some items better, so that there is something to erase."""
    rng = np.random.default_rng(0)
    genders = rng.choice(3, CLIENTS, p=[0.5, 0.4, 0.1])
    likes = np.stack([np.where(np.arange(ITEMS) % 3 == gender, 5.0, 1.0) for gender in range(3)])
    interactions = [
        np.sort(rng.choice(ITEMS, rng.integers(3, 15), replace=False, p=likes[gender] / likes[gender].sum()))
        for gender in genders
    ]
    ages = rng.choice(list(plans.AGE["classes"]), CLIENTS)
    values = {"gender": [("M", "F", None)[gender] for gender in genders], "age": ages.tolist()}
    return Population.create(bundle.manifest, 0, interactions, values)


def checkpoints(engine):
    cohorts = np.random.default_rng(1)
    for _ in range(ROUNDS):
        engine.train_round(cohorts.choice(CLIENTS, COHORT, replace=False))
        yield blobs.sha256(blobs.pack(engine.checkpoint))


@pytest.mark.parametrize(
    ("model", "row_threshold", "transport"),
    [
        ("fedncf", 10, "inproc"),
        pytest.param("fedncf", 2, "grpc", marks=pytest.mark.slow),
        pytest.param("fedrap", 10, "inproc", marks=pytest.mark.slow),
        pytest.param("fedvae", 10, "inproc", marks=pytest.mark.slow),
    ],
)
def test_secure_and_grid_give_the_same_bytes(model, row_threshold, transport, make_bundle, unmasker, tmp_path):
    expect_the_same_bytes(make_bundle(model, row_threshold), transport, unmasker, tmp_path)


@pytest.mark.parametrize("model", ["fedncf", pytest.param("fedvae", marks=pytest.mark.slow)])
def test_with_matchings_too(model, make_bundle, unmasker, tmp_path):
    bundle = make_bundle(model, 10, matchings=[plans.GENDER], matching__frequencies=16, matching__minimum=5)
    engine = expect_the_same_bytes(bundle, "inproc", unmasker, tmp_path)
    assert engine.checkpoint[matchings.means("matching-gender")][:2, 0].all()


@pytest.mark.parametrize(
    ("model", "transport", "shifts"),
    [
        ("fedvae", "inproc", False),
        ("fedncf", "inproc", True),
        pytest.param("fedncf", "inproc", False, marks=pytest.mark.slow),
        pytest.param("fedncf", "grpc", True, marks=pytest.mark.slow),
        *(pytest.param(model, "inproc", False, marks=pytest.mark.slow) for model in ("fcf", "pfedrec", "fedgnn")),
    ],
)
def test_with_an_eraser_too(model, transport, shifts, make_bundle, unmasker, tmp_path):
    settings = {"eraser__frequencies": 16, "eraser__minimum": 2, "eraser__rate": 0.5, "eraser__steps": 2}
    settings["eraser__shifts"] = shifts
    erased = [plans.GENDER, plans.AGE] if shifts else [plans.GENDER]
    bundle = make_bundle(model, 10, NARROW.get(model), erased=erased, **settings)
    engine = expect_the_same_bytes(bundle, transport, unmasker, tmp_path)
    linear = engine.checkpoint[erasers.LINEAR]
    assert linear[0, 0] == 1
    assert (linear[1:, 1:] != np.eye(len(linear) - 1)).any()
    assert (engine.checkpoint[erasers.CLASSES][:5, 0] == shifts).all()


def test_with_passes_and_restarts_too(make_bundle, unmasker, tmp_path):
    settings = {"server__passes": 1, "adversary__restart_every": 1}
    bundle = make_bundle("fedncf", 10, matchings=[plans.GENDER], matching__frequencies=16, **settings)
    expect_the_same_bytes(bundle, "inproc", unmasker, tmp_path)


def expect_the_same_bytes(bundle, transport, unmasker, tmp_path):
    grid = BatchedEngine(
        bundle.manifest,
        blobs.unpack(bundle.blob(bundle.manifest.checkpoint)),
        population(bundle),
        workers=2,
        kernel="torch",  # devices train by it
    )
    opened = sums.opened_by(bundle, [unmasker.identity])
    connect = partial(InProcessConnection.open, tmp_path, None, unmasker)
    if transport == "grpc":
        connect = CoordinatorProcess(tmp_path / "state", unmasker=unmasker).connect
    fleet = FleetEngine.start(connect, opened, population(bundle), COHORT, ROUNDS, members=Members(unmasker))
    try:
        assert list(checkpoints(fleet)) == list(checkpoints(grid))
    finally:
        fleet.close()
    return grid
