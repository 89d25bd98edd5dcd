"""The recommenders' own attacks by the recommender's name."""

from collections.abc import Iterable

from fedau2.plugins import Registry
from simulator.attacks.recommenders import fcf, fedgnn, fedncf, fedrap, fedvae, pfedrec
from simulator.attacks.recommenders.contract import RecommenderAttacks
from simulator.errors import MissingAttackError

ATTACKS: Registry[RecommenderAttacks] = Registry(
    "recommender_attacks",
    RecommenderAttacks,
    {
        "fedncf": fedncf.ATTACKS,
        "fedrap": fedrap.ATTACKS,
        "fedvae": fedvae.ATTACKS,
        "fcf": fcf.ATTACKS,
        "pfedrec": pfedrec.ATTACKS,
        "fedgnn": fedgnn.ATTACKS,
    },
)


def attacks_on(model: str) -> RecommenderAttacks:
    """The attacks on a recommender's own tensors.

    Raises:
        MissingAttackError: nobody has written them.
    """
    if model not in ATTACKS:
        raise MissingAttackError(
            f"nobody has written the attacks on the recommender {model!r}, so an audit would make it look safe: "
            "declare them, in simulator/attacks/recommenders or as recommender_attacks of a plug-in"
        )
    return ATTACKS[model]


def expect_states(model: str, states: Iterable[str]) -> None:
    """Checks that the attacks on a recommender answer for all of some protected states.

    Raises:
        MissingAttackError: nobody has written the recommender's attacks, or those on one of the states.
    """
    known = attacks_on(model).states
    if unknown := [state for state in states if state not in known]:
        raise MissingAttackError(
            f"the attacks on the recommender {model!r} say nothing of its protected state {unknown[0]!r}: add how it "
            "is read, or why it cannot be, to `states` of these attacks"
        )
