"""The audit of one exact sum: it reads every device where the crowd is thin, and nobody once thin rows are closed."""

import numpy as np
import pytest

from client_sdk.kernel.training import Task
from export import sums as policies
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.wire import blobs
from simulator.attacks.sums import Sums
from simulator.audit import row_sums
from simulator.audit.request import Request
from simulator.experiment.calibration import calibrate
from simulator.population.population import Population
from tests.simulator.runs import prepared
from tests.simulator.settings import make

USERS = 70
CONFIG = make(dataset="synthetic", users=USERS, items=6000, rounds=1, fraction=1.0, workers=1, head="none")
ALL = Sums(USERS)


@pytest.fixture(scope="module")
def run():
    _, bundle, population = prepared(CONFIG)
    return bundle, population


def calibrated(run, config):
    bundle, population = run
    checkpoint = blobs.unpack(bundle.blob(bundle.manifest.checkpoint))
    fresh = Population.create(bundle.manifest, 0, population.interactions, population.attributes)
    policy = calibrate(config.engine, bundle.manifest, checkpoint, fresh).policy(config.engine, bundle.manifest)
    return Task.load(policies.add(bundle, policy).manifest, checkpoint)


@pytest.fixture(scope="module", params=["plain", "grid"])
def task(run, request):
    bundle, _ = run
    if request.param == "grid":
        return calibrated(run, CONFIG)
    return Task.load(bundle.manifest, blobs.unpack(bundle.blob(bundle.manifest.checkpoint)))


def request_of(tmp_path, *groups):
    return Request(CONFIG, tmp_path, None, specs=[], sums=groups, sums_rounds=(10, 100))


def test_an_exact_sum_shows_all_devices_until_thin_rows_are_closed(run, task, tmp_path):
    request = request_of(tmp_path, ALL, Sums(8, fixed=True))
    attacked = row_sums.attack(request, task, run[1])
    audited = {finding.attack: (finding.score, sentence) for finding, sentence in attacked}
    hidden = task.manifest.HasField("secure_sums")
    stronger = {"lone-rows-70-fakes", "lone-rows-70-unmasker"} if hidden else set()
    assert audited.keys() == {"lone-rows-70", "lone-rows-70-closed"} | stronger
    for name in stronger:
        assert audited[name][0].success == 1
        assert audited[name][0].clients == row_sums.VICTIMS
    score, sentence = audited["lone-rows-70"]
    assert score.success >= 0.97
    assert score.clients == USERS
    assert f"{round(score.success * USERS)} of {USERS} devices" in sentence
    closed, sentence = audited["lone-rows-70-closed"]
    assert closed.success == 0
    assert "0 of 70 devices" in sentence


def test_noise_hides_every_device_but_from_who_has_the_unmasker_too(run, tmp_path):
    config = CONFIG.changed({"engine": {"noise_multiplier": 1.0}})
    request = Request(config, tmp_path, None, specs=[], sums=[ALL], sums_rounds=(10,))
    attacked = row_sums.attack(request, calibrated(run, config), run[1])
    read = {finding.attack: finding.score.success for finding, _ in attacked}
    assert read == {"lone-rows-70": 0, "lone-rows-70-fakes": 0, "lone-rows-70-unmasker": 1}


def test_several_local_steps_leave_no_line(run, task, tmp_path):
    several = TaskManifest()
    several.CopyFrom(task.manifest)
    several.plan.local.steps = 2
    several.plan.local.shared_learning_rate = 0.1
    loaded = Task.load(several, {name: np.asarray(value) for name, value in task.shared.items()})
    assert not list(row_sums.attack(request_of(tmp_path, ALL), loaded, run[1]))


def test_a_recommender_whose_rows_are_public_lines_cannot_be_read():
    assert "public" in row_sums.hindrance(TaskManifest(model="fedrap"))
    assert not row_sums.hindrance(TaskManifest(model="fedncf"))


def test_the_law_is_said_for_groups_that_are_drawn_anew(tmp_path):
    said = list(row_sums.law(request_of(tmp_path, Sums(10), Sums(10, fixed=True)), 700))
    assert len(said) == 1
    assert "after 10" in said[0]
    assert "after 100" in said[0]
    assert row_sums.names(Sums(5), 1) == ["lone-rows-5"]
