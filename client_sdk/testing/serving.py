"""Serves in a child process, and creates a task there."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from client_sdk.errors import LocalCoordinatorError
from fedau2.wire import addresses, blobs, bundles, leases, manifest
from fedau2.wire.errors import WireError

if TYPE_CHECKING:
    from fedau2.v1.admin_pb2 import CreateTaskRequest
    from fedau2.v1.admin_pb2_grpc import AdminServiceStub

PATIENCE = 60.0
"""Seconds in which the coordinator answers, and by default commits a round."""


class Server:
    """A coordinator in a child process, which starts while the caller goes on.

    Args:
        folder: an empty folder of its own.
        process: the child.
    """

    def __init__(self, folder: Path, process: "subprocess.Popen[str]") -> None:
        self._folder, self._process = folder, process

    def addresses(self) -> tuple[str, str]:
        """Waits until it serves, and returns the addresses for devices and for operators.

        Raises:
            LocalCoordinatorError: it could not start.
        """
        assert self._process.stdout is not None
        matches = [re.search(r"serving \w+ on (\S+)", self._process.stdout.readline()) for _ in range(2)]
        devices, admin = (match[1] if match else "" for match in matches)
        if not admin:
            raise LocalCoordinatorError(f"the coordinator did not start: {_log(self._folder).read_text().strip()}")
        return devices, admin


def _log(folder: Path) -> Path:
    return folder / "coordinator.log"


@contextmanager
def serve(folder: Path) -> Iterator[Server]:
    """Starts a coordinator with its state in a folder, and ends it with the block."""
    serve = ["-m", "coordinator", "serve", f"--state={folder}/state", "--listen=127.0.0.1:0", "--admin=127.0.0.1:0"]
    # -P keeps a folder of the app with the same name from being imported instead.
    command = [sys.executable, "-P", *serve]
    with (
        _log(folder).open("w") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        try:
            yield Server(folder, process)
        finally:
            process.terminate()


@contextmanager
def operator(admin: str) -> Iterator["AdminServiceStub"]:
    """Connects to the coordinator's service for operators.

    Raises:
        LocalCoordinatorError: a call within the block failed; the text is the coordinator's.
    """
    import grpc

    from fedau2.v1.admin_pb2_grpc import AdminServiceStub

    with grpc.insecure_channel(*addresses.channel(admin)) as channel:
        try:
            yield AdminServiceStub(channel)
        except grpc.RpcError as error:
            raise LocalCoordinatorError(f"the coordinator refused or does not answer: {error.details()}") from error


def signed_for(bundle: Path) -> str:
    """Returns the population that a bundle was signed for; empty: it was not signed.

    Raises:
        LocalCoordinatorError: the folder is not a bundle.
    """
    try:
        return bundles.read_manifest(bundle).release.population
    except (OSError, WireError) as error:
        raise LocalCoordinatorError(f"{bundle} is not a bundle that can be served: {error}") from error


def create_task(admin: str, bundle: Path, population: str, rounds: int, goal: int) -> str:
    """Creates a task of a bundle, with the times of `fedau2-coordinator create-task`, and returns its id.

    Raises:
        LocalCoordinatorError: the folder is not a bundle, or the coordinator refuses it.
    """
    requests = _requests(bundle, population, rounds, goal)
    with operator(admin) as stub:
        return stub.CreateTask(iter(requests), timeout=PATIENCE).task_id


def _requests(bundle: Path, population: str, rounds: int, goal: int) -> "list[CreateTaskRequest]":
    from fedau2.v1.admin_pb2 import BlobPart, CreateTaskHeader, CreateTaskRequest
    from fedau2.v1.task_pb2 import ClosingRule

    try:
        data = (bundle / bundles.MANIFEST).read_bytes()
        task = manifest.parse(data)
        contents = [(each.sha256, bundles.read_blob(bundle, each)) for each in manifest.blobs(task)]
    except (OSError, WireError) as error:
        raise LocalCoordinatorError(f"{bundle} is not a bundle that can be served: {error}") from error
    closing = ClosingRule(goal=goal, minimum=goal, maximum=goal, over_selection=0.3)
    lease = leases.lease(task)
    closing.lease.FromMilliseconds(round(lease * 1000))
    closing.deadline.FromMilliseconds(round(leases.deadline(lease) * 1000))
    header = CreateTaskHeader(population=population, manifest=data, rounds=rounds, closing=closing)
    parts = (BlobPart(sha256=digest, data=piece) for digest, blob in contents for piece in blobs.chunks(blob))
    return [CreateTaskRequest(header=header), *(CreateTaskRequest(blob=part) for part in parts)]
