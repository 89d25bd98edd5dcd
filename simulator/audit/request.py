"""What an audit is asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from simulator.attacks.contract import Spec
from simulator.attacks.sums import Sums
from simulator.config.config import Config

VIEWS = ("chosen", "training", "fleet")
"""Where the server's view is taken: in the chosen state, while the batched engine trains, or from a coordinator."""

PRIVATE = "private"
"""How the names of the attacks begin that read what stays on the device."""


@dataclass(frozen=True)
class Request:
    """What to audit, and how.

    Attributes:
        config: the configuration.
        folder: of the results.
        data_dir: see `datasets.load`.
        specs: attacks on what is uploaded.
        private: whether to attack what stays on the device.
        sums: groups of secure aggregation to attack.
        sums_rounds: rounds that the attack on sums has.
        participations: of a client, after how many attacks are asked.
        clients: most watched clients of each class.
        view: one of `VIEWS`.
        splits: of attackers that learn, and of each shuffle of their null.
        named: whether `specs` were asked for by name, and not as all that there are.
        bounds: most that attacks may reach, see `bounds`.
        again: folder of the run that is trained again, on the same data; None: of another configuration.
    """

    config: Config
    folder: Path
    data_dir: Path | None
    specs: Sequence[Spec]
    private: bool = True
    sums: Sequence[Sums] = ()
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
        """What is trained: by a fleet for its view, and else by the batched engine, whatever `config` says."""
        if self.view == "fleet":
            return self.config.changed({"engine.name": "fleet"})
        return self.config.changed({"engine": {"name": "batched", "transport": "inproc", "trainer": "torch"}})

    @property
    def recording(self) -> Path:
        """Where a fleet's coordinator records."""
        return self.folder / "recording"
