"""Libraries that a room loads. Arrows between modules are held by the contracts of import-linter in pyproject.toml."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("client_sdk", ["torch", "pandas", "onnxruntime", "grpc"]),
        ("client_sdk.protocol.session", ["torch", "pandas", "onnxruntime", "grpc"]),
        ("client_sdk.kernel.models", ["torch", "pandas", "onnxruntime", "grpc"]),
        ("client_sdk.onnx.onnx_engine", ["torch", "pandas", "onnxruntime", "grpc", "cryptography"]),
        ("coordinator.engine.coordinator", ["torch", "client_sdk", "pandas"]),
        ("simulator.config.config", ["torch", "grpc", "sqlalchemy"]),
    ],
)
def test_heavy_libraries_are_loaded_on_first_use(module, unwanted):
    code = f"import sys, {module}; print([name for name in {unwanted!r} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
