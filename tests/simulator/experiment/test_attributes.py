"""Several attributes at once, and clients that tell none."""

import dataclasses
import io
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from client_sdk.kernel.models import RECOMMENDERS
from export.plan import resolve
from export.plan.message import to_message
from simulator.datasets import Attribute, synthetic
from simulator.errors import ConfigError, ErasureError, OneClassError
from simulator.evaluation import attackers
from simulator.experiment import assembly, run
from simulator.reporting import terminal
from tests.simulator.quiet import Quiet
from tests.simulator.runs import prepared
from tests.simulator.settings import change, make

AGES = ("middle", "old", "young")
SMALL = make(dataset="own", attributes=["gender", "age"], rounds=2, evaluate_every=2, workers=1, attack_splits=1)


@pytest.fixture(autouse=True)
def fewer(monkeypatch):
    monkeypatch.setattr(attackers, "SHUFFLES", 1)
    monkeypatch.setattr("simulator.attacks.dlg.STEPS", 2)


def data(users=60, missing=0):
    """The synthetic data set with an age for each user but some."""
    dataset = synthetic.generate(users, 200)
    ages = np.where(np.arange(users) < missing, -1, np.random.default_rng(1).permutation(np.arange(users) % 3))
    return dataclasses.replace(dataset, attributes={**dataset.attributes, "age": Attribute(AGES, ages)})


def write(folder, dataset):
    """As atomic files."""
    folder.mkdir()
    pairs = [f"{dataset.users[u]}\t{dataset.items[i]}" for u, i in zip(dataset.user, dataset.item, strict=True)]
    (folder / "own.inter").write_text("\n".join(["user_id:token\titem_id:token", *pairs]))
    columns = [["" if n < 0 else each.classes[n] for n in each.labels] for each in dataset.attributes.values()]
    rows = ["\t".join(row) for row in zip(dataset.users, *columns, strict=True)]
    (folder / "own.user").write_text("\n".join(["user_id:token\tgender:token\tage:token", *rows]))
    return folder


@pytest.mark.parametrize("protects", ["embedding", "each"])
@pytest.mark.parametrize("model", RECOMMENDERS)
def test_the_plan_has_adversaries_for_each_attribute_with_its_own_weights(model, protects):
    config = change(SMALL, model=model, protects=protects, objective="confusion", class_weights="balanced")
    dataset = data(missing=6)
    adversaries = to_message(assembly.plan_of(config.plan, dataset.attributes)).adversaries
    states = resolve.states(config.plan.model).named(protects)
    expected = [(name, [s]) for name in ("gender", "age") for s in states]
    assert [(each.attribute, list(each.protects)) for each in adversaries] == expected
    assert len({each.name for each in adversaries}) == len(adversaries)
    for each in adversaries:
        attribute = dataset.attributes[each.attribute]
        counts = np.bincount(attribute.labels[attribute.labels >= 0])
        assert tuple(each.classes) == attribute.classes
        np.testing.assert_allclose(each.prior, counts / counts.sum(), rtol=1e-6)
        np.testing.assert_allclose(np.multiply(each.class_weights, counts), counts.sum() / len(counts), rtol=1e-6)


def test_one_attribute_of_several_trains_as_it_does_alone():
    """The adversaries of the first are those of a plan without the second."""
    dataset = data()
    both = assembly.plan_of(SMALL.plan, dataset.attributes)
    alone = assembly.plan_of(SMALL.plan, {"gender": dataset.attributes["gender"]})
    assert both.adversaries[:1] == alone.adversaries


@pytest.mark.parametrize("engine", ["batched", "fleet"])
def test_a_run_measures_every_attribute(tmp_path, engine):
    folder = write(tmp_path / "data", data(missing=6))
    config = change(SMALL, engine=engine, unknown=0.25, fraction=0.5)
    metrics = run.run(config, tmp_path / "run", folder, Quiet())
    assert json.loads((tmp_path / "run/metrics.json").read_text()) == metrics
    others = ("attacked_users", "largest_family", "strong_families", "trigger_rate", "unknown_clients")
    begin = (*terminal.OF_ATTRIBUTE, *others)
    of_first = {key for key in metrics if key.startswith(begin)}
    assert {key for key in metrics if "/" in key} == {f"age/{key}" for key in of_first}
    assert (set(metrics["trigger_rate"]), set(metrics["age/trigger_rate"])) == ({"M", "F"}, set(AGES))
    assert metrics["unknown_clients"] == 15
    assert 15 <= metrics["age/unknown_clients"] <= 21
    rounds = pd.read_parquet(tmp_path / "run/rounds.parquet")
    assert rounds["age/trigger_rate_old"].notna().any()
    assert {path.name for path in (tmp_path / "run").iterdir()} >= {"leakage.png", "leakage-age.png"}
    shown = Console(width=200, file=io.StringIO())
    shown.print(terminal.results({"it": metrics}, ""))
    assert f"{metrics['age/bacc_strong_all']:.3f}" in shown.file.getvalue()
    with_one = {key: value for key, value in metrics.items() if "/" not in key}
    rows = [terminal.results(runs, "").row_count for runs in ({"it": with_one}, {"it": metrics, "other": with_one})]
    assert rows[1] - rows[0] == sum(f"age/{key}" in metrics for _, key, _ in terminal.ROWS)


