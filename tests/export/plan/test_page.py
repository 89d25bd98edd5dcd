"""docs/plans.md has the tables that the schema makes, and its examples are what they say."""

import importlib.util
import re
from pathlib import Path

import pytest
import yaml

from export.plan.planfile import complete
from simulator.config.config import Config

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "plans.md").read_text()


@pytest.fixture(scope="module")
def tables():
    spec = importlib.util.spec_from_file_location("plan_tables", ROOT / "scripts" / "plan_tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.TABLES


@pytest.mark.parametrize("name", ["settings", "models", "entries"])
def test_the_tables_are_those_of_the_schema(tables, name):
    (written,) = re.findall(rf"<!-- {name} -->\n(.*?)\n<!-- end of {name} -->", PAGE, re.DOTALL)
    assert written.splitlines() == list(tables[name]())


def test_the_examples_can_be_read():
    plan, matched, passed, erased, shifted, config = (
        yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    )
    assert complete(plan).settings(complete(plan).adversaries[1]).epsilon == 100.0
    assert [entry.attribute for entry in complete(matched).matchings] == ["gender", "age"]
    assert [complete(passed).settings(entry).width for entry in complete(passed).adversaries] == [32, 512]
    assert [entry.attribute for entry in complete(erased).erased] == ["gender"]
    assert complete(shifted).eraser.shifts
    assert not complete(erased).eraser.shifts
    assert Config.of(config).plan.local.negatives == 2


def test_the_python_example_runs():
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(block, {})
