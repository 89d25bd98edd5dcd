"""What an audit notes beside the success of attacks: what it depends on, and what it cost."""

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
    """Of the watched clients, by adversary.

    Attributes:
        norm: median L2 norm of a client's first contribution to it, before the device clips it and adds noise.
        all_off: share of the clients none of whose hidden units is on in their first contribution: gradients by weights
            are 0, and say nothing.
        matched: by search, share of all its searches whose gradient came near the client's (`dlg.MATCHED`).
        unreached: numbers of contributions after which nothing was scored, since too few clients made as many.
        attack_seconds: of the processor, of all attacks and their nulls; of no adversary.
    """

    norm: Mapping[str, float] = field(default_factory=dict)
    all_off: Mapping[str, float] = field(default_factory=dict)
    matched: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    unreached: Sequence[int] = ()
    attack_seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    def told(self) -> list[str]:
        """Sentences for people."""
        return list(self._sentences())

    def _sentences(self) -> Iterator[str]:
        for name, norm in self.norm.items():
            yield (
                f"A contribution to {name} has a median norm of {norm:.3g} before clipping and noise. "
                f"For {self.all_off[name]:.1%} of the watched clients no hidden unit is on: gradients by weights are 0."
            )
        for name in dict.fromkeys(name for shares in self.matched.values() for name in shares):
            shares = ", ".join(f"{search} {of[name]:.0%}" for search, of in self.matched.items() if name in of)
            yield f"Searches that matched the gradient to {name} within {dlg.MATCHED:.0%}: {shares}."
        if self.unreached:
            numbers = ", ".join(map(str, self.unreached))
            yield f"Too few watched clients contributed {numbers} times: no attack was asked after as many."
        yield f"The attacks took {self.attack_seconds:.0f} s of processor."


class Census:
    """Looks at each watched client's first contribution.

    Args:
        plan: the plan, whose contributions of several local steps are no gradients, and not looked at.
    """

    def __init__(self, plan: Plan) -> None:
        self._adversaries = list(plan.adversaries) if plan.local.steps == 1 else []
        self._norms: dict[str, list[Tensor]] = {each.name: [] for each in self._adversaries}
        self._all_off: dict[str, list[Tensor]] = {each.name: [] for each in self._adversaries}

    def see(self, seen: Seen, hidden: Hidden, first: NDArray[np.bool_]) -> None:
        """Takes a round in, of which it looks at some clients, bool (n,)."""
        rows = torch.from_numpy(first)
        for each in self._adversaries if first.any() else ():
            secrets = hidden.secrets[each.name]
            self._norms[each.name].append(secrets.norms[rows])
            self._all_off[each.name].append(all_off(seen.task, each, secrets)[rows])

    def facts(
        self, matched: Mapping[str, Mapping[str, float]], unreached: Sequence[int], attack_seconds: float
    ) -> Facts:
        """What was found, with what others have."""
        norms = {name: float(torch.cat(parts).median()) for name, parts in self._norms.items() if parts}
        off = {name: float(torch.cat(parts).double().mean()) for name, parts in self._all_off.items() if parts}
        return Facts(norms, off, matched, unreached, attack_seconds)
