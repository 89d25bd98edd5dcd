"""The operator's commands against a coordinator that serves."""

import json
import urllib.error
import urllib.request

import pytest

from coordinator.cli import main
from coordinator.metrics.scrape import Scrape
from fedau2.wire import bundles, signatures


@pytest.fixture
def process(tools, tmp_path):
    process = tools.Process(tmp_path / "state")
    yield process
    process.end(process.child.terminate)


@pytest.fixture
def task(tools, tmp_path, process, capsys):
    tools.make_bundle().write(tmp_path / "bundle")
    return create(process, tmp_path / "bundle", capsys)


def create(process, bundle, capsys):
    arguments = ["--bundle", str(bundle), "--population", "movies", "--rounds", "2", "--goal", "1"]
    assert run(process, "create-task", *arguments) == 0
    return capsys.readouterr().out.strip()


def run(process, command, *arguments):
    return main([command, *arguments, "--admin", process.admin])


def test_a_task_is_paused_resumed_and_stopped(process, task, capsys):
    for command, state in [("pause", "paused"), ("pause", "paused"), ("resume", "running")]:
        assert run(process, command, task) == 0
        assert capsys.readouterr().out == f"{task} {state}\n"
    assert run(process, "stop", task) == 1
    assert "--yes" in capsys.readouterr().err
    assert run(process, "stop", task, "--yes") == 0
    assert run(process, "resume", task) == 1
    assert f"task {task} is stopped" in capsys.readouterr().err
    assert run(process, "watch", task) == 0  # ends at once: the task is over


def test_status_and_rounds_as_json(process, task, capsys):
    assert run(process, "status", "--json") == 0
    assert json.loads(capsys.readouterr().out)["task_id"] == task
    assert run(process, "rounds", task, "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["round"], shown["attempt"], shown["state"]) == ("0", 0, "ROUND_STATE_COLLECTING")


def test_what_is_exported_can_be_run(process, task, tmp_path, capsys):
    assert run(process, "export", task, "--out", str(tmp_path / "out")) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"blobs", "manifest.binpb"}
    assert run(process, "export", task, "--out", str(tmp_path / "out")) == 1
    assert "exists already" in capsys.readouterr().err
    assert run(process, "stop", task, "--yes") == 0
    capsys.readouterr()
    assert create(process, tmp_path / "out", capsys) != task


def test_a_signature_is_not_exported_with_another_checkpoint(process, tools, tmp_path, capsys):
    tools.make_bundle().write(tmp_path / "bundle")
    path = tmp_path / "bundle" / "manifest.binpb"
    path.write_bytes(signatures.attach(path.read_bytes(), bytes(64)))
    task = create(process, tmp_path / "bundle", capsys)
    assert run(process, "export", task, "--out", str(tmp_path / "out")) == 0
    assert "sign it again" in capsys.readouterr().out
    assert not bundles.read_manifest(tmp_path / "out").signature


def test_an_export_that_fails_leaves_nothing(process, tmp_path, capsys):
    assert run(process, "export", "unknown", "--out", str(tmp_path / "out" / "here")) == 1
    assert "no task 'unknown'" in capsys.readouterr().err
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(("health", "code"), [("starting", 503), ("serving", 200), ("draining", 503)])
def test_health_over_http(health, code):
    with Scrape("127.0.0.1:0", lambda: None, lambda: health) as scrape:
        try:
            with urllib.request.urlopen(f"http://{scrape.address}/healthz") as answer:
                seen = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            seen = error.code, error.read()
            error.close()
    assert seen == (code, f"{health}\n".encode())
