"""Noise after training, local noise, and the approximation of APM."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client_sdk.kernel.models import RECOMMENDERS
from coordinator.aggregation.aggregators import ClippedMean
from export.bundle import build
from export.plan.resolve import states
from fedau2.v1.tensors_pb2 import Initializer, TensorSpec
from fedau2.wire import blobs, manifest
from fedau2.wire.contributions import Rows
from simulator.datasets import Attribute, synthetic
from simulator.engines.batched import BatchedEngine
from simulator.errors import ConfigError
from simulator.experiment import assembly, run
from simulator.unlearning import baselines
from simulator.unlearning.baselines import Apm, Noise, noised, vulnerability
from tests import plans
from tests.recommenders import LEAN
from tests.simulator.quiet import Quiet
from tests.simulator.runs import SMALL, prepared
from tests.simulator.settings import change

pytestmark = pytest.mark.usefixtures("fewer")

SPECS = {
    "table": TensorSpec(name="table", shape=[60, 40], kind=1, scope=1, initializer=Initializer(distribution=1)),
    "dense": TensorSpec(name="dense", shape=[2000], kind=2, scope=1, initializer=Initializer(distribution=1)),
}


def task_of(model, **options):
    config = change(SMALL, model=model, head="none", **options)
    return config, prepared(config, synthetic.generate(60, 100))[1].manifest


def tensors(task, private, users=12, seed=0):
    rng = np.random.default_rng(seed)
    specs = manifest.private(task) if private else manifest.shared(task).values()
    shape = (users,) if private else ()
    return {spec.name: rng.standard_normal((*shape, *spec.shape), np.float32) for spec in specs}


PROTECTED = {
    "fedncf": {"user_gmf"},
    "fedrap": {"item_personal"},
    "fedvae": {"item_encoder", "latent.weight"},
    "fcf": {"user_vector"},
    "pfedrec": {"score_weight"},
    "fedgnn": {"user_vector"},
}
"""What noise after training changes to protect the embedding."""


@pytest.mark.parametrize("protects", ["embedding", "all"])
@pytest.mark.parametrize("model", RECOMMENDERS)
def test_noise_after_training_is_on_the_protected_state_and_has_its_deviation(model, protects):
    config, task = task_of(model, protects=protects)
    shared, private = tensors(task, private=False), tensors(task, private=True)
    after = noised(task, shared, private, states(config.plan.model).named(protects), 0.7, seed=3)
    before = {**shared, **private}
    changed = {name for name, value in {**after[0], **after[1]}.items() if value is not before[name]}
    further = {"fedncf": {"user_mlp"}, "pfedrec": {"score_bias"}} if protects == "all" else {}
    assert changed == PROTECTED[model] | further.get(model, set())
    for name in changed:
        added = {**after[0], **after[1]}[name] - before[name]
        assert added.std() == pytest.approx(0.7, rel=5 / np.sqrt(added.size))
        assert abs(added.mean()) < 0.7 * 5 / np.sqrt(added.size)


@given(seed=st.integers(0, 2**32 - 1), model=st.sampled_from(list(RECOMMENDERS)), deviation=st.floats(0.001, 10))
@settings(max_examples=15, deadline=None)
def test_noise_after_training_is_drawn_from_the_seed_and_none_changes_no_byte(seed, model, deviation):
    config, task = task_of(model, protects="all")
    state = tensors(task, private=False), tensors(task, private=True)

    names = states(config.plan.model).named(config.plan.adversary.protects)

    def packed(deviation, seed):
        return [blobs.pack(part) for part in noised(task, *state, names, deviation, seed) if part]

    assert packed(0.0, seed) == [blobs.pack(part) for part in state if part]
    assert packed(deviation, seed) == packed(deviation, seed)
    assert packed(deviation, seed) != packed(deviation, seed + 1)


def test_noise_after_training_does_not_depend_on_how_it_is_divided(monkeypatch):
    _, task = task_of("fedrap")
    results = []
    for block in (2**24, 1000, 77):
        monkeypatch.setattr(baselines, "_BLOCK", block)
        results.append(blobs.pack(noised(task, {}, tensors(task, private=True), [], 1.0, seed=0)[1]))
    assert results[0] == results[1] == results[2]


def contributions(clients, silent, seed=0):
    """Contributions with some rows of the table; some clients leave out the dense tensor."""
    rng = np.random.default_rng(seed)
    rows = [np.sort(rng.choice(60, 5, replace=False)) for _ in range(clients)]
    tables = [Rows(numbers, rng.standard_normal((5, 40), np.float32)) for numbers in rows]
    dense = [{"dense": rng.standard_normal(2000, np.float32)} if n >= silent else {} for n in range(clients)]
    return [{"table": table, **other} for table, other in zip(tables, dense, strict=True)]


def mean_of(sent, noise, round_number=0, shards=1):
    parts = [noise.noisy(ClippedMean(SPECS, 1.0), round_number) for _ in range(shards)]
    for number, contribution in enumerate(sent):
        parts[number % shards].add(contribution)
    for part in parts[1:]:
        parts[0].merge(part)
    return parts[0].mean()


@given(clients=st.integers(2, 30), share=st.floats(0, 0.9), seed=st.integers(0, 1000), deviation=st.floats(0.01, 5))
@settings(max_examples=25, deadline=None)
def test_the_mean_has_the_noise_of_the_clients_that_carry_a_tensor_on_every_number(clients, share, seed, deviation):
    silent = int(share * clients)
    sent = contributions(clients, silent)
    exact = mean_of(sent, Noise(seed))
    added = mean_of(sent, Noise(seed, dict.fromkeys(SPECS, deviation)))
    for name, carried in (("table", clients), ("dense", clients - silent)):
        difference = added[name] - exact[name]
        assert (difference != 0).all()
        assert difference.std() == pytest.approx(deviation / np.sqrt(carried), rel=0.12)  # over five standard errors


@given(clients=st.integers(2, 12), shards=st.integers(1, 4), seed=st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_local_noise_does_not_depend_on_shards_and_differs_by_round_and_tensor(clients, shards, seed):
    sent, noise = contributions(clients, 0), Noise(seed, dict.fromkeys(SPECS, 1.0))
    whole, sharded = mean_of(sent, noise), mean_of(sent[::-1], noise, shards=min(shards, clients))
    for name in SPECS:
        np.testing.assert_array_equal(whole[name], sharded[name])
        assert (whole[name] != mean_of(sent, noise, round_number=1)[name]).all()
        assert (whole[name] != mean_of(sent, Noise(seed + 1, noise.shared))[name]).all()
    exact = mean_of(sent, Noise(seed))
    added = [(whole[name] - exact[name]).ravel()[:2000] for name in SPECS]
    assert abs(np.corrcoef(added)[0, 1]) < 0.12


def test_an_aggregator_that_is_reset_starts_from_zero():
    sent, noise = contributions(6, 0), Noise(0, dict.fromkeys(SPECS, 1.0))
    total = noise.noisy(ClippedMean(SPECS, 1.0), 0)
    for contribution in sent:
        total.add(contribution)
    total.reset()
    for contribution in sent[:2]:
        total.add(contribution)
    for name, value in mean_of(sent[:2], noise).items():
        np.testing.assert_array_equal(total.mean()[name], value)


def engine_of(config, noise, workers=1):
    _, bundle, population = prepared(config, synthetic.generate(60, 100))
    checkpoint = blobs.unpack(bundle.blob(bundle.manifest.checkpoint))
    return BatchedEngine(bundle.manifest, checkpoint, population, workers, noise), population


def trained(config, noise, workers=1, rounds=3):
    engine, population = engine_of(config, noise, workers)
    for _ in range(rounds):
        engine.train_round(np.arange(0, 60, 3)[::-1])
    return blobs.pack(engine.checkpoint), population.state.pack()


@pytest.mark.parametrize("model", LEAN)
def test_engines_add_the_same_noise_whatever_their_workers_and_none_changes_no_byte(model, monkeypatch):
    monkeypatch.setattr("simulator.engines.batched.CHUNK", 3)
    config = change(SMALL, model=model, clip_norm=1.0)
    task = engine_of(config, None)[0]._manifest
    shared = manifest.shared(task)
    private = [spec.name for spec in manifest.private(task)]
    noise = Noise(5, dict.fromkeys(shared, 0.01), dict.fromkeys(private, 0.1))
    results = [trained(config, noise, workers) for workers in (1, 2, 5)]
    assert results[0] == results[1] == results[2]
    plain = trained(config, None)
    assert plain[0] != results[0][0]
    assert plain == trained(config, Noise(5, dict.fromkeys(shared, 0.0), dict.fromkeys(private, 0.0)))


def test_state_is_disturbed_of_those_that_trained_and_only_where_it_is_asked_for():
    config = change(SMALL, protects="all")
    _, population = engine_of(config, None)
    before, members = population.take(np.arange(60)), np.arange(0, 60, 2)
    Noise(0, {}, {"user_mlp": 2.0}).disturb(population, members, 4)
    after = population.take(np.arange(60))
    np.testing.assert_array_equal(after.values["user_gmf"], before.values["user_gmf"])
    added = after.values["user_mlp"] - before.values["user_mlp"]
    assert (added[1::2] == 0).all()
    assert added[members].std() == pytest.approx(2.0, rel=5 / np.sqrt(added[members].size))
    for part in ("first", "second"):
        for name, column in getattr(before, part).items():
            np.testing.assert_array_equal(getattr(after, part)[name], column)


@given(seed=st.integers(0, 1000), classes=st.integers(2, 4), unknown=st.floats(0, 0.3))
@settings(max_examples=10, deadline=None)
def test_vulnerability_is_small_without_the_attribute_and_one_with_it(seed, classes, unknown):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(240) % classes)
    attribute = Attribute(tuple("abcd"[:classes]), np.where(rng.random(240) < unknown, -1, labels))
    random = rng.standard_normal((240, 10), np.float32)
    written = random + 8 * np.eye(10, dtype=np.float32)[labels]
    assert 0 <= vulnerability(random, attribute) < 0.3
    assert vulnerability(written, attribute) > 0.95


def apm_of(model, apm=2.0, **options):
    config = change(SMALL, model=model, head="none", apm=apm, users=200, **options)
    dataset, bundle, _ = prepared(config, synthetic.generate(200, 100))
    task, engine, plan = bundle.manifest, config.engine, config.plan
    noise = Noise.of(engine, plan, task)
    return config, Apm(engine, plan, task, assembly.known(dataset.attributes, 0, 0), noise), noise, dataset


def readable(dataset, width, gap, seed=0):
    rng = np.random.default_rng(seed)
    labels = dataset.attributes["gender"].labels
    return (rng.standard_normal((200, width)) + gap * labels[:, None]).astype(np.float32)


@pytest.mark.parametrize("apm", [0.5, 4.0])
def test_what_is_read_better_gets_more_noise_in_steps_of_the_client(apm):
    config, adaptive, noise, dataset = apm_of("fedncf", apm)
    states = {"user_gmf": readable(dataset, 8, 0.4), "user_mlp": readable(dataset, 8, 3.0)}
    vulnerability = adaptive.adapt(states)
    assert vulnerability["user_gmf"] < vulnerability["user_mlp"] <= 1
    assert noise.private == {
        name: apm * v * config.plan.local.private_learning_rate for name, v in vulnerability.items()
    }
    assert noise.shared == {}
    states["user_mlp"][np.setdiff1d(np.arange(200), adaptive.shadow)] = 0  # the surrogate does not see the others
    assert adaptive.adapt(states) == vulnerability
    assert len(adaptive.shadow) == 60
    adaptive.adapt({name: readable(dataset, 8, 0.0, seed=1) for name in states})
    assert noise.private["user_mlp"] < apm * 0.3 * config.plan.local.private_learning_rate


def test_a_model_without_private_state_gets_noise_on_contributions_to_the_encoder():
    _, adaptive, noise, dataset = apm_of("fedvae", clip_norm=2.0)
    vulnerability = adaptive.adapt({"latent": readable(dataset, 8, 1.0)})["latent"]
    assert noise.shared.keys() == {"item_encoder", "encoder.bias", "latent.weight", "latent.bias"}
    assert set(noise.shared.values()) == {2.0 * vulnerability * 2.0}
    assert noise.private == {}
    with pytest.raises(ConfigError, match="clip_norm above 0"):
        apm_of("fedvae")


def test_a_surrogate_without_clients_of_a_class_is_refused(monkeypatch):
    monkeypatch.setattr(baselines, "SHADOW", (1.0, 6))
    with pytest.raises(ConfigError, match="5 clients of each class of gender among the 6"):
        apm_of("fedncf")


def test_a_model_with_neither_private_state_nor_encoder_has_nothing_to_protect(monkeypatch):
    monkeypatch.setitem(RECOMMENDERS, "other", SimpleNamespace(model=SimpleNamespace()))
    task = build("fedvae", ["1", "2"], plans.make("fedvae"), 0).manifest
    task.model = "other"
    with pytest.raises(ConfigError, match="other has no private state"):
        noised(task, {}, {}, ["latent"], 1.0, 0)


BASELINES = {
    "noise": {"noise": 0.5},
    "local noise": {"local_noise": 0.01, "clip_norm": 0.5},
    "apm": {"apm": 2.0, "clip_norm": 0.5},
}


@pytest.mark.parametrize("baseline", BASELINES)
@pytest.mark.parametrize("model", LEAN)
def test_a_run_with_a_baseline_repeats_and_goes_on_after_an_interruption(tmp_path, model, baseline):
    config = change(SMALL, model=model, head="none", users=80, **BASELINES[baseline])
    whole = run.run(config, tmp_path / "one", None, Quiet())
    with pytest.raises(KeyboardInterrupt):
        run.run(config, tmp_path / "two", None, Quiet(stop_after=3))
    resumed = run.run(config, tmp_path / "two", None, Quiet())
    for metrics in (whole, resumed):
        del metrics["seconds"], metrics["cpu_ms"], metrics["peak_rss_mib"]
    assert resumed == whole
    without = change(config, noise=0.0, local_noise=0.0, apm=0.0)
    plain = run.run(without, tmp_path / "plain", None, Quiet())
    assert any(whole[key] != plain[key] for key in ("ndcg@10_full", "bacc_strong_all", "bacc_paper"))
    rounds = pd.read_parquet(tmp_path / "one/rounds.parquet")
    vulnerabilities = [column for column in rounds if column.startswith("vulnerability_")]
    assert bool(vulnerabilities) == (baseline == "apm")
    assert all(rounds[column].notna().tolist() == [False, True, False, True] for column in vulnerabilities)


@pytest.mark.parametrize("model", LEAN)
def test_noise_on_every_row_is_uploaded(tmp_path, model):
    config = change(SMALL, model=model, head="none", rounds=1, **BASELINES["local noise"])
    metrics = run.run(config, tmp_path, None, Quiet())
    assert metrics["bytes_up"] >= 4 * metrics["parameters"]["shared"]


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"noise": -1.0}, "noise: must be at least 0"),
        ({"noise": float("nan")}, "noise: must be below"),
        ({"local_noise": float("inf")}, "local_noise: must be below"),
        ({"apm": -0.5}, "apm: must be at least 0"),
        ({"clip_norm": -1.0}, "clip_norm: must be at least 0"),
        ({"local_noise": 0.1}, "clip_norm, which must be above 0"),
        ({"local_noise": 0.1, "clip_norm": 1.0, "engine": "fleet"}, "local_noise is simulated by the batched engine"),
        ({"apm": 0.1, "engine": "fleet"}, "apm is simulated by the batched engine"),
        ({"apm": 0.1, "local_noise": 0.1, "clip_norm": 1.0}, "choose one"),
        ({"noise": 0.1, "erasure": "auto"}, "choose one"),
        ({"transport": "grpc"}, "set engine.name to fleet"),
        ({"cover_rows": -1.0}, "cover_rows: must be at least 0"),
        ({"adversary_clip_norm": float("inf")}, "plan.adversary.clip_norm: must be below"),
        ({"trainer": "onnx"}, "for a fleet's devices: set engine.name to fleet"),
    ],
)
def test_settings_that_make_no_sense_or_exclude_each_other_are_refused(settings, text):
    with pytest.raises(ConfigError, match=text):
        change(SMALL, **settings)
