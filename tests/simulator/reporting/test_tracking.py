import json
import os
import posixpath
import re
import subprocess
import sys

import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fedau2 import __version__
from simulator.commands import cli
from simulator.errors import TrackingError
from simulator.experiment import run
from simulator.reporting.trackers.contract import Tracker
from simulator.reporting.trackers.mlflow import MLflow, allowed
from simulator.reporting.trackers.tensorboard import TensorBoard
from simulator.reporting.trackers.wandb import WandB
from tests.simulator.quiet import Quiet
from tests.simulator.settings import make

pytestmark = pytest.mark.usefixtures("fewer")

SMALL = make(dataset="synthetic", rounds=6, evaluate_every=2, users=60, items=200, workers=1, attack_splits=1)
OPTIONS = [
    *("--dataset", "synthetic", "--users", "60", "--items", "200"),
    *("--rounds", "6", "--evaluate-every", "2", "--attack-splits", "1"),
]

REPRODUCE = [
    *("reproduce", "table1", "--quick", "--dataset", "synthetic", "--method", "original", "--seeds", "0,1"),
    *("--rounds", "2", "--attack-splits", "1", "--jobs", "1"),
]


def read(folder):
    """Scalars of an event folder: steps and values by tag."""
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulators.EventAccumulator(str(folder), purge_orphaned_data=True).Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_tensorboard_reads_back_what_the_run_wrote(tmp_path):
    pytest.importorskip("tensorboard", reason="TensorBoard is not installed")
    command = ["run", *OPTIONS, "--out", str(tmp_path / "one"), "--tensorboard", str(tmp_path / "board")]
    assert cli.main(command) == 0
    scalars = read(tmp_path / "board/one")
    rounds = pd.read_parquet(tmp_path / "one/rounds.parquet").set_index("round")
    for tag, column in (("training/loss", "loss"), ("validation/ndcg@10", "ndcg@10")):
        expected = rounds[column].dropna()
        assert [step for step, _ in scalars[tag]] == expected.index.tolist()
        assert [value for _, value in scalars[tag]] == pytest.approx(expected.tolist(), rel=1e-6)
    metrics = json.loads((tmp_path / "one/metrics.json").read_text())
    assert scalars["test/bacc_strong"] == [(metrics["round"], pytest.approx(metrics["bacc_strong"]))]
    assert scalars["test/parameters/shared"][0][1] == metrics["parameters"]["shared"]
    settings = hyper_parameters(tmp_path / "board/one")
    assert settings["plan.adversary.epsilon"] == 400
    assert settings["data"] == json.loads((tmp_path / "one/dataset.json").read_text())["sha256"]


def hyper_parameters(folder):
    """The hyper-parameters of an event folder."""
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    plugin_data = pytest.importorskip("tensorboard.plugins.hparams.plugin_data_pb2")
    events = accumulators.EventAccumulator(str(folder)).Reload()
    content = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    values = plugin_data.HParamsPluginData.FromString(content).session_start_info.hparams
    return {name: getattr(value, value.WhichOneof("kind")) for name, value in values.items()}


def test_a_resumed_run_has_every_round_once(tmp_path):
    pytest.importorskip("tensorboard", reason="TensorBoard is not installed")
    with pytest.raises(KeyboardInterrupt), TensorBoard(tmp_path / "board") as board:
        run.run(SMALL, tmp_path / "one", None, Quiet(stop_after=5), [board])
    assert [step for step, _ in read(tmp_path / "board/one")["training/loss"]] == [1, 2, 3, 4]
    with TensorBoard(tmp_path / "board") as board:
        run.run(SMALL, tmp_path / "one", None, Quiet(), [board])
    assert [step for step, _ in read(tmp_path / "board/one")["training/loss"]] == [1, 2, 3, 4, 5, 6]


