"""One table has every default of a plan, and nothing repeats it otherwise."""

import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
import yaml

from client_sdk.kernel.models import RECOMMENDERS
from export.plan import defaults
from export.plan.fragments import flat, nest
from export.plan.message import plan_of
from export.plan.planfile import complete, read
from export.plan.recommenders import keys
from export.plan.schema import AdversarySettings, Optimizer, Plan
from export.plan.types import walk
from fedau2.v1 import task_pb2
from scripts.house.defaults import in_module
from scripts.house.modules import modules
from simulator.config.presets import METHOD, PRESETS

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "examples" / "plans"


def test_the_table_has_a_default_for_every_setting_of_the_schema():
    assert set(defaults.COMMON) == {path for path, _ in walk(Plan)} - {"model"}
    for table in defaults.OWN.values():
        assert set(table) <= set(defaults.COMMON)
    assert all(default.source for default in defaults.COMMON.values())


def test_the_schema_itself_has_none():
    assert [path for path, field in walk(Plan) if not field.is_required()] == []


@pytest.mark.parametrize("model", defaults.OWN)
def test_a_recommender_says_only_what_it_has_otherwise(model):
    own = defaults.OWN[model]
    assert [path for path, default in own.items() if default.value == defaults.COMMON[path].value] == []


@pytest.mark.parametrize("model", RECOMMENDERS)
def test_every_key_of_a_recommender_is_described(model):
    assert all(key.text for key in keys(model))


@pytest.mark.parametrize("model", RECOMMENDERS)
def test_an_example_repeats_defaults_and_adds_an_adversary(model):
    example = yaml.safe_load((EXAMPLES / f"{model}-paper.yaml").read_text())
    (entry,) = example.pop("adversaries")
    usual = dict(flat(complete({}, model).document()))
    said = dict(flat(example))
    assert said == {path: usual[path] for path in said}
    adversary = complete({}, model).adversary.model_dump()
    assert entry.items() <= {**adversary, "attribute": "gender", "classes": ["M", "F"]}.items()
    read(EXAMPLES / f"{model}-paper.yaml")


@pytest.mark.parametrize(("name", "model"), [(name, model) for name in PRESETS for model in PRESETS[name]])
def test_a_preset_says_only_what_differs_from_the_defaults(name, model):
    usual = dict(flat({"plan": complete({}, model).document()}))
    usual |= {"after_training.erasure": "none", "after_training.noise": 0.0, "after_training.floor": 0.0}
    usual |= {"after_training.erase_every": 0, "engine.plain_statistics": False}
    usual |= {"engine.local_noise": 0.0, "engine.apm": 0.0, "engine.rounds": 100 if model == "fedrap" else 600}
    preset = dict(flat(nest(PRESETS[name][model])))
    assert [path for path, value in preset.items() if usual[path] == value] == []
    assert all(path.startswith(METHOD) for path in preset)


def test_the_server_of_fedncf_has_one_learning_rate():
    assert plan_of("fedncf").server.shared.learning_rate == pytest.approx(0.003)


def test_the_words_of_the_schema_are_the_enums_of_the_protocol():
    for section, enums in (
        (AdversarySettings, {"head": task_pb2.Head, "trigger": task_pb2.Trigger, "objective": task_pb2.Objective}),
        (Optimizer, {"kind": task_pb2.OptimizerKind}),
    ):
        for name, enum in enums.items():
            short = {value.rpartition("_")[2].lower() for value in list(enum.keys())} - {"unspecified"}
            assert set(get_args(section.model_fields[name].annotation)) == short


def test_fields_of_the_message_are_settings_of_the_schema():
    local = {field.name for field in task_pb2.LocalUpdate.DESCRIPTOR.fields}
    assert set(Plan.model_fields["local"].annotation.model_fields) == local
    adversary = {field.name for field in task_pb2.Adversary.DESCRIPTOR.fields}
    assert set(AdversarySettings.model_fields) == adversary - {"name", "attribute", "classes"}
    assert set(Optimizer.model_fields) == {field.name for field in task_pb2.Optimizer.DESCRIPTOR.fields}


def test_no_module_writes_a_default_of_a_plan_again():
    """Besides the table there are a recommender's own dataclasses, benches with plans of their own, and presets, which
    say only what differs (tested above). 0.15 is the rate of an attacker."""
    allowed = {"export.plan.defaults", "simulator.config.presets"}
    written = {
        f"{module.name}: {name} = {value}"
        for module in modules(ROOT)
        for name, _, value in in_module(module)
        if not module.path.name.endswith("_parameters.py")
        and "bench" not in module.path.parts
        and module.name not in allowed
    }
    assert written == set()


@pytest.mark.parametrize("module", ["export.plan.planfile", "export.plan.message"])
def test_reading_a_plan_loads_no_torch(module):
    code = f"import sys, {module}; sys.exit(any(name in sys.modules for name in ('torch', 'onnx', 'grpc')))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
