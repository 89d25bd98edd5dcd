"""The audit of many opened sums: what they show of single clients grows with the rounds, and noise hides it."""

import numpy as np
import pytest

from client_sdk.kernel.training import Task
from export import sums as policies
from fedau2.wire import blobs
from simulator.attacks.aims import Learns
from simulator.attacks.sums import Sums
from simulator.audit import regressed_sums
from simulator.audit.request import Request
from simulator.experiment.calibration import calibrate
from simulator.population.population import Population
from tests.simulator.runs import prepared
from tests.simulator.settings import make

USERS, OF, ROUNDS = 128, Sums(64), 30
CONFIG = make(
    dataset="synthetic", model="fedvae", users=USERS, items=200, rounds=1, fraction=0.5, workers=1, head="none"
).changed({"plan": {"model": {"hidden": 16, "latent": 8}}})


@pytest.fixture(scope="module")
def run():
    _, bundle, population = prepared(CONFIG)
    return bundle, population


def attacked(run, tmp_path, rounds, **engine):
    bundle, population = run
    config = CONFIG.changed({"engine": {"row_threshold": 0, **engine}})
    checkpoint = blobs.unpack(bundle.blob(bundle.manifest.checkpoint))
    fresh = Population.create(bundle.manifest, 0, population.interactions, population.attributes)
    policy = calibrate(config.engine, bundle.manifest, checkpoint, fresh).policy(config.engine, bundle.manifest)
    task = Task.load(policies.add(bundle, policy).manifest, checkpoint)
    request = Request(config, tmp_path, None, specs=[], sums=[OF, Sums(16, fixed=True)], sums_rounds=rounds)
    findings = regressed_sums.attack(request, task, population, np.arange(USERS))
    return {(finding.attack, finding.participations): finding.score for finding in findings}


def test_more_rounds_show_more_recorded_items_and_noise_hides_them(run, tmp_path):
    exact = attacked(run, tmp_path, (1, 2, ROUNDS))
    assert exact.keys() == {("sums-64-items", 1), ("sums-64-latent", 1), ("sums-64-items", 15), ("sums-64-latent", 15)}
    few, many = exact["sums-64-items", 1], exact["sums-64-items", 15]
    assert few.success < 0.6
    assert many.success > many.null_p95 + 0.05
    noisy = attacked(run, tmp_path, (ROUNDS,), noise_multiplier=4.0)["sums-64-items", 15]
    assert noisy.success < noisy.null_p95 + 0.02
    assert noisy.clients == USERS


def test_what_cannot_be_attacked_is_said_with_the_reason(run, tmp_path):
    bundle, _ = run
    request = Request(CONFIG, tmp_path, None, specs=[], sums=[OF], sums_rounds=(1,))
    assert "integers" in regressed_sums.hindrance(request, bundle.manifest)
    assert regressed_sums.names(OF, bundle.manifest) == {
        "sums-64-items": Learns.RECORDED,
        "sums-64-latent": Learns.STATE,
    }