def test_attributes_are_erased_together(tmp_path):
    folder = write(tmp_path / "data", data(users=320))
    config = change(SMALL, head="none", erasure="1.0")
    metrics = run.run(config, tmp_path / "run", folder, Quiet())
    plain = run.run(change(config, erasure="none"), tmp_path / "plain", folder, Quiet())
    assert metrics["erasure_strength"] == 1.0
    for name in ("age/bacc_strong_all", "bacc_strong_all"):
        assert metrics[name] != plain[name]
    with pytest.raises(ErasureError, match="160 dimensions"):  # clients that tell nothing give no sums
        run.run(change(config, unknown=0.6), tmp_path / "few", folder, Quiet())


@given(share=st.floats(0, 0.6), more=st.floats(0, 0.2), seed=st.integers(0, 100))
@settings(max_examples=30, deadline=None)
def test_who_tells_nothing_is_a_share_that_grows_by_others(share, more, seed):
    attributes = data(missing=6).attributes
    known = assembly.known(attributes, share, seed)
    silent = {name: (each.labels < 0) & (attributes[name].labels >= 0) for name, each in known.items()}
    assert silent["gender"].sum() == round(share * 60)
    assert not (silent["age"] & ~silent["gender"]).any()  # the same clients
    for name, each in known.items():
        kept = each.labels >= 0
        np.testing.assert_array_equal(each.labels[kept], attributes[name].labels[kept])
    larger = assembly.known(attributes, share + more, seed)
    assert (larger["gender"].labels[silent["gender"]] == -1).all()


def test_those_who_tell_nothing_count_in_no_weight_and_no_prior():
    config = change(SMALL, unknown=0.5, class_weights="balanced", objective="confusion")
    dataset = data(missing=6)
    known = assembly.known(dataset.attributes, 0.5, 0)
    _, bundle, _ = prepared(config, dataset)
    for each in bundle.manifest.plan.adversaries:
        counts = known[each.attribute].counts()
        np.testing.assert_allclose(each.prior, counts / counts.sum(), rtol=1e-6)
        np.testing.assert_allclose(np.multiply(each.class_weights, counts), counts.sum() / len(counts), rtol=1e-6)


def test_clients_that_tell_nothing_train_without_an_adversary():
    config = change(SMALL, unknown=0.5, fraction=1.0, trigger="global")
    dataset, bundle, population = prepared(config, data())
    known = assembly.known(dataset.attributes, 0.5, 0)
    with assembly.engine_of(config.engine, bundle, population, None) as engine:
        report = engine.train_round(np.arange(60)).report
    for name in ("gender", "age"):
        np.testing.assert_array_equal(report.triggered[name][:, 0], known[name].labels >= 0)


@pytest.mark.parametrize("names", [[], [""], ["gender", "gender"], [" "], "gender", [1]])
def test_names_that_are_no_list_are_refused(names):
    with pytest.raises(ConfigError, match=r"data.*attributes"):
        change(SMALL, attributes=names)


def test_what_cannot_be_unlearned_is_refused_before_training(tmp_path):
    dataset = data()
    folder = write(tmp_path / "data", dataset)
    refused = {("gender", "income"): "'income'; it has gender, age", ("income",): "'income'"}
    for attributes, text in refused.items():
        with pytest.raises(ConfigError, match=text):
            run.run(change(SMALL, attributes=attributes), tmp_path / "run", folder, Quiet())
    one = dataclasses.replace(dataset, attributes={**dataset.attributes, "age": Attribute(AGES, np.ones(60, np.int64))})
    with pytest.raises(OneClassError, match=r"age has only one class \(old\)"):
        run.run(SMALL, tmp_path / "run", write(tmp_path / "one", one), Quiet())
    assert not (tmp_path / "run").exists()
    for share in (-0.1, 1.0, float("nan")):
        with pytest.raises(ConfigError, match=r"data.unknown: must be"):
            change(SMALL, unknown=share)
    with pytest.raises(ConfigError, match="no client's gender is known to be"):
        run.run(change(SMALL, unknown=0.99), tmp_path / "run", folder, Quiet())
    assert not (tmp_path / "run").exists()
