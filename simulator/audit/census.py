"""Facts that an audit reports beside the success of attacks: what the success depends on, and what it cost."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fedau2.v1.task_pb2 import Plan
from simulator.attacks import dlg
from simulator.attacks.contract import Seen
from simulator.attacks.uploads import all_off
from simulator.audit.view import Hidden


@dataclass(frozen=True)
class Facts:
    """Facts on the watched clients, the first three by adversary.

    Attributes:
        norm: median L2 norm of a client's first contribution, before the device clips it and adds noise.
        all_off: share of the clients for which all hidden units are off in their first contribution, so that gradients
            by weights are 0.
        matched: share of searches whose gradient came near the client's (`dlg.MATCHED`), by attack first.
        unreached: numbers of contributions that too few clients made for a score.
        attack_seconds: processor time of all attacks and their nulls.
    """

    norm: Mapping[str, float] = field(default_factory=dict)
    all_off: Mapping[str, float] = field(default_factory=dict)
    matched: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    unreached: Sequence[int] = ()
    attack_seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    def sentences(self) -> list[str]:
        """The facts as sentences."""
        return list(self._sentences())

    def _sentences(self) -> Iterator[str]:
        for name, norm in self.norm.items():
            yield (
                f"A contribution to {name} has a median norm of {norm:.3g} before clipping and noise. "
                f"For {self.all_off[name]:.1%} of the watched clients all hidden units are off, so that gradients by "
                "weights are 0."
            )
        for name in dict.fromkeys(name for shares in self.matched.values() for name in shares):
            shares = ", ".join(f"{search} {of[name]:.0%}" for search, of in self.matched.items() if name in of)
            yield f"Searches that matched the gradient to {name} within {dlg.MATCHED:.0%}: {shares}."
        if self.unreached:
            numbers = ", ".join(map(str, self.unreached))
            yield f"Too few watched clients contributed {numbers} times, so no attack was scored after as many."
        yield f"The attacks took {self.attack_seconds:.0f} s of processor time."


class Census:
    """Looks at each watched client's first contribution.

    Args:
        plan: the plan. With several local steps contributions are not gradients, and are not looked at.
    """

    def __init__(self, plan: Plan) -> None:
        self._adversaries = list(plan.adversaries) if plan.local.steps == 1 else []
        self._norms: dict[str, list[Tensor]] = {adversary.name: [] for adversary in self._adversaries}
        self._all_off: dict[str, list[Tensor]] = {adversary.name: [] for adversary in self._adversaries}

    def see(self, seen: Seen, hidden: Hidden, first: NDArray[np.bool_]) -> None:
        """Looks at some clients of a round, bool (n,)."""
        rows = torch.from_numpy(first)
        for adversary in self._adversaries if first.any() else ():
            secrets = hidden.secrets[adversary.name]
            self._norms[adversary.name].append(secrets.norms[rows])
            self._all_off[adversary.name].append(all_off(seen.task, adversary, secrets)[rows])

    def facts(
        self, matched: Mapping[str, Mapping[str, float]], unreached: Sequence[int], attack_seconds: float
    ) -> Facts:
        """The facts: those of the census, and those of the arguments."""
        norms = {name: float(torch.cat(parts).median()) for name, parts in self._norms.items() if parts}
        off = {name: float(torch.cat(parts).double().mean()) for name, parts in self._all_off.items() if parts}
        return Facts(norms, off, matched, unreached, attack_seconds)