def test_every_run_of_an_experiment_has_its_event_folder(tmp_path):
    pytest.importorskip("tensorboard", reason="TensorBoard is not installed")
    command = [*REPRODUCE, "--out", str(tmp_path / "grid"), "--tensorboard", str(tmp_path / "board")]
    assert cli.main(command) == 0
    runs = sorted(path.name for path in (tmp_path / "grid/runs").iterdir())
    assert len(runs) == 2
    assert sorted(path.name for path in (tmp_path / "board/grid").iterdir()) == runs
    for name in runs:
        metrics = json.loads((tmp_path / "grid/runs" / name / "metrics.json").read_text())
        assert read(tmp_path / "board/grid" / name)["test/ndcg@10"][0][1] == pytest.approx(metrics["ndcg@10"])


@pytest.mark.parametrize("command", [["run", *OPTIONS], REPRODUCE], ids=["run", "reproduce"])
def test_a_folder_that_cannot_be_created_is_refused_before_training(tmp_path, capsys, command):
    pytest.importorskip("tensorboard", reason="TensorBoard is not installed")
    (tmp_path / "file").write_text("")
    options = ["--out", str(tmp_path / "one"), "--tensorboard", str(tmp_path / "file/board")]
    assert cli.main([*command, *options]) == 1
    assert f"TensorBoard: {tmp_path}/file/board" in capsys.readouterr().err
    assert not (tmp_path / "one").exists()


@pytest.mark.parametrize("command", [["run", *OPTIONS], REPRODUCE], ids=["run", "reproduce"])
@pytest.mark.parametrize(
    ("option", "module"), [("--tensorboard", "tensorboard"), ("--mlflow", "mlflow"), ("--wandb", "wandb")]
)
def test_a_missing_package_is_named_before_training(tmp_path, monkeypatch, capsys, command, option, module):
    monkeypatch.setitem(sys.modules, module, None)
    assert cli.main([*command, "--out", str(tmp_path / "one"), option, str(tmp_path / "store")]) == 1
    assert f"{module} is not installed: it needs pip install 'fedau2[{module}]'" in capsys.readouterr().err
    assert not (tmp_path / "one").exists()


def mlflow_runs(uri):
    """Returns a client of the store, and the runs of the experiment by name."""
    client = pytest.importorskip("mlflow").MlflowClient(uri)
    (experiment,) = [entry for entry in client.search_experiments() if entry.name == "fedau2"]
    return client, {entry.info.run_name: entry for entry in client.search_runs([experiment.experiment_id])}


@pytest.fixture
def mlflow_store(tmp_path, monkeypatch):
    """A store that needs neither a server nor a database."""
    pytest.importorskip("mlflow", reason="MLflow is not installed")
    monkeypatch.delenv("MLFLOW_ALLOW_FILE_STORE", raising=False)
    return (tmp_path / "store").as_uri()


def test_mlflow_reads_back_what_the_run_wrote(tmp_path, mlflow_store):
    with MLflow(mlflow_store) as tracker:
        metrics = run.run(SMALL, tmp_path / "one", None, Quiet(), [tracker])
    client, runs = mlflow_runs(mlflow_store)
    written = runs["one"]
    assert written.info.status == "FINISHED"
    assert written.data.params["plan.adversary.epsilon"] == "400.0"
    assert written.data.metrics["test/ndcg_at_10"] == pytest.approx(metrics["ndcg@10"])
    data = json.loads((tmp_path / "one/dataset.json").read_text())["sha256"]
    assert (written.data.tags["data_checksum"], written.data.tags["fedau2_version"]) == (data, __version__)
    kept = {entry.path for entry in client.list_artifacts(written.info.run_id)}
    assert {"config.yaml", "metrics.json", "report.html", "leakage.png"} <= kept
    assert not [name for name in kept if name.startswith(("model", "state", "ranks"))]
    losses = pd.read_parquet(tmp_path / "one/rounds.parquet")["loss"].tolist()
    history = client.get_metric_history(written.info.run_id, "training/loss")
    assert [point.value for point in history] == pytest.approx(losses)
    with pytest.raises(KeyboardInterrupt), MLflow(mlflow_store) as tracker:
        run.run(SMALL, tmp_path / "two", None, Quiet(stop_after=3), [tracker])
    assert mlflow_runs(mlflow_store)[1]["two"].info.status == "KILLED"
    with pytest.raises(TrackingError, match="MLflow"):
        MLflow("gopher://nowhere")


