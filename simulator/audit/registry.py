"""The attacks on single clients' uploads, by name.

To add one, write an `Attack` in `simulator/attacks` and a `Spec` here, or both in a plug-in. Attacks that
depend on a recommender's own tensors stand in `simulator/attacks/recommenders`.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from fedau2.plugins import Registry
from fedau2.similar import did_you_mean
from fedau2.v1.task_pb2 import OBJECTIVE_CONFUSION, TRIGGER_SUT, Adversary, TaskManifest
from simulator.attacks import dlg, gates, items, labels, shared_state
from simulator.attacks.aims import Learns
from simulator.attacks.contract import Attack, Hindrance, Setting, Spec
from simulator.attacks.matched_filter import KnownState, MatchedFilter
from simulator.attacks.prior import PriorSearch
from simulator.attacks.recommenders.contract import Impossible
from simulator.attacks.recommenders.registry import attacks_on
from simulator.audit.request import PRIVATE
from simulator.errors import ConfigError

UNLIMITED = 10**9
"""The number of participations of an attack that has no limit."""


NO_ADVERSARY = "the task has no adversary"
STEPS = "contributions of several local steps are not gradients"


def _no_hindrance(task: TaskManifest, adversary: Adversary | None) -> str:
    return ""


def _without_gate(task: TaskManifest, adversary: Adversary | None) -> str:
    gated = adversary and adversary.trigger == TRIGGER_SUT and adversary.objective != OBJECTIVE_CONFUSION
    return "" if gated else "the adversary has no gate: its trigger is not `sut`, or its objective is `confusion`"


def _without_shared_gate(task: TaskManifest, adversary: Adversary | None) -> str:
    assert adversary is not None
    return _without_gate(task, adversary) or gates.impossible(task.model, adversary)


def _without_shared_state(task: TaskManifest, adversary: Adversary | None) -> str:
    assert adversary is not None
    return shared_state.impossible(task.model, adversary)


def _without_noise(task: TaskManifest, adversary: Adversary | None) -> str:
    assert adversary is not None
    if not adversary.noise_multiplier:
        return "devices add no noise to contributions to the adversary"
    return _without_shared_state(task, adversary)


def _without_pulls(task: TaskManifest, adversary: Adversary | None) -> str:
    pulls = attacks_on(task.model).pulls
    return pulls.reason if isinstance(pulls, Impossible) else ""


def _label(
    name: str, about: str, make: Callable[[Setting], Attack], participations: int = 1, public: bool = False
) -> Spec:
    return Spec(name, Learns.LABEL, about, make, participations, _no_hindrance, public=public)


def _dlg(name: str, about: str, participations: int = 1, **search: object) -> Spec:
    # The search is made together with the attack, so that the number of steps can be lowered for all searches.
    def make(setting: Setting) -> Attack:
        return labels.Dlg(setting, dlg.Search(**{"steps": dlg.STEPS, **search}))  # type: ignore[arg-type]

    return _label(name, about, make, participations)


def _rule(rule: labels.Rule) -> Callable[[Setting], Attack]:
    return partial(labels.Accumulated, rule=rule)


def _readings(name: str, about: str, read: labels.Read, hindrance: Hindrance) -> Iterator[Spec]:
    yield Spec(name, Learns.STATE, about, partial(labels.Reading, read=read, last=True), 1, hindrance)
    mean = partial(labels.Reading, read=read)
    for attacker in ("paper", "strong"):
        about = f"attacker {attacker} on it"
        yield Spec(f"{name}-{attacker}", Learns.FEATURES, about, mean, 20, hindrance, attacker=attacker)


_OURS = {
    spec.name: spec
    for spec in (
        _dlg("dlg", "DLG as the paper runs it: Adam, 300 steps; over rounds the class found most often", 5),
        _dlg("dlg-long", "DLG, 1000 steps", steps=1000),
        _dlg("dlg-restarts", "DLG, the nearest of 4 dummies", restarts=4),
        _dlg("dlg-sign", "DLG by Adam on the gradient's signs", optimizer="sign"),
        _dlg("dlg-lbfgs", "DLG by L-BFGS, 100 iterations", optimizer="lbfgs", steps=100),
        _dlg("dlg-expected", "DLG with expectation over the noise: 8 draws a step", draws=8),
        _dlg("dlg-headless", "DLG without the head's gradient", head=False),
        _label("idlg", "iDLG: the lowest sum of a row of the head", _rule(labels.idlg)),
        _label("sign", "signs of the head's rows, added up", _rule(labels.signs), UNLIMITED),
        _label("magnitude", "sizes of the head's rows, added up", _rule(labels.magnitudes), UNLIMITED),
        _label(
            "matched", "a filter matched to simulated uploads of public users", MatchedFilter, UNLIMITED, public=True
        ),
        Spec(
            "known-state",
            Learns.LABEL,
            "likelihood under noise, given the state",
            KnownState,
            UNLIMITED,
            _without_noise,
        ),
        _label("prior", "search in a prior fitted on public users, aware of the defence", PriorSearch, 5, public=True),
        *_readings("embedding", "the state that the first layer's gradients give", labels.first_layer, _no_hindrance),
        *_readings(
            "shared", "the state that the recommender's own gradients give", shared_state.read, _without_shared_state
        ),
        Spec("gate", Learns.GATE, "size of the head's gradient", gates.HeadGate, 1, _without_gate),
        Spec("gate-encoder", Learns.GATE, "the shared encoder's gradient", gates.EncoderGate, 1, _without_shared_gate),
        Spec("rows", Learns.TOUCHED, "rows uploaded", items.Touched, 1, _no_hindrance, gradients=False),
        Spec(
            "rows-recurring",
            Learns.RECORDED,
            "rows uploaded each time",
            items.Recurring,
            20,
            _no_hindrance,
            gradients=False,
        ),
        Spec("pulls", Learns.RECORDED, "sign of the pull on each item", items.Pulled, 20, _without_pulls),
        Spec("membership", Learns.MEMBERSHIP, "sign of the pull on one item", items.Pulled, 20, _without_pulls),
    )
}

ATTACKS: Registry[Spec] = Registry("attacks", Spec, _OURS)
"""In the order of the report."""


def chosen(names: Sequence[str] | None) -> list[Spec]:
    """The attacks of some names, or all attacks for None.

    Raises:
        ConfigError: there is no such attack.
    """
    if unknown := [name for name in names or () if name not in ATTACKS]:
        known = f"there is {', '.join(ATTACKS)}, {PRIVATE}"
        raise ConfigError(f"there is no attack {unknown[0]!r}; {known}{did_you_mean(unknown[0], ATTACKS)}")
    return [spec for name, spec in ATTACKS.items() if names is None or name in names]
