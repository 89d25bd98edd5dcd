"""Settings that a plan changes and that have no effect in it."""

from collections.abc import Iterator, Mapping

from client_sdk.kernel.models import RECOMMENDERS
from export.errors import PlanError
from export.plan import defaults
from export.plan.schema import AdversarySettings, Plan

_ADAM_ONLY = ("beta1", "beta2", "epsilon", "noise_corrected")
_RATINGS_ONLY = ("lowest_rating", "full_rating")


def expect_effect(plan: Plan) -> None:
    """Checks that every setting that differs from its default has an effect.

    Raises:
        PlanError: one has none; it names the setting and the reason.
    """
    for path, reason in without_effect(plan):
        raise PlanError(f"{path} has no effect, since {reason}: leave it out")


def without_effect(plan: Plan) -> Iterator[tuple[str, str]]:
    """Yields the path of each setting that differs from its default and has no effect, and the reason.

    The settings of `adversary` in a plan without adversaries are not among them: noise after training uses them.
    """
    usual = {path: default.value for path, default in defaults.table(plan.model.name).items()}
    yield from _changed("local", plan.local.model_dump(), _of_local(plan), usual)
    for name, optimizer in (("shared", plan.server.shared), ("adversary", plan.server.adversary)):
        unused = dict.fromkeys(_ADAM_ONLY, "the optimizer is not adam") if optimizer.kind != "adam" else {}
        yield from _changed(f"server.{name}", optimizer.model_dump(), unused, usual)
    unused = {} if plan.server.most_stale else {"staleness_exponent": "server.most_stale is 0"}
    if all(listed == () for listed in (plan.adversaries, plan.matchings, plan.erased)):
        unused["passes"] = "nothing is unlearned that would learn in them"
    yield from _changed("server", plan.server.model_dump(), unused, usual)
    unused = {} if plan.interactions.rating else dict.fromkeys(_RATINGS_ONLY, "ratings are no positives")
    yield from _changed("interactions", plan.interactions.model_dump(), unused, usual)
    if plan.matchings == ():
        settings = plan.matching.model_dump()
        yield from _changed("matching", settings, dict.fromkeys(settings, "there are no matchings"), usual)
    if plan.erased == ():
        settings = plan.eraser.model_dump()
        yield from _changed("eraser", settings, dict.fromkeys(settings, "nothing is erased"), usual)
    entries = plan.adversaries
    if entries is None:
        yield from _changed("adversary", plan.adversary.model_dump(), _of_adversary(plan.adversary), usual)
        return
    unused_by = [_of_adversary(plan.settings(entry)) for entry in entries]
    if entries:
        everywhere = {name: why for name, why in unused_by[0].items() if all(name in unused for unused in unused_by)}
        yield from _changed("adversary", plan.adversary.model_dump(), everywhere, usual)
    for number, (entry, unused) in enumerate(zip(entries, unused_by, strict=True)):
        for path, why in _changed("adversary", entry.own(), unused, usual):
            yield path.replace("adversary", f"adversaries[{number}]", 1), why


def _changed(
    section: str, values: Mapping[str, object], unused: Mapping[str, str], usual: Mapping[str, object]
) -> Iterator[tuple[str, str]]:
    for name, why in unused.items():
        path = f"{section}.{name}"
        if name in values and values[name] != usual[path]:
            yield path, why


def _of_local(plan: Plan) -> dict[str, str]:
    unused = dict.fromkeys(RECOMMENDERS[plan.model.name].ignores, f"{plan.model.name} does not use it")
    if plan.local.steps == 1:
        unused["shared_learning_rate"] = "there is one local step"
    return unused


def _of_adversary(settings: AdversarySettings) -> dict[str, str]:
    unused: dict[str, str] = {}
    if settings.head not in ("dsvae", "scalar"):
        unused["variance"] = f"the head is {settings.head}"
    if settings.objective == "confusion":
        unused["trigger"] = "objective confusion has no trigger"
    else:
        unused["prior"] = "the objective is reversal"
    if settings.trigger != "pretrain" or "trigger" in unused:
        unused["pretrain_rounds"] = "no trigger is pretrain"
    return unused
