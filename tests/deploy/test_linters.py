"""Linters of others, which the extra `dev` brings. Where one is not installed, its test is skipped."""

import json
import shutil
import subprocess
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.deploy.files import DEPLOY, documents, overlay, parsed, read


def program(name):
    """The path of a program beside this Python or on the path, or None."""
    return shutil.which(name, path=sysconfig.get_path("scripts")) or shutil.which(name)


def run(*words):
    done = subprocess.run([*map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(not find_spec("kubernetes_validate"), reason="kubernetes-validate is not installed")
@pytest.mark.parametrize("party", ["coordinator", "unmasker"])
def test_manifests_have_the_fields_that_kubernetes_knows(party):
    import kubernetes_validate

    for part in documents(f"kubernetes/{party}.yaml"):
        kubernetes_validate.validate(part, kubernetes_validate.latest_version(), strict=True)


@pytest.mark.skipif(not find_spec("check_jsonschema"), reason="check-jsonschema is not installed")
def test_compose_files_fit_their_schema(tmp_path):
    files = [*sorted(DEPLOY.glob("*/compose.yaml")), tmp_path / "several.yaml"]
    files[-1].write_text(json.dumps(overlay("coordinator/several.yaml")))
    assert len(files) == 3
    run(sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", *files)


@pytest.mark.skipif(not find_spec("promql_parser"), reason="promql-parser is not installed")
def test_expressions_can_be_parsed():
    import promql_parser

    expressions = [rule["expr"] for group in parsed("monitoring/alerts.yaml")["groups"] for rule in group["rules"]]
    for panel in json.loads(read("monitoring/dashboard.json"))["panels"]:
        expressions += [target["expr"] for target in panel.get("targets", [])]
    for expression in expressions:
        promql_parser.parse(expression)


@pytest.mark.skipif(program("hadolint") is None, reason="hadolint is not installed")
def test_the_containerfile_keeps_the_rules_of_hadolint():
    run(program("hadolint"), DEPLOY / "container" / "Containerfile")


def test_shell_scripts_can_be_parsed():
    for script in sorted(Path(DEPLOY).rglob("*.sh")):
        run("sh", "-n", script)
