import errno
import os
import signal
import subprocess
import sys

import psutil
import pytest

from simulator.experiment import lock, pool
from simulator.experiment.pool import Job
from tests.simulator.settings import change, make

SMALL = make(dataset="synthetic", rounds=2, users=60, items=200, workers=1, attack_splits=1)


class Heard:
    """Keeps what a run reports; may act on its first round."""

    def __init__(self, then=lambda: None):
        self.phases, self.parts, self.then = [], 0, then

    def start(self, what, total, done=0):
        self.phases.append((what, total, done))

    def advance(self, text=""):
        self.parts += 1
        if self.parts == 1:
            self.then()


def jobs(folder, **changes):
    return [Job(name, change(SMALL, **settings), folder / name, None) for name, settings in changes.items()]


def test_runs_report_and_a_failed_one_leaves_the_others_alone(tmp_path):
    heard = {}
    todo = jobs(tmp_path, unknown={"attributes": ["age"]}, works={})
    done = {each.job.name: each for each in pool.work(todo, 1, lambda job: heard.setdefault(job.name, Heard()))}
    assert list(done) == ["unknown", "works"]
    assert done["works"].metrics["round"] == 2
    assert done["works"].metrics["configuration"] == SMALL.document()
    assert heard["works"].phases == [("training", 2, 0), ("attacking", 232, 0)]
    assert heard["works"].parts == 2 + 232
    assert done["unknown"].metrics is None
    assert done["unknown"].error.startswith("ConfigError: synthetic has no attribute 'age'")


@pytest.mark.slow
def test_a_process_that_dies_fails_its_run_only(tmp_path, monkeypatch):
    workers = []
    start = pool.Child.__init__
    monkeypatch.setattr(pool.Child, "__init__", lambda self, serve: (start(self, serve), workers.append(self))[0])
    first = Heard(lambda: os.kill(workers[0].process.pid, signal.SIGKILL))
    seen = iter([first, Heard()])
    done = list(pool.work(jobs(tmp_path, killed={"rounds": 500}, works={}), 1, lambda _: next(seen)))
    assert [each.job.name for each in done] == ["killed", "works"]
    assert "ended with -9" in done[0].error
    assert done[1].metrics is not None
    assert not any(worker.process.is_alive() for worker in workers)


@pytest.mark.slow
def test_interrupting_ends_every_process_and_the_run_goes_on_later(tmp_path, monkeypatch):
    def interrupt():
        raise KeyboardInterrupt

    workers = []
    start = pool.Child.__init__
    monkeypatch.setattr(pool.Child, "__init__", lambda self, serve: (start(self, serve), workers.append(self))[0])
    with pytest.raises(KeyboardInterrupt):
        list(pool.work(jobs(tmp_path, one={"rounds": 500}), 2, lambda _: Heard(interrupt)))
    assert workers
    assert {worker.process.exitcode for worker in workers} == {1}  # by itself, and not killed
    assert not (tmp_path / "one/metrics.json").exists()


def test_a_folder_in_use_fails_its_run_only_and_says_so(tmp_path):
    with lock.hold(tmp_path / "used"):
        done = list(pool.work(jobs(tmp_path, used={}, free={}), 1, lambda _: Heard()))
    assert "another run or audit is using" in done[0].error
    assert done[1].metrics is not None


ATTACKING = """
import sys
from pathlib import Path
from simulator.experiment import lock, pool
from tests.simulator.settings import make

class Shown:
    def start(self, what, total, done=0):
        print(what, flush=True)

    def advance(self, text=""):
        pass

config = make(dataset="synthetic", rounds=1, users=60, items=200, workers=1, attack_splits=10**6)
list(pool.work([pool.Job("one", config, Path(sys.argv[1]), None)], 1, lambda _: Shown()))
"""


@pytest.mark.slow
def test_a_killed_parent_leaves_no_process_behind(tmp_path):
    command = [sys.executable, "-c", ATTACKING, str(tmp_path / "one")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert "attacking\n" in parent.stdout  # from here on the run says nothing
        children = psutil.Process(parent.pid).children(recursive=True)
        parent.kill()
    _, left = psutil.wait_procs(children, timeout=60)
    for each in left:
        each.kill()
    assert children
    assert left == []


def test_a_full_disk_ends_everything_and_says_so(tmp_path):
    if not os.path.exists("/dev/full"):  # noqa: PTH110
        pytest.skip("this system has no /dev/full")
    (tmp_path / "one").mkdir()
    (tmp_path / "one/ranks.parquet").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left") as raised:
        list(pool.work(jobs(tmp_path, one={}, two={"rounds": 500}), 1, lambda _: Heard()))
    assert raised.value.errno == errno.ENOSPC
    assert not (tmp_path / "two").exists()
