"""The TypeScript package has the messages of the protocol files, and fetches packages from the public registry only."""

import base64
import json
import re

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from fedau2.v1 import device_pb2, onnx_pb2, task_pb2, tensors_pb2
from tests.typescript import nodes


def without_names_for_json(descriptor):
    """Returns the descriptor without what generators add or leave out."""
    for message in descriptor.message_type:
        for field in (*message.field, *(f for nested in message.nested_type for f in nested.field)):
            field.ClearField("json_name")
    return descriptor


@nodes.needs_node
@pytest.mark.parametrize("module", [device_pb2, onnx_pb2, task_pb2, tensors_pb2], ids=lambda module: module.__name__)
def test_the_messages_are_those_of_the_protocol_files(module):
    name = module.DESCRIPTOR.name.removesuffix(".proto")
    text = (nodes.PACKAGE / "src" / "gen" / f"{name}_pb.ts").read_text("utf-8")
    (packed,) = re.findall(r'fileDesc\("([^"]+)"', text)
    generated = FileDescriptorProto.FromString(base64.b64decode(packed + "=" * (-len(packed) % 4)))
    generated.dependency[:] = [file.name for file in module.DESCRIPTOR.dependencies]
    expected = FileDescriptorProto.FromString(module.DESCRIPTOR.serialized_pb)
    assert without_names_for_json(generated) == without_names_for_json(expected), "run make proto-typescript"


def test_packages_come_from_the_public_registry():
    packages = json.loads((nodes.PACKAGE / "package-lock.json").read_text("utf-8"))["packages"]
    sources = {package["resolved"] for package in packages.values() if "resolved" in package}
    assert all(source.startswith("https://registry.npmjs.org/") for source in sources)
    assert all("integrity" in package for name, package in packages.items() if name)


def test_the_package_cannot_be_published_by_accident():
    assert json.loads((nodes.PACKAGE / "package.json").read_text("utf-8"))["private"] is True
