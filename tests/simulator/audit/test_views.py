"""The server's view is the same whoever takes it: computed, watched while training, or recorded by a coordinator."""

import dataclasses
import shutil
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from client_sdk.kernel.training import Task
from fedau2.wire.contributions import Rows
from simulator.attacks.contract import Public, Setting
from simulator.attacks.prior import PriorSearch
from simulator.audit.audit import _watch, drawn
from simulator.audit.recording import Recorded
from simulator.audit.registry import chosen
from simulator.audit.request import Request
from simulator.audit.view import Watch, Watching, known, still
from simulator.errors import FleetError
from simulator.experiment import assembly
from tests.recommenders import LEAN
from tests.simulator.runs import prepared
from tests.simulator.settings import make

DEFENCES = {"adversary_clip_norm": 0.1, "noise_multiplier": 1.0, "cover_rows": 0.5}


def kept(seen, hidden):
    """What a round shows, as plain values that outlive it."""
    uploads = {
        f"{name}.{key}": value.numpy().copy()
        for name, each in seen.uploads.items()
        for key, value in {**each.gradients, "recovered": each.recovered}.items()
    }
    contributions = [
        {name: (u.indices, u.values) if isinstance(u, Rows) else (None, u) for name, u in one.items()}
        for one in seen.contributions()
    ]
    return seen.round, list(seen.clients), uploads, contributions, hidden.touched()


@contextmanager
def small(tmp_path, view, **options):
    """Configuration, task, population and engine of a few users, and how a view is taken of their training."""
    engine = "batched" if view is Watching else "fleet"
    config = make(dataset="synthetic", users=60, items=200, engine=engine, **options)
    _, bundle, population = prepared(config)
    audit = tmp_path / "recording" if view is Recorded else None
    with assembly.engine_of(config.engine, bundle, population, tmp_path, audit=audit) as engine:
        where = (audit,) if audit else ()
        take = lambda watch, sink: view(engine, bundle.manifest, watch, sink, *where)  # noqa: E731
        yield config, Task.load(bundle.manifest, engine.checkpoint), population, take


def trained(tmp_path, view, rounds=4, **options):
    """All rounds that some watched clients show while a small population trains."""
    shown = []
    with small(tmp_path, view, **options) as (config, _, population, take):
        watch = Watch(population, np.arange(0, 60, 2))
        watched = take(watch, lambda seen, hidden: shown.append(kept(seen, hidden)))
        for number in range(rounds):
            watched.train_round(assembly.cohort(config.engine, number, 60))
    return shown


@pytest.mark.parametrize("defences", [{}, DEFENCES], ids=["plain", "defended"])
@pytest.mark.parametrize("model", LEAN)
def test_a_coordinator_records_what_the_batched_engine_shows(tmp_path, model, defences):
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    options = {"model": model, "fraction": 0.3, **defences}
    computed = trained(tmp_path / "one", Watching, rounds=1, **options)
    recorded = trained(tmp_path / "other", Recorded, rounds=1, **options)
    assert len(computed) == len(recorded) == 1
    for (round_a, clients_a, uploads_a, sent_a, touched_a), (round_b, clients_b, uploads_b, sent_b, touched_b) in zip(
        computed, recorded, strict=True
    ):
        assert (round_a, clients_a) == (round_b, clients_b)
        np.testing.assert_array_equal(touched_a, touched_b)
        for name, value in uploads_a.items():
            # What noise makes of a ratio may be anything: that of noisy gradients agrees in the gradients alone.
            if name.endswith("recovered") and defences:
                continue
            np.testing.assert_allclose(uploads_b[name], value, atol=2e-4 * max(np.abs(value).max(), 1e-6))
        for one, other in zip(sent_a, sent_b, strict=True):
            assert one.keys() == other.keys()
            for name, (rows, value) in one.items():
                np.testing.assert_array_equal(rows, other[name][0])
                np.testing.assert_allclose(other[name][1], value, atol=1e-4 * max(np.abs(value).max(), 1e-6))


def test_a_recording_is_let_go_of_round_by_round(tmp_path):
    assert len(trained(tmp_path, Recorded, rounds=3, fraction=0.5)) == 3
    assert not list((tmp_path / "recording").glob("*/*/*.binpb"))


def test_a_view_starts_again_where_one_was_interrupted(tmp_path):
    config = make(dataset="synthetic", users=60, items=200, engine="fleet", fraction=0.5)
    _, bundle, population = prepared(config)
    folder = tmp_path / "recording"
    with assembly.engine_of(config.engine, bundle, population, tmp_path, audit=folder) as engine:
        engine.train_round(assembly.cohort(config.engine, 0, 60))
        task_id = engine.task_id
    (folder / task_id).rename(folder / "zzzz")  # the last by name, whatever the next task's is
    assert list(folder.glob("zzzz/0/*.binpb"))
    assert len(trained(tmp_path, Recorded, rounds=2, fraction=0.5)) == 2
    assert not list(folder.glob("*/*/*.binpb"))


def test_a_round_that_was_not_recorded_whole_is_not_taken_for_the_servers_view(tmp_path):
    config = make(dataset="synthetic", users=60, items=200, engine="fleet", fraction=0.5)
    _, bundle, population = prepared(config)
    folder, shown = tmp_path / "recording", []
    with assembly.engine_of(config.engine, bundle, population, tmp_path, audit=folder) as engine:
        watch = Watch(population, np.arange(60))
        view = Recorded(engine, bundle.manifest, watch, lambda *each: shown.append(1), folder)
        view.train_round(assembly.cohort(config.engine, 0, 60))
        shutil.rmtree(folder)
        folder.write_text("no room for a recording")
        with pytest.raises(FleetError, match="has not recorded all of round 1"):
            view.train_round(assembly.cohort(config.engine, 1, 60))
        folder.unlink()
        view.train_round(assembly.cohort(config.engine, 2, 60))
    assert len(shown) == 2