NAMES = st.text(st.sampled_from("at_u2fb5@+/.é€: -") | st.characters(codec="utf-8"), min_size=1)


@given(NAMES)
@example("55+")
@example("_at@")
@example("_at_")
@example("a//../b/")
def test_mlflow_takes_every_name_and_no_two_become_the_same(name):
    written = allowed(f"test/{name}")
    assert re.fullmatch(r"[A-Za-z0-9_\-. /]+", written)
    assert posixpath.normpath(written) == written
    read_back = re.sub(r"_(?:at|u([0-9a-f]+))_", lambda part: chr(int(part[1], 16)) if part[1] else "@", written)
    assert read_back == f"test/{name}"


class Broken(Tracker):
    """A tracker that fails at the first write, and at the end."""

    def __init__(self):
        super().__init__()
        self.calls, self.rows = 0, []

    def begin(self, name, config, facts):
        """Begins."""

    def _write(self, values):
        self.calls += 1
        if self.calls == 1:
            raise TrackingError("the server\nis away")
        self.rows += [number for name, _, number in values if name == "training/loss"]

    def _keep(self, files):
        raise OSError("the disk is full")

    def _close(self, finished):
        raise RuntimeError("closed twice")


def test_a_tracker_that_fails_does_not_end_a_run_and_is_named_in_a_line(tmp_path, caplog):
    with Broken() as tracker:
        metrics = run.run(SMALL, tmp_path, None, Quiet(), [tracker], attacks="none")
    assert json.loads((tmp_path / "metrics.json").read_text())["round"] == metrics["round"]
    assert tracker.rows == [1, 2, 3, 4, 5, 6]
    lines = [record.getMessage() for record in caplog.records if "tracker" in record.getMessage()]
    assert lines == [
        "the tracker Broken has failed, and the run goes on: TrackingError: the server is away",
        "the tracker Broken has failed, and the run goes on: OSError: the disk is full",
    ]


def test_every_run_of_an_experiment_is_a_run_in_mlflow(tmp_path, mlflow_store):
    assert cli.main([*REPRODUCE, "--out", str(tmp_path / "grid"), "--mlflow", mlflow_store]) == 0
    _, runs = mlflow_runs(mlflow_store)
    assert sorted(runs) == sorted(path.name for path in (tmp_path / "grid/runs").iterdir())
    for name, written in runs.items():
        metrics = json.loads((tmp_path / "grid/runs" / name / "metrics.json").read_text())
        assert written.data.metrics["test/ndcg_at_10"] == pytest.approx(metrics["ndcg@10"])


def test_mlflow_sends_nothing_to_its_authors(mlflow_store):
    code = f"""
from simulator.reporting.trackers.contract import Tracker
from simulator.reporting.trackers.mlflow import MLflow, allowed
MLflow({mlflow_store!r})
from mlflow.telemetry import get_telemetry_client
print(get_telemetry_client())
"""
    # MLflow sends nothing either where one of these variables indicates a test.
    hidden = ("CI", "PYTEST", "BUILD", "JENKINS", "GITHUB", "GITLAB", "MLFLOW_DISABLE", "DO_NOT_TRACK")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "None\n"


def test_wandb_keeps_what_the_run_wrote(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb", reason="W&B is not installed")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    ended, finish = [], wandb.sdk.wandb_run.Run.finish

    def ends(written, exit_code):
        ended.append((dict(written.config), dict(written.summary), exit_code))
        finish(written, exit_code=exit_code)

    monkeypatch.setattr(wandb.sdk.wandb_run.Run, "finish", ends)
    with WandB("fedau2") as tracker:
        metrics = run.run(SMALL, tmp_path / "one", None, Quiet(), [tracker], attacks="none")
    ((config, summary, code),) = ended
    assert code == 0
    assert config["plan.adversary.epsilon"] == 400
    assert len(config["facts.data"]) == 64
    assert summary["test/ndcg@10"] == pytest.approx(metrics["ndcg@10"])
    assert list(tmp_path.glob("wandb/offline-run-*/*.wandb"))
