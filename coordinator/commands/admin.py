"""Parts that the commands for operators share: the address, the channel, and the text of an error."""

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
from google.protobuf.message import Message

from coordinator.commands import credentials, operators_address
from fedau2.v1.admin_pb2_grpc import AdminServiceStub
from fedau2.wire import addresses

TIMEOUT = 30.0
"""Most seconds that a short call may take."""

_UNREACHED = ("failed to connect", "errors resolving", "resolution failed")
_BROKEN = ("Socket closed", "Connection reset", "Broken pipe", "GOAWAY", "Stream removed")
"""Words of gRPC. The coordinator refuses with the same status, for example while too many calls are under way."""


def add_address(parser: argparse.ArgumentParser) -> None:
    """Adds `--state`, `--admin` and `--credentials`."""
    parser.add_argument(
        "--state",
        type=Path,
        metavar="DIR",
        help="state folder of a coordinator of this machine, whose socket is called "
        "(default: the variable FEDAU2_COORDINATOR_STATE)",
    )
    parser.add_argument(
        "--admin",
        metavar="HOST:PORT",
        help="address of the coordinator for operators, in place of --state (default: the variable "
        f"FEDAU2_COORDINATOR_ADMIN; without all of these {operators_address.TCP})",
    )
    parser.add_argument(
        "--credentials",
        type=Path,
        metavar="DIR",
        help="folder of your certificate, as `fedau2-coordinator certificates` makes it (default: a plaintext address)",
    )


@contextmanager
def stub(args: argparse.Namespace) -> Iterator[AdminServiceStub]:
    """Connects to the coordinator's AdminService.

    Raises:
        AddressError: the address cannot be called.
        SettingError: the credentials cannot be used.
    """
    target, options = addresses.channel(operators_address.called(args))
    if args.credentials is None:
        channel = grpc.insecure_channel(target, options)
    else:
        channel = grpc.secure_channel(target, credentials.read(args.credentials), options)
    with channel:
        yield AdminServiceStub(channel)


def as_json(message: Message) -> str:
    """Writes a message as JSON on one line, with every field, and hashes in base64."""
    from google.protobuf.json_format import MessageToDict

    return json.dumps(
        MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
    )


def explained(error: grpc.RpcError, address: str) -> str:
    """Says in one line why a call failed."""
    details = error.details() or "no details"
    if error.code() == grpc.StatusCode.UNAVAILABLE:
        if any(words in details for words in _UNREACHED):
            return (
                f"no coordinator answers on {address}: is `fedau2-coordinator serve` running there? Name its state "
                f"folder with --state, or its address with --admin ({details})"
            )
        if any(words in details for words in _BROKEN):
            return f"the connection to the coordinator on {address} broke off: is it still running? ({details})"
    return details