@pytest.mark.parametrize("view", [Watching, Recorded])
def test_a_round_without_watched_clients_is_trained_and_not_shown(tmp_path, view):
    shown = []
    with small(tmp_path, view, fraction=0.05) as (_, _, population, take):
        watched = take(Watch(population, np.arange(30)), lambda seen, hidden: shown.append(seen.round))
        for cohort in ([1, 40, 41], [42, 43, 44], [2, 45, 46]):
            watched.train_round(np.array(cohort))
    assert shown == [0, 2]


def test_watching_does_not_change_what_is_trained(tmp_path):
    def checkpoint(watched):
        config = make(dataset="synthetic", users=60, items=200, fraction=0.5)
        _, bundle, population = prepared(config)
        with assembly.engine_of(config.engine, bundle, population, tmp_path) as engine:
            if watched:
                watch = Watch(population, np.arange(30))
                engine = Watching(engine, bundle.manifest, watch, lambda seen, hidden: kept(seen, hidden))
            for number in range(3):
                engine.train_round(assembly.cohort(config.engine, number, 60))
            return engine.checkpoint

    one, other = checkpoint(False), checkpoint(True)
    for name, value in one.items():
        np.testing.assert_array_equal(value, other[name])


@pytest.mark.parametrize("view", [Watching, Recorded])
def test_public_users_are_known_as_they_are_at_the_beginning_of_the_round(tmp_path, view):
    known_states = []
    with small(tmp_path, view, fraction=0.5) as (config, task, population, take):
        watch, _ = _watch(Request(config, tmp_path, None, chosen(["prior"]), clients=10), task, population)
        watched = take(watch, lambda seen, hidden: known_states.append(watch.public["gender"].states))
        for number in range(3):
            before = population.state.values["user_gmf"][watch.others].copy()
            watched.train_round(assembly.cohort(config.engine, number, 60))
            np.testing.assert_array_equal(known_states[number], before)
    assert not np.array_equal(known_states[0], known_states[2])


def test_a_search_in_a_prior_learns_from_the_public_users_of_its_round(observed, tmp_path):
    task, population = observed(60, adversary_clip_norm=0.1, noise_multiplier=0.1)
    request = Request(make(), tmp_path, None, chosen(["prior"]), clients=10)
    watch, _ = _watch(request, task, population)
    seen, _ = watch.look(task, watch.members, 0)

    def costs(stale):
        public = Public(np.zeros_like(watch.public["gender"].states), watch.public["gender"].labels)
        if not stale:
            public.states = watch.public["gender"].states
        attack = PriorSearch(Setting(20, task.manifest, task.manifest.plan.adversaries[0], 0, public))
        if stale == "until now":
            public.states = watch.public["gender"].states
        attack.see(seen)
        return attack._costs

    np.testing.assert_array_equal(costs("until now"), costs(""))
    assert not np.array_equal(costs("still"), costs(""))


def test_nobody_is_looked_at_whom_no_attack_learns_from(observed, tmp_path):
    task, population = observed(60)
    watch, _ = _watch(Request(make(), tmp_path, None, chosen(["sign"]), clients=10), task, population)
    assert not watch.public


def test_a_still_view_leaves_the_population_as_it_is(observed):
    task, population = observed(40)
    before = population.state.pack()
    rounds = []
    still(Watch(population, np.arange(10)), task, range(3), lambda seen, hidden: rounds.append(kept(seen, hidden)))
    assert population.state.pack() == before
    assert [each[0] for each in rounds] == [0, 1, 2]
    assert isinstance(task, Task)


def test_part_of_a_round_is_that_part(observed):
    task, population = observed(40)
    seen, _ = Watch(population, np.arange(10)).look(task, np.arange(10), 2)
    chosen = np.arange(10) % 3 == 0
    part = seen.of(chosen)
    np.testing.assert_array_equal(part.clients, np.flatnonzero(chosen))
    np.testing.assert_array_equal(part.uploads["gender"].recovered, seen.uploads["gender"].recovered[chosen])
    whole = list(seen.contributions())
    for client, one in zip(part.clients, part.contributions(), strict=True):
        np.testing.assert_array_equal(one["output.bias"], whole[client]["output.bias"])


@given(st.integers(2, 40), st.integers(1, 10**6))
@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_however_many_are_watched_attackers_know_of_others(observed, tmp_path_factory, rare, clients):
    task, population = observed(60)
    genders = np.arange(60) < rare
    population = dataclasses.replace(
        population, attributes={"gender": [task.manifest.plan.adversaries[0].classes[int(g)] for g in genders]}
    )
    request = Request(make(), tmp_path_factory.getbasetemp(), None, [], clients=clients)
    members, others = drawn(request, task.manifest, population)
    assert not np.intersect1d(members, others).size
    assert len(members) + len(others) == 60
    assert len(np.unique(population.labels(task.manifest, others)["gender"])) == 2
    assert len(np.unique(population.labels(task.manifest, members)["gender"])) == 2


def test_who_is_attacked_is_no_public_user(observed, tmp_path):
    task, population = observed(60)
    request = Request(make(), tmp_path, None, [], clients=10)
    watch, _ = _watch(request, task, population)
    labels = population.labels(task.manifest, watch.members)["gender"]
    assert np.bincount(labels).tolist() == [10, 10]
    public = known(task, population, np.setdiff1d(np.arange(60), watch.members), 0)["gender"]
    assert len(public.states) == 40
    attacked = population.state.values["user_gmf"][watch.members]
    assert not (public.states[:, None] == attacked[None]).all(2).any()
