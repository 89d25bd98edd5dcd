"""Plan files: YAML (or JSON) documents of the schema `export.plan.schema.Plan`.

Every key may be left out, and then has its recommender's default (`export.plan.defaults`). docs/plans.md lists all
keys.
"""

import textwrap
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from export.errors import PlanError
from export.plan import defaults, strict_yaml
from export.plan.effects import expect_effect
from export.plan.explain import explain
from export.plan.fragments import Fragment, merge, nest
from export.plan.schema import Plan
from export.plan.types import NONE

_LATER = (
    *("interactions", "matching", "matchings", "eraser", "erased"),
    *("server.shared.noise_corrected", "server.adversary.noise_corrected", "server.clip_medians"),
    *("server.most_stale", "server.staleness_exponent", "server.passes"),
    *("adversary.width", "adversary.restart_every"),
)
"""Keys that plans of runs by earlier versions do not have."""


def document(path: Path, kind: str = "plan", fields: Collection[str] = tuple(Plan.model_fields)) -> dict[str, Any]:
    """Reads a plan file as a mapping, without the defaults.

    Args:
        path: of the file.
        kind: of the file, for errors.
        fields: the keys that it may have, for errors.

    Raises:
        PlanError: the file cannot be read, is not YAML, or is not a mapping.
    """
    try:
        content = strict_yaml.load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise PlanError(f"{path}: the {kind} file cannot be read: {error}") from error
    except PlanError as error:
        raise PlanError(f"{path}: {error}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        found = textwrap.shorten(repr(content), 60)
        raise PlanError(f"{path}: expected a mapping with the keys {', '.join(fields)}, not {found}")
    return content


def complete(fragment: Fragment, model: str | None = None) -> Plan:
    """Fills a plan document with its recommender's defaults and checks it.

    Args:
        fragment: a document, which may leave anything out and have dotted paths as keys.
        model: the recommender, where the document names none.

    Raises:
        PlanError: it names the key and what would be right.
        UnknownModelError: no recommender has this name.
    """
    nested = nest(fragment)
    return _validated(merge(defaults.fragment(_model(nested, model)), nested))


def _validated(whole: Fragment) -> Plan:
    try:
        plan = Plan.model_validate(whole)
    except ValidationError as error:
        raise PlanError(explain(error, Plan, whole)) from error
    expect_effect(plan)
    return plan


def model_name(nested: Fragment) -> str | None:
    """Returns the recommender that a nested document names, if it names one."""
    section = nested.get("model")
    name = section.get("name") if isinstance(section, Mapping) else None
    return name if isinstance(name, str) else None


def _model(nested: Fragment, model: str | None) -> str:
    named = model_name(nested)
    if named is None and model is None:
        raise PlanError("model.name is missing: name the recommender there or with --model")
    if named is not None and model is not None and named != model:
        raise PlanError(f"model.name: it is {named!r}, but {model!r} was asked for")
    return named or str(model)


def read(path: Path, model: str | None = None, hidden: bool = False) -> Plan:
    """Reads a plan file for an export, in which no data is known: without `adversaries` the plan has no adversary.

    Without `server.clip_norm` it has the one for bundles, `defaults.CLIP_NORMS`.

    Args:
        path: of the file.
        model: the recommender, where the file names none.
        hidden: True if the server sees sums alone, and so cannot clip: without `server.clip_norm` it is 0.

    Raises:
        PlanError: it names the file, the key and what would be right.
        UnknownModelError: no recommender has this name.
    """
    content = nest(document(path))
    if "adversary" in content and "adversaries" not in content:
        raise PlanError(
            f"{path}: adversary says what every adversary has, but there are no adversaries: list them with attribute "
            f"and classes, or write adversaries: {NONE}"
        )
    try:
        clip_norm = 0.0 if hidden else defaults.CLIP_NORMS.get(_model(content, model), 0.0)
        usual = {"adversaries": NONE, "server": {"clip_norm": clip_norm}}
        return complete(merge(usual, content), model)
    except PlanError as error:
        raise PlanError(f"{path}: {error}") from error


def read_whole(path: Path, model: str | None = None) -> Plan:
    """Reads a plan that a run wrote, in which nothing is left out.

    Args:
        path: of the file.
        model: the recommender that is expected, or None.

    Raises:
        PlanError: a key is missing or wrong, or the recommender is another one.
    """
    content = document(path)
    if missing := [key for key in Plan.model_fields if key not in {*content, *_LATER}]:
        raise PlanError(f"{path}: {missing[0]} is missing, so the file is not whole; run the simulation again")
    try:
        usual = defaults.table(_model(content, model)).items()
        later = {path: default.value for path, default in usual if path.startswith(_LATER)}
        return _validated(merge(nest(later), content))
    except PlanError as error:
        raise PlanError(f"{path}: {error}") from error


def write(plan: Plan) -> str:
    """Returns the text of a plan file; reading it gives the same plan."""
    return dump(plan.document())


class _Dumper(yaml.SafeDumper):
    """Writes a list of plain values on one line, and every key of a mapping on a line of its own, without aliases."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ANN401 - as PyYAML's own
        return True


def _represent_list(dumper: _Dumper, data: list[Any]) -> yaml.Node:
    plain = not any(isinstance(item, (Mapping, list)) for item in data)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=plain)


_Dumper.add_representer(list, _represent_list)


def dump(content: Fragment) -> str:
    """Returns a document as YAML."""
    return yaml.dump(dict(content), Dumper=_Dumper, sort_keys=False, width=120)
