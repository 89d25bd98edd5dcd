"""The request of an audit. Importing this module loads no PyTorch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from simulator.config.config import Config

if TYPE_CHECKING:
    from simulator.attacks.contract import Spec
    from simulator.attacks.sums import Sums

VIEWS = ("chosen", "training", "fleet")
"""Sources of the server's view: the chosen state, the batched engine while it trains, or a coordinator."""

ATTACKS = (
    *("dlg", "dlg-long", "dlg-restarts", "dlg-sign", "dlg-lbfgs", "dlg-expected", "dlg-headless", "idlg"),
    *("sign", "magnitude", "matched", "known-state", "prior"),
    *("embedding", "embedding-paper", "embedding-strong", "shared", "shared-paper", "shared-strong"),
    *("gate", "gate-encoder", "rows", "rows-recurring", "pulls", "membership"),
)
"""Names of the attacks on uploads, in the order of the report; `registry` has the attacks."""

PRIVATE = "private"
"""Prefix of the names of attacks on what stays on the device."""


@dataclass(frozen=True)
class Request:
    """A configuration to audit, and the attacks on it.

    Attributes:
        config: the configuration.
        folder: folder of the results.
        data_dir: see `datasets.load`.
        specs: attacks on uploads.
        private: True to attack what stays on the device.
        sums: groups of secure aggregation to attack.
        sums_rounds: numbers of rounds after which attacks on sums guess.
        participations: numbers of a client's participations after which attacks guess.
        clients: most watched clients of each class.
        view: one of `VIEWS`.
        splits: splits of attackers that learn, and of each shuffle of their null.
        named: True if `specs` were chosen by name; False if they are all attacks.
        bounds: largest success of attacks, see `bounds`.
        again: folder of a run that is trained again on the same data; None for a new configuration.
    """

    config: Config
    folder: Path
    data_dir: Path | None
    specs: "Sequence[Spec]"
    private: bool = True
    sums: "Sequence[Sums]" = ()
    sums_rounds: Sequence[int] = (100, 400)
    participations: Sequence[int] = (1, 5, 10, 20, 100)
    clients: int = 200
    view: str = "chosen"
    splits: int = 10
    named: bool = False
    bounds: Mapping[str, float] = field(default_factory=dict)
    again: Path | None = None

    @property
    def trained(self) -> Config:
        """The configuration that is trained: by a fleet for the view `fleet`, otherwise by the batched engine."""
        if self.view == "fleet":
            return self.config.changed({"engine.name": "fleet"})
        return self.config.changed({"engine": {"name": "batched", "transport": "inproc", "trainer": "torch"}})

    @property
    def recording(self) -> Path:
        """The folder in which a fleet's coordinator records."""
        return self.folder / "recording"
