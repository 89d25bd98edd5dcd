"""Contributions that the unmasker does not count: how many of a set are a reason to look at the unmasker."""

_SHARE = 0.1


def are_many(refused: int, members: int) -> bool:
    """Returns True if an operator is to ask why: an unmasker that lies can choose in this way who counts.

    Args:
        refused: members of a set that the unmasker does not count.
        members: all members of the set.
    """
    return refused > _SHARE * members
