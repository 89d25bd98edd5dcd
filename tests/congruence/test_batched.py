"""Batched engine and fleet, teacher-forced: from the same state one round agrees to 1e-5 (design section 8)."""

import numpy as np
import pytest

from client_sdk import draws, engines
from client_sdk.kernel.models import RECOMMENDERS
from client_sdk.kernel.training import Cohort
from client_sdk.onnx.onnx_engine import OnnxEngine
from coordinator.engine import commits
from fedau2.wire import blobs, manifest
from simulator.engines import batched as batched_module
from tests import plans
from tests.recommenders import LEAN

TOLERANCE = 1e-5
PROTECTED = {
    "fedncf": ["user_gmf", "user_mlp"],
    "fedrap": ["item_personal"],
    "fedvae": ["latent"],
    "fcf": ["user_vector"],
    "pfedrec": ["score_weight", "score_bias"],
    "fedgnn": ["user_vector"],
}


def close(actual, expected, slack=0):
    scale = np.abs(expected).max()
    return scale == 0 or (np.abs(actual - expected) - slack).max() / scale < TOLERANCE


def magnified(state, name, bundle):
    """What Adam makes of gradients that differ by `TOLERANCE` of the largest: it divides each by its own size."""
    size = np.sqrt(state.second[name]) + 1e-8
    return bundle.manifest.plan.local.private_learning_rate * TOLERANCE * np.abs(state.first[name]).max() / size


@pytest.fixture
def means(monkeypatch):
    """What the fleet's coordinator steps on, round by round, and what the batched engine does."""

    def record(module):
        taken, step = [], module.server_step

        def recording(task, checkpoint, state, mean, variances, members=0, round_number=0):
            taken.append(mean)
            return step(task, checkpoint, state, mean, variances, members, round_number)

        monkeypatch.setattr(module, "server_step", recording)
        return taken

    return record(commits), record(batched_module)


@pytest.fixture
def agree(make_population, fleet, batched, cohorts, means):
    """Trains rounds with both engines, each from the fleet's state, and compares all that they leave."""

    def compare(bundle, rounds=6, trainer=None, weighted=False):
        ours, theirs = (make_population(bundle, weighted=weighted) for _ in range(2))
        devices, engine = fleet(bundle, theirs, trainer=trainer), batched(bundle, ours)
        for members in cohorts[:rounds]:
            engine.checkpoint = devices.checkpoint
            everyone = np.arange(len(ours))
            ours.put(everyone, theirs.take(everyone))
            expected, actual = devices.train_round(members), engine.train_round(members)
            theirs_mean, ours_mean = (each[-1] for each in means)
            assert ours_mean.keys() <= theirs_mean.keys()
            for (
                name,
                mean,
            ) in theirs_mean.items():  # a device that has nothing to send in a pass sends a tensor of zeros
                assert close(ours_mean[name], mean) if name in ours_mean else not mean.any(), name
            for part in ("values", "first", "second"):
                for name, column in getattr(theirs.state, part).items():
                    slack = magnified(theirs.state, name, bundle) if part == "values" and trainer else 0
                    assert close(getattr(ours.state, part)[name], column, slack), (part, name)
            np.testing.assert_array_equal(ours.state.steps, theirs.state.steps)
            assert_triggers_agree(actual, expected)
        return expected.report

    return compare


@pytest.mark.parametrize("steps", [1, 2])
@pytest.mark.parametrize("head", ["none", "mlp", "vae", "dsvae"])
@pytest.mark.parametrize("model", LEAN)
def test_a_round_of_devices_without_pytorch_agrees(model, head, steps, make_bundle, agree):
    bundle = make_bundle(head, model=model, local__steps=steps, training=True)
    agree(bundle, trainer=OnnxEngine())


@pytest.mark.parametrize(("steps", "clip_norm"), [(1, 0), (2, 0), (1, 1), (2, 0.1)])  # some are longer, some are not
@pytest.mark.parametrize("head", ["none", "mlp", "vae", "dsvae"])
@pytest.mark.parametrize("model", RECOMMENDERS)
def test_a_round_agrees(model, head, steps, clip_norm, make_bundle, agree):
    # With the default rate a ReLU's input comes within rounding of zero here, and the two engines may then differ.
    local = {"steps": steps, "shared_learning_rate": 0.01} if steps > 1 else {}
    agree(make_bundle(head, model=model, local=local, server__clip_norm=clip_norm))


@pytest.mark.parametrize("steps", [1, 2])
@pytest.mark.parametrize("noise", [0, 2])
@pytest.mark.parametrize("model", LEAN)
def test_a_defended_round_agrees(model, noise, steps, make_bundle, agree):
    local = {"steps": steps, "cover_rows": 0.5}
    adversary = {"clip_norm": 0.1, "noise_multiplier": noise}
    agree(make_bundle(model=model, local=local, adversary=adversary), rounds=3)


