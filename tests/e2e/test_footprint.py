"""What a device pays: the base package in an environment of its own, without PyTorch."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts/footprint.py"


@pytest.mark.slow
def test_the_base_package_recommends_without_pytorch_and_within_its_memory(tmp_path):
    figures = tmp_path / "figures.json"
    done = subprocess.run([sys.executable, SCRIPT, "--json", figures], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(figures.read_text())
    assert found["secure"].keys() == found["download"].keys()
    assert found["secure"].keys() - found["installed"].keys() >= {"cryptography"}
    assert not found["installed"].keys() & {"torch", "onnx", "sqlalchemy", "pandas"}
    assert found["import"]["heavy"] == []
    assert found["masking"]["secure_ms"] > 0
    for run in found["recommend"].values():
        assert run["heavy"] == ["onnxruntime"]
    assert found["recommend"]["3706 items, fp32"]["rss"] < 90
    single, half = (found["recommend"][f"100000 items, {precision}"] for precision in ("fp32", "fp16"))
    assert half["rss"] < single["rss"] < 175
    for model, run in found["train"].items():
        assert run["onnx"]["heavy"] == ["onnxruntime"]
        assert "torch" in run["torch"]["heavy"]
        assert run["torch"]["update_ms"] > 4 * run["onnx"]["update_ms"]
        # Of the others' memory more is their own tensors, which both engines hold.
        assert run["torch"]["update_rss"] > (2.8 if model == "fedncf" else 1.7) * run["onnx"]["update_rss"]
        assert run["onnx"]["bytes"] > 0.9 * run["torch"]["bytes"]
    assert "| onnxruntime |" in done.stdout
