"""The log of an unmasker as JSON: a device's evidence is in no line."""

import json
import os
import signal
import subprocess
import sys

import grpc
import pytest

from fedau2.v1.unmasker_pb2 import EVIDENCE_CLASS_INVITATION
from fedau2.v1.unmasker_pb2_grpc import EnrolmentServiceStub
from tests.unmasker.device import Device
from unmasker import Books, StateFolder
from unmasker.cli import main

SECRET = "an-unmistakable-secret"


def test_an_unmasker_logs_objects_without_evidence(tmp_path):
    folder = tmp_path / "state"
    assert main(["init", "--state", str(folder)]) == 0
    words = [sys.executable, "-m", "unmasker", "serve", "--state", str(folder), "--log-format", "json"]
    words += ["--accept", "open", "--accept", "invitation"]
    addresses = ["--listen", "127.0.0.1:0", "--coordinator", "127.0.0.1:0"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([*words, *addresses], **pipes, text=True, env=os.environ) as child:
        address = child.stdout.readline().split()[-1]
        enrol(address, identity(folder))
        child.send_signal(signal.SIGHUP)
        enrol(address, identity(folder))  # it still serves
        child.send_signal(signal.SIGTERM)
        _, log = child.communicate(timeout=60)
    assert child.returncode == 0
    assert "SIGHUP: replaced certificates are used without a restart" in log
    lines = [json.loads(line) for line in log.splitlines()]
    assert {"unmasker.commands.serve", "unmasker.grpc.handlers"} <= {line["logger"] for line in lines}
    assert SECRET not in log


def identity(folder):
    books = Books(StateFolder(folder))
    books.close()
    return books.keys.public.identity


def enrol(address, identity):
    """Shows evidence that is wrong, and a token."""
    request = Device().request(identity, EVIDENCE_CLASS_INVITATION, SECRET.encode())
    with grpc.insecure_channel(address) as channel, pytest.raises(grpc.RpcError):
        EnrolmentServiceStub(channel).Enrol(request, metadata=(("authorization", f"Bearer {SECRET}"),))
