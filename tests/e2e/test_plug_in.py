"""The example of a plug-in is built and installed beside FedAU2; its model is trained, attacked and audited."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SMALL = ["--model", "biased", "--dataset", "two-towns", "--attributes", "town", "--rounds", "2", "--attack-splits", "1"]
AUDIT = ["--attacks", "popular-rows,pulls,private", "--participations", "1", "--clients", "8", "--splits", "1"]


@pytest.mark.slow
def test_a_package_of_its_own_adds_to_an_installed_fedau2(tmp_path):
    python = _environment(tmp_path)
    commands = [
        ["run", *SMALL, "--keep", "state", "--tracker", "lines=lines.json", "--out", "run"],
        ["recommend", "run", "--user", "person-1"],
        ["attack", "run", "--attacks", "quick"],
        ["audit", "run", *AUDIT, "--out", "audit"],
        ["reproduce", "table1", *SMALL[:6], "--quick", "--method", "paper", "--rounds", "1", "--attack-splits", "1"],
    ]
    for command in commands:
        done = subprocess.run(
            [python, "-P", "-m", "simulator", *command], cwd=tmp_path, capture_output=True, text=True, env=_plain()
        )
        assert done.returncode == 0, done.stdout + done.stderr
    metrics = (tmp_path / "run" / "metrics.json").read_text()
    assert all(name in metrics for name in ("bacc_neighbours", "popular@10"))
    assert "popular-rows" in (tmp_path / "audit/audit.json").read_text()
    assert (tmp_path / "lines.json").stat().st_size > 0


def _environment(folder):
    """A new environment with both wheels. The packages that they need are those of this one."""
    for source in (ROOT, ROOT / "examples" / "plug_in"):
        build = [sys.executable, "-P", "-m", "build", "--wheel", "--no-isolation", "--outdir", folder / "dist", source]
        subprocess.run(build, cwd=folder, check=True, capture_output=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    (site,) = (folder / "venv").glob("lib/python*/site-packages")
    wheels = sorted((folder / "dist").glob("*.whl"))
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", site, *wheels]
    subprocess.run(pip, check=True)
    needed = [path for path in sys.path if path.endswith("site-packages")]
    (site / "needed.pth").write_text("".join(f"{path}\n" for path in needed))
    return folder / "venv" / "bin" / "python"


def _plain():
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
