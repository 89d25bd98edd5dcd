"""The distributions hold what they need: the wheel is built, installed and run outside the checkout."""

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest

import client_sdk
import fedau2

ROOT = Path(__file__).parents[2]
PACKAGES = ("client_sdk", "coordinator", "export", "fedau2", "simulator", "unmasker")


@pytest.fixture(scope="module")
def distributions(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-P", "-m", "build", "--no-isolation", "--outdir", folder, ROOT]
    built = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


@pytest.fixture(scope="module")
def wheel(distributions):
    (path,) = distributions.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    folder = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", folder, wheel]
    subprocess.run(pip, check=True)
    return folder


def run(installed, folder, *command):
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_the_wheel_holds_the_packages_their_types_and_the_licence(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names} == {*PACKAGES, f"fedau2-{fedau2.__version__}.dist-info"}
    assert {f"{package}/py.typed" for package in PACKAGES} <= {*names}
    assert f"fedau2-{fedau2.__version__}.dist-info/licenses/LICENSE" in names
    assert {f"coordinator/dashboard/{name}" for name in ("templates/page.html", "static/live.js")} <= {*names}
    assert {f"client_sdk/testing/template/{kind}/step.onnx" for kind in ("plain", "unlearning")} <= {*names}


@pytest.fixture(scope="module")
def metadata(wheel):
    text = zipfile.ZipFile(wheel).read(f"fedau2-{fedau2.__version__}.dist-info/METADATA").decode()
    return HeaderParser().parsestr(text)


def test_the_wheel_says_its_version_and_licence(metadata):
    assert metadata["Version"] == fedau2.__version__ == client_sdk.__version__
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["License-File"] == "LICENSE"


def test_the_wheel_says_what_a_package_index_shows(metadata):
    assert metadata["Summary"]
    assert metadata["Author"]
    assert metadata["Keywords"]
    assert metadata["Project-URL"]
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata.get_payload().strip() == (ROOT / "README.md").read_text("utf-8").strip()
    classifiers = {*metadata.get_all("Classifier")}
    assert classifiers >= {f"Programming Language :: Python :: 3.{minor}" for minor in range(11, 15)}
    assert classifiers >= {"Operating System :: POSIX :: Linux", "Typing :: Typed"}


def test_the_source_distribution_holds_code_tests_and_pages(distributions):
    (path,) = distributions.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "README.md", "client_sdk/__init__.py", "tests/e2e/test_wheel.py", "docs/privacy.md"} <= names
    assert not [name for name in names if name.startswith((".venv", "runs", "build/", "dist/"))]


def test_an_installed_wheel_is_imported_outside_the_checkout(installed, tmp_path):
    program = f"import importlib, json; print(json.dumps([importlib.import_module(n).__file__ for n in {PACKAGES}]))"
    done = run(installed, tmp_path, sys.executable, "-P", "-c", program)
    assert done.returncode == 0, done.stderr
    assert {Path(file).parents[1] for file in json.loads(done.stdout)} == {installed}


@pytest.mark.parametrize("script", ["fedau2-sim", "fedau2-export", "fedau2-coordinator"])
def test_an_installed_script_runs_outside_the_checkout(installed, tmp_path, script):
    done = run(installed, tmp_path, sys.executable, "-P", installed / "bin" / script, "--help")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: {script}")


def test_an_installed_sdk_records_outside_the_checkout(installed, tmp_path):
    program = (
        "from client_sdk import FedClient\n"
        "with FedClient.open('state', '127.0.0.1:1', 'films') as client:\n"
        "    client.record('film-1')\n"
        "    print(client.status().recorded)\n"
    )
    done = run(installed, tmp_path, sys.executable, "-P", "-c", program)
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
