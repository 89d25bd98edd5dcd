"""All attacks by name."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from client_sdk.kernel.fedvae_parameters import LATENT
from fedau2.v1.task_pb2 import OBJECTIVE_CONFUSION, TRIGGER_SUT, Adversary, TaskManifest
from simulator.attacks import dlg, gates, items, labels, shared_state
from simulator.attacks.contract import Attack, Learns, Setting, Spec
from simulator.attacks.matched_filter import KnownState, MatchedFilter
from simulator.attacks.prior import PriorSearch
from simulator.audit.request import PRIVATE
from simulator.errors import ConfigError

Applies = Callable[[TaskManifest, Adversary | None], bool]

ALWAYS = 10**9
"""Participations of an attack that goes on adding up."""


def _on_adversary(task: TaskManifest, each: Adversary | None) -> bool:
    return each is not None


def _on_gate(task: TaskManifest, each: Adversary | None) -> bool:
    return each is not None and each.trigger == TRIGGER_SUT and each.objective != OBJECTIVE_CONFUSION


def _on_encoder(task: TaskManifest, each: Adversary | None) -> bool:
    return _on_gate(task, each) and each is not None and list(each.protects) == [LATENT]


def _on_shared_state(task: TaskManifest, each: Adversary | None) -> bool:
    return each is not None and all(name in shared_state.READS for name in each.protects)


def _on_noisy_state(task: TaskManifest, each: Adversary | None) -> bool:
    return _on_shared_state(task, each) and each is not None and each.noise_multiplier > 0


def _on_rows(task: TaskManifest, each: Adversary | None) -> bool:
    return each is None


def _on_pulls(task: TaskManifest, each: Adversary | None) -> bool:
    return each is None and task.model in items.PULLS


def _label(
    name: str, about: str, make: Callable[[Setting], Attack], participations: int = 1, public: bool = False
) -> Spec:
    return Spec(name, Learns.LABEL, about, make, participations, _on_adversary, public=public)


def _dlg(name: str, about: str, participations: int = 1, **search: object) -> Spec:
    # The search is made when the attack is, so that its number of steps can be lowered for all.
    def make(setting: Setting) -> Attack:
        return labels.Dlg(setting, dlg.Search(**{"steps": dlg.STEPS, **search}))  # type: ignore[arg-type]

    return _label(name, about, make, participations)


def _rule(rule: labels.Rule) -> Callable[[Setting], Attack]:
    return partial(labels.Accumulated, rule=rule)


def _readings(name: str, about: str, read: labels.Read, applies: Applies) -> Iterator[Spec]:
    yield Spec(name, Learns.STATE, about, partial(labels.Reading, read=read, last=True), 1, applies)
    mean = partial(labels.Reading, read=read)
    for attacker in ("paper", "strong"):
        yield Spec(f"{name}-{attacker}", Learns.FEATURES, f"attacker {attacker} on it", mean, 20, applies)


ATTACKS: Mapping[str, Spec] = {
    each.name: each
    for each in (
        _dlg("dlg", "DLG as the paper runs it: Adam, 300 steps; over rounds the class found most often", 5),
        _dlg("dlg-long", "DLG, 1000 steps", steps=1000),
        _dlg("dlg-restarts", "DLG, the nearest of 4 dummies", restarts=4),
        _dlg("dlg-sign", "DLG by Adam on the gradient's signs", optimizer="sign"),
        _dlg("dlg-lbfgs", "DLG by L-BFGS, 100 iterations", optimizer="lbfgs", steps=100),
        _dlg("dlg-expected", "DLG with expectation over the noise: 8 draws a step", draws=8),
        _dlg("dlg-headless", "DLG without the head's gradient", head=False),
        _label("idlg", "iDLG: the lowest sum of a row of the head", _rule(labels.idlg)),
        _label("sign", "signs of the head's rows, added up", _rule(labels.signs), ALWAYS),
        _label("magnitude", "sizes of the head's rows, added up", _rule(labels.magnitudes), ALWAYS),
        _label("matched", "a filter matched to simulated uploads of public users", MatchedFilter, ALWAYS, public=True),
        Spec(
            "known-state", Learns.LABEL, "likelihood under noise, given the state", KnownState, ALWAYS, _on_noisy_state
        ),
        _label("prior", "search in a prior fitted on public users, aware of the defence", PriorSearch, 5, public=True),
        *_readings("embedding", "the state that the first layer's gradients give", labels.first_layer, _on_adversary),
        *_readings(
            "shared", "the state that the recommender's own gradients give", shared_state.read, _on_shared_state
        ),
        Spec("gate", Learns.GATE, "size of the head's gradient", gates.HeadGate, 1, _on_gate),
        Spec("gate-encoder", Learns.GATE, "the shared encoder's gradient", gates.EncoderGate, 1, _on_encoder),
        Spec("rows", Learns.TOUCHED, "rows uploaded", items.Touched, 1, _on_rows, gradients=False),
        Spec(
            "rows-recurring",
            Learns.RECORDED,
            "rows uploaded each time",
            items.Recurring,
            20,
            _on_rows,
            gradients=False,
        ),
        Spec("pulls", Learns.RECORDED, "sign of what is done to each item", items.Pulled, 20, _on_pulls),
        Spec("membership", Learns.MEMBERSHIP, "the same, for one item", items.Pulled, 20, _on_pulls),
    )
}
"""In the order in which they are shown."""


def chosen(names: Sequence[str] | None) -> list[Spec]:
    """Attacks by name; all of them for None.

    Raises:
        ConfigError: there is no such attack.
    """
    if unknown := [name for name in names or () if name not in ATTACKS]:
        raise ConfigError(f"there is no attack {unknown[0]!r}; there is {', '.join(ATTACKS)}, {PRIVATE}")
    return [spec for name, spec in ATTACKS.items() if names is None or name in names]
