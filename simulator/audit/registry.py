"""All attacks by name."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from client_sdk.kernel import fedvae
from fedau2.v1.task_pb2 import OBJECTIVE_CONFUSION, TRIGGER_SUT, Adversary, TaskManifest
from simulator.audit import dlg, gates, items, labels
from simulator.audit.contract import Attack, Learns, Setting, Spec
from simulator.audit.prior import PriorSearch
from simulator.errors import ConfigError

ALWAYS = 10**9
"""Participations of an attack that goes on adding up."""


def _on_adversary(task: TaskManifest, each: Adversary | None) -> bool:
    return each is not None


def _on_gate(task: TaskManifest, each: Adversary | None) -> bool:
    return each is not None and each.trigger == TRIGGER_SUT and each.objective != OBJECTIVE_CONFUSION


def _on_encoder(task: TaskManifest, each: Adversary | None) -> bool:
    return _on_gate(task, each) and each is not None and list(each.protects) == [fedvae.LATENT]


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


_EMBEDDING = "the state that the first layer's gradients give"

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
        _label("prior", "search in a prior fitted on public users, aware of the defence", PriorSearch, 5, public=True),
        Spec("embedding", Learns.STATE, _EMBEDDING, partial(labels.Reading, last=True), 1, _on_adversary),
        *(
            Spec(
                f"embedding-{attacker}",
                Learns.FEATURES,
                f"attacker {attacker} on it",
                labels.Reading,
                20,
                _on_adversary,
            )
            for attacker in ("paper", "strong")
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
        raise ConfigError(f"there is no attack {unknown[0]!r}; there is {', '.join(ATTACKS)}")
    return [spec for name, spec in ATTACKS.items() if names is None or name in names]
