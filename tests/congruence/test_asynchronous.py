"""The asynchronous fleet: the same bytes each time, over either transport, and those of a fleet whose rounds wait."""

import pytest

from fedau2.v1.task_pb2 import BufferedRounds
from fedau2.wire import blobs, staleness
from simulator.engines import task_creation
from simulator.engines.asynchronous import AsynchronousFleet, Speeds
from simulator.engines.connections import InProcessConnection
from simulator.engines.coordinator_process import CoordinatorProcess
from simulator.errors import ConfigError
from tests.congruence.conftest import CLIENTS, COHORT
from tests.congruence.test_fleet import outcome

ROUNDS = 8


@pytest.fixture
def make_buffered(make_bundle):
    def make(most_stale=20):
        bundle = make_bundle()
        buffered = BufferedRounds(staleness_exponent=0.5, most_stale=most_stale)
        bundle.manifest.plan.server.buffered.CopyFrom(buffered)
        bundle.manifest.required_features.append(staleness.FEATURE)
        return bundle

    return make


@pytest.fixture
def asynchronous(tmp_path):
    started = []

    def make(bundle, population, buffer, slow=0.3, transport="inproc"):
        folder = tmp_path / str(len(started))

        async def connect():
            if transport == "inproc":
                return await InProcessConnection.open(folder)
            return await CoordinatorProcess(folder).connect()

        fleet = AsynchronousFleet.start(
            connect,
            bundle,
            population,
            COHORT,
            ROUNDS,
            rule=task_creation.closing(buffer, COHORT),
            speeds=Speeds(0, CLIENTS, slow),
        )
        started.append(fleet)
        return fleet

    yield make
    for fleet in started:
        fleet.close()


def test_late_contributions_count_in_the_same_way_each_time(make_buffered, make_population, asynchronous, cohorts):
    results = []
    for transport in ("inproc", "grpc"):
        bundle = make_buffered()
        population = make_population(bundle)
        fleet = asynchronous(bundle, population, 2, transport=transport)
        results.append((outcome(fleet, population, cohorts[:ROUNDS]), fleet.account))
    assert results[0] == results[1]
    _, account = results[0]
    counts = account.staleness
    assert sum(counts.values()) == account.counted == 2 * ROUNDS
    assert max(counts) > 1, "slow devices come rounds later"
    assert not account.refused


def test_devices_that_are_too_late_train_for_nothing(make_buffered, make_population, asynchronous, cohorts):
    bundle = make_buffered(most_stale=1)
    population = make_population(bundle)
    fleet = asynchronous(bundle, population, 1, slow=0.5)
    for members in cohorts[:ROUNDS]:
        fleet.train_round(members)
    assert fleet.account.staleness.keys() <= {0, 1}
    assert fleet.account.refused
    assert fleet.account.wasted > 0


def test_a_buffer_of_the_whole_cohort_is_a_round_that_waits(
    make_buffered, make_bundle, make_population, fleet, asynchronous, cohorts
):
    bundle, plain = make_buffered(), make_bundle()
    population, other = make_population(bundle), make_population(plain)
    buffered, waiting = asynchronous(bundle, population, COHORT), fleet(plain, other, rounds=ROUNDS)
    for members in cohorts[:ROUNDS]:
        buffered.train_round(members)
        waiting.train_round(members)
    assert buffered.account.staleness.keys() == {0}
    assert blobs.sha256(blobs.pack(buffered.checkpoint)) == blobs.sha256(blobs.pack(waiting.checkpoint))


def test_the_batched_engine_refuses_buffered_rounds(make_buffered, make_population, batched):
    bundle = make_buffered()
    with pytest.raises(ConfigError, match=r"set engine.name to fleet"):
        batched(bundle, make_population(bundle))
