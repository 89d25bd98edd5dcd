"""The files about a release agree with each other and with the commands of the project."""

import re
import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import client_sdk
import fedau2

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")


def parsed(name):
    return yaml.safe_load((ROOT / name).read_text("utf-8"))


def recipe(target):
    (lines,) = re.findall(rf"^{target}:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
    return [line.strip() for line in lines.splitlines()]


def test_one_version_stands_everywhere():
    newest = re.search(r"^## \[([\d.]+)\]", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)[1]
    assert fedau2.__version__ == client_sdk.__version__ == newest == parsed("CITATION.cff")["version"]
    assert "version" in PROJECT["dynamic"]


def test_supported_versions_are_listed_in_the_security_policy():
    minor = fedau2.__version__.rpartition(".")[0]
    assert f"| {minor} | yes |" in (ROOT / "SECURITY.md").read_text("utf-8")


def test_the_workflow_tests_every_python_version_that_is_declared():
    jobs = parsed(".github/workflows/ci.yml")["jobs"]
    declared = {name.rpartition(" ")[2] for name in PROJECT["classifiers"] if re.search(r"Python :: \d+\.\d+$", name)}
    assert {*jobs["test"]["strategy"]["matrix"]["python"]} == declared
    assert PROJECT["requires-python"] == f">={min(declared, key=lambda text: int(text.partition('.')[2]))}"


def test_the_workflow_runs_commands_that_exist():
    steps = [step for job in parsed(".github/workflows/ci.yml")["jobs"].values() for step in job["steps"]]
    targets = [step["run"].split()[1] for step in steps if step.get("run", "").startswith("make ")]
    assert {"test", "site"} <= {*targets}
    assert all(re.search(rf"^{target}:", MAKEFILE, re.MULTILINE) for target in targets)


def test_the_readme_explains_every_extra_that_a_user_may_want():
    readme = (ROOT / "README.md").read_text("utf-8")
    rows = [line for line in readme.splitlines() if line.startswith("| `")]
    explained = {name for row in rows for name in re.findall(r"`([a-z]+)`", row.split("|")[1])}
    assert {*PROJECT["optional-dependencies"]} - {"dev", "docs"} <= explained


def test_the_constraints_of_the_figures_are_versions_that_are_declared():
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pins = [Requirement(line) for line in lines if not line.startswith("#")]
    pinned = {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin in pins}
    assert all(version[0].isdigit() for version in pinned.values())
    extras = PROJECT["optional-dependencies"]
    others = {"dev", "docs", "tensorboard", "mlflow", "wandb", "notebook", "ray", "search", "web", "otel"}
    measured = [extras[name] for name in extras.keys() - others]
    for requirement in map(Requirement, sum(measured, PROJECT["dependencies"])):
        if requirement.name != "fedau2":
            assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)]), requirement


def test_hooks_before_a_commit_run_the_commands_of_make_lint():
    (repository,) = parsed(".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local"
    entries = {hook["entry"].replace("--force-exclude", "").strip() for hook in repository["hooks"]}
    commands = {command.replace("$(BIN)", ".venv/bin").removesuffix(" .") for command in recipe("lint")}
    assert entries <= commands
