"""The one rule between rooms (design section 2): who may import whom."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = {
    "fedau2": ROOT / "proto/fedau2",
    "client_sdk": ROOT / "client_sdk",
    "export": ROOT / "export",
    "coordinator": ROOT / "coordinator",
    "simulator": ROOT / "simulator",
}
ALLOWED = {
    "fedau2": set(),
    "client_sdk": {"fedau2"},
    "coordinator": {"fedau2"},
    "export": {"fedau2", "client_sdk"},
    "simulator": {"fedau2", "client_sdk", "export", "coordinator"},
}
FORBIDDEN = {"coordinator": {"torch", "pandas"}, "fedau2": {"torch", "pandas", "sqlalchemy"}}


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield (node.module or "").split(".")[0]


@pytest.mark.parametrize("room", FOLDERS)
def test_a_room_imports_only_what_it_may(room):
    files = [path for path in FOLDERS[room].rglob("*.py") if "_pb2" not in path.name]
    assert files
    for path in files:
        names = set(imported(path))
        assert names & (set(FOLDERS) - {room}) <= ALLOWED[room], path
        assert not names & FORBIDDEN.get(room, set()), path


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("client_sdk", ["torch", "pandas", "onnxruntime", "grpc"]),
        ("client_sdk.protocol.session", ["torch", "pandas", "onnxruntime", "grpc"]),
        ("client_sdk.kernel.models", ["torch", "pandas", "onnxruntime", "grpc"]),
        ("client_sdk.onnx.onnx_engine", ["torch", "pandas", "onnxruntime", "grpc", "cryptography"]),
        ("coordinator.engine.service", ["torch", "client_sdk", "pandas"]),
    ],
)
def test_heavy_libraries_are_loaded_on_first_use(module, unwanted):
    code = f"import sys, {module}; print([name for name in {unwanted!r} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
