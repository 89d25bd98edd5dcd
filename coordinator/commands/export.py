"""`fedau2-coordinator export`: writes a task's newest model as a bundle, from which another task can go on."""

import argparse
import shutil
import tempfile
from pathlib import Path

from coordinator.commands.admin import TIMEOUT, add_address, stub
from coordinator.errors import BundleFolderError
from fedau2.v1.admin_pb2 import GetTaskRequest
from fedau2.v1.admin_pb2_grpc import AdminServiceStub
from fedau2.v1.device_pb2 import FetchResourceRequest
from fedau2.v1.task_pb2 import Resource
from fedau2.wire import manifest, succession
from fedau2.wire.blobs import Assembler


def add_export(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `export`."""
    parser.set_defaults(run=_export)
    parser.add_argument("task_id", metavar="TASK", help="the task's id, as create-task printed it")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write; it must not exist")
    add_address(parser)


def _export(args: argparse.Namespace) -> int:
    out: Path = args.out
    if out.exists():
        raise BundleFolderError(f"{out} exists already; name a folder that does not")
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        with stub(args) as admin:
            rounds = _write(admin, args.task_id, unfinished)
        unfinished.chmod(0o755)
        unfinished.rename(out)
    except BaseException:
        shutil.rmtree(unfinished)
        raise
    print(f"{out}: the model after {rounds} rounds; it is not signed, so sign it again if your apps list publishers")
    return 0


def _write(admin: AdminServiceStub, task_id: str, folder: Path) -> int:
    task = admin.GetTask(GetTaskRequest(task_id=task_id), timeout=TIMEOUT)
    data = _fetch(admin, task.manifest)
    bundle = manifest.parse(data)
    bundle.checkpoint.CopyFrom(task.checkpoint)
    bundle.ancestors[:] = succession.ancestors(data)
    bundle.first_round = task.first_round + task.round
    bundle.ClearField("signature")  # it signed another checkpoint
    bundle.ClearField("release")
    (folder / "blobs").mkdir()
    for resource in manifest.blobs(bundle):
        (folder / "blobs" / resource.sha256.hex()).write_bytes(_fetch(admin, resource))
    (folder / "manifest.binpb").write_bytes(bundle.SerializeToString(deterministic=True))
    return task.round


def _fetch(admin: AdminServiceStub, resource: Resource) -> bytes:
    assembler = Assembler(resource)
    for part in admin.FetchResource(FetchResourceRequest(sha256=resource.sha256)):
        assembler.add(part.data)
    return assembler.finish()
