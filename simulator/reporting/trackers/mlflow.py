"""Runs of MLflow, on a server or in a folder."""

import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from export.plan.fragments import flat
from simulator.config.config import Config
from simulator.errors import TrackingError
from simulator.reporting.trackers.contract import Tracker
from simulator.reporting.trackers.packages import module

EXPERIMENT = "fedau2"
"""Name of the experiment in MLflow."""

_TAGS = {"commit": "mlflow.source.git.commit", "data": "data_checksum", "fedau2": "fedau2_version"}
_BATCH = 1000
"""Most metrics in a call of MLflow."""

_ESCAPED = re.compile(
    r"[^A-Za-z0-9_\-. /]"  # what MLflow allows in no name, or only its newer versions do
    r"|/(?=/|$)|^/|(?<![^/])\.(?=\.?(?:/|$))"  # parts of a path that mean another path
    r"|_(?=(?:at|u[0-9a-f]+)[^A-Za-z0-9 -])"  # what reads like an escaped character
)


class MLflow(Tracker):
    """Writes a run of the experiment `fedau2`.

    Args:
        uri: the URI of a tracking server or store, or a folder.

    Raises:
        TrackingError: MLflow is not installed, or the server or store cannot be used.
    """

    def __init__(self, uri: str) -> None:
        super().__init__()
        # By default MLflow sends usage data to its authors, and retries for four minutes without a message.
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        if "://" not in uri or uri.startswith("file:"):
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # else newer versions refuse a folder
        self._mlflow, self._run = module("mlflow"), ""
        with self._explained():
            self._client = self._mlflow.MlflowClient(uri)
            known = self._client.get_experiment_by_name(EXPERIMENT)
            self._experiment = known.experiment_id if known else self._client.create_experiment(EXPERIMENT)

    def begin(self, name: str, config: Config, facts: Mapping[str, str]) -> None:
        """Creates the run, with the configuration as its parameters and the facts as its tags."""
        entities = self._mlflow.entities
        tags = {_TAGS[fact]: value for fact, value in facts.items()}
        with self._explained():
            self._run = self._client.create_run(self._experiment, run_name=name, tags=tags).info.run_id
            parameters = [entities.Param(path, str(value)) for path, value in flat(config.document())]
            self._client.log_batch(self._run, params=parameters)

    def _write(self, values: Sequence[tuple[str, float, int]]) -> None:
        now, entity = int(time.time() * 1000), self._mlflow.entities.Metric
        with self._explained():
            for start in range(0, len(values), _BATCH):
                part = values[start : start + _BATCH]
                metrics = [entity(allowed(name), value, now, step) for name, value, step in part]
                self._client.log_batch(self._run, metrics=metrics)

    def _keep(self, files: Sequence[Path]) -> None:
        with self._explained():
            for path in files:
                self._client.log_artifact(self._run, str(path))

    def _close(self, finished: bool) -> None:
        if self._run:
            with self._explained():
                self._client.set_terminated(self._run, "FINISHED" if finished else "KILLED")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except self._mlflow.exceptions.MlflowException as error:
            raise TrackingError(f"MLflow: {error}") from error


def allowed(name: str) -> str:
    """Returns the name that a metric has in MLflow, which forbids some characters; no two names become the same.

    >>> allowed("test/ndcg@10"), allowed("training/trigger_rate_55+")
    ('test/ndcg_at_10', 'training/trigger_rate_55_u2b_')
    """
    return _ESCAPED.sub(lambda match: "_at_" if match[0] == "@" else f"_u{ord(match[0]):x}_", name)
