"""A base install has all three commands, but not what they need: they say so in a line."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
EXTRAS = [
    *("grpc_health", "grpc_reflection", "prometheus_client", "sqlalchemy"),  # coordinator
    *("torch", "onnx", "onnxscript", "yaml"),  # export
    *("matplotlib", "pandas", "pyarrow", "rich", "scipy", "sklearn"),  # simulator
]
PROGRAM = """
import importlib, sys
sys.modules |= dict.fromkeys({extras})
module, _, function = {entry!r}.partition(":")
sys.argv = {arguments}
sys.exit(getattr(importlib.import_module(module), function)())
"""


@pytest.mark.parametrize(
    ("command", "extra", "arguments"),
    [
        ("fedau2-coordinator", "coordinator", ["serve"]),
        ("fedau2-sim", "simulator", ["demo"]),
        ("fedau2-export", "export", ["bundle", "--model", "fedncf", "--items", "items", "--plan", "plan"]),
    ],
)
def test_a_command_says_what_must_be_installed(tmp_path, command, extra, arguments):
    (tmp_path / "items").write_text("a\nb\n")
    (tmp_path / "plan").write_text("")
    if command == "fedau2-export":
        arguments = [*arguments, "--seed", "0", "--out", "out"]
    entry = PROJECT["scripts"][command]
    program = PROGRAM.format(extras=EXTRAS, entry=entry, arguments=[command, *arguments])
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith(f"{command}: ")
    assert done.stderr.endswith(f"is not installed: it needs pip install 'fedau2[{extra}]'\n")
    assert done.stderr.count("\n") == 1
