"""The committed stubs are what the .proto files generate."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_stubs_are_fresh(tmp_path):
    pytest.importorskip("grpc_tools")
    protos = sorted(str(path) for path in (ROOT / "proto/fedau2/v1").glob("*.proto"))
    bin_ = Path(sys.executable).parent
    command = [sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={ROOT / 'proto'}"]
    command += [f"--plugin=protoc-gen-{name}={bin_ / f'protoc-gen-{name}'}" for name in ("mypy", "mypy_grpc")]
    command += [f"--{name}_out={tmp_path}" for name in ("python", "grpc_python")]
    command += [f"--{name}_out=quiet:{tmp_path}" for name in ("mypy", "mypy_grpc")]
    subprocess.run([*command, *protos], check=True)
    generated = sorted((tmp_path / "fedau2/v1").iterdir())
    assert len(generated) == 4 * len(protos)
    for path in generated:
        committed = ROOT / "proto/fedau2/v1" / path.name
        assert committed.read_text() == path.read_text(), f"{path.name} is stale: run `make proto`"


@pytest.mark.parametrize("proto", sorted((ROOT / "proto/fedau2/v1").glob("*.proto")), ids=lambda path: path.stem)
def test_enums_begin_unspecified_and_messages_are_commented(proto):
    previous = ""
    for line in proto.read_text().splitlines():
        text = line.strip()
        if text.startswith(("message ", "enum ", "service ", "rpc ")):
            assert previous.startswith("//"), f"{proto.name}: no comment above {text}"
        if previous.startswith("enum "):
            assert text.endswith("_UNSPECIFIED = 0;"), f"{proto.name}: {text}"
        previous = text