@pytest.mark.parametrize("trainer", ["torch", "onnx"])
@pytest.mark.parametrize("steps", [1, 2])
@pytest.mark.parametrize("model", RECOMMENDERS)
def test_a_round_with_weighted_interactions_agrees(model, steps, trainer, make_bundle, agree):
    local = {"steps": steps, "shared_learning_rate": 0.01} if steps > 1 else {}
    bundle = make_bundle(model=model, local=local, interactions__view=2.0, training=trainer == "onnx")
    agree(bundle, rounds=3, trainer=engines.make(trainer), weighted=True)


@pytest.mark.parametrize(
    ("apart", "clip_norm", "trainer"),
    [(False, 0, "torch"), (True, 0, "torch"), (True, 1, "torch"), (False, 0, "onnx"), (True, 0, "onnx")],
)
@pytest.mark.parametrize(("objective", "epsilon"), [("reversal", 400), ("confusion", 1)])
@pytest.mark.parametrize("model", LEAN)
def test_a_round_against_several_attributes_agrees(
    model, objective, epsilon, apart, clip_norm, trainer, make_bundle, agree
):
    """Each client knows both attributes, one, or none."""
    private = PROTECTED[model]
    adversary = {"objective": objective, "epsilon": epsilon, "protects": "each" if apart else "embedding"}
    if objective == "confusion":
        adversary["prior"] = "uniform"
    options = {"entries": (plans.GENDER, plans.AGE), "training": trainer == "onnx"}
    bundle = make_bundle(model=model, adversary=adversary, server__clip_norm=clip_norm, **options)
    of_each = [f"-{name}" for name in private] if apart else [""]
    assert agree(bundle, rounds=3, trainer=engines.make(trainer)).triggered.keys() == {
        f"{a}{s}" for a in ("gender", "age") for s in of_each
    }


@pytest.mark.parametrize("trainer", ["torch", "onnx"])
@pytest.mark.parametrize("steps", [1, 2])
@pytest.mark.parametrize("model", LEAN)
def test_passes_and_restarts_agree(model, steps, trainer, make_bundle, agree):
    """Several adversaries of one attribute, of different widths; some clients do not know it."""
    entries = [{**plans.GENDER, "name": f"of-{width}", "width": width} for width in (3, 20)]
    local = {"steps": steps, "shared_learning_rate": 0.01} if steps > 1 else {}
    options = {"entries": entries, "adversary": {"restart_every": 2}, "training": trainer == "onnx", "local": local}
    agree(make_bundle(model=model, server__passes=1, **options), trainer=engines.make(trainer))


def assert_triggers_agree(actual, expected):
    np.testing.assert_array_equal(actual.members, expected.members)
    for name, fired in expected.report.triggered.items():
        decided = ~(np.abs(expected.report.margin[name]) < TOLERANCE)
        np.testing.assert_array_equal(actual.report.triggered[name][decided], fired[decided])


@pytest.mark.parametrize("server", [{}, {"server__clip_norm": 1}, {"server__clip_norm": 9, "server__clip_medians": 1}])
@pytest.mark.parametrize("model", RECOMMENDERS)
def test_the_number_of_workers_does_not_change_a_byte(
    model, server, make_bundle, make_population, batched, monkeypatch
):
    monkeypatch.setattr("simulator.engines.batched.CHUNK", 3)
    monkeypatch.setattr("coordinator.aggregation.clip.LEAST", 2)
    bundle = make_bundle(model=model, **server)
    results = []
    for workers in (1, 2, 5):
        population = make_population(bundle)
        engine = batched(bundle, population, workers=workers)
        for _ in range(5):
            engine.train_round(np.arange(len(population))[::-1])
        results.append((blobs.pack(engine.checkpoint), population.state.pack()))
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("model", RECOMMENDERS)
def test_what_the_server_holds_does_not_determine_what_a_client_draws(model, make_bundle, make_population):
    """Same bundle, same data, another secret: samples, noise and private state all differ, for every client."""
    bundle = make_bundle(model=model)
    task = bundle.manifest
    one, other = make_population(bundle, 0), make_population(bundle, 0)
    changed = [bytes(byte ^ 1 for byte in key) for key in other.keys]
    everyone, drawn = np.arange(len(one)), []
    for keys in (one.keys, changed):
        cohort = Cohort.draw(task, 5, keys, one.interactions, one.labels(task, everyone), one.take(everyone))
        initial = [draws.initial(manifest.private(task), key) for key in keys]
        drawn.append((cohort, initial))
    (first, first_initial), (second, second_initial) = drawn
    for client in everyone:
        one, other = (each.samples[client][0] for each in (first, second))
        assert (one.items != other.items).any() or (one.noise != other.noise).all()
        assert (first.noise["gender"][client] != second.noise["gender"][client]).all()
        for name, value in first_initial[client].items():
            assert (value != second_initial[client][name]).all()
