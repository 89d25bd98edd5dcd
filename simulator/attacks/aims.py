"""The aims of attacks. Importing this module loads no PyTorch."""

from enum import StrEnum


class Learns(StrEnum):
    """The aim of an attack. Every kind of guess has its own shape and its own score."""

    LABEL = "label"
    """Class numbers, int64 (n,)."""
    FEATURES = "label, learning from users"
    """Features for the attribute attackers of `simulator.evaluation.attackers`, float32 (n, width)."""
    STATE = "protected state"
    """The protected state, float32 (n, width)."""
    GATE = "gate"
    """True where the gate was open in the last round, bool (n,)."""
    TOUCHED = "items touched"
    """True for the items among the samples of the last round, bool (n, items)."""
    RECORDED = "items recorded"
    """True for the items among the interactions, bool (n, items)."""
    MEMBERSHIP = "membership of an item"
    """As `RECORDED`, but scored on one item that is recorded and one that is not."""

    @property
    def of_adversary(self) -> bool:
        """Says whether an attack with this aim is on one adversary's uploads, and not on the recommender's."""
        return self in (Learns.LABEL, Learns.FEATURES, Learns.STATE, Learns.GATE)
