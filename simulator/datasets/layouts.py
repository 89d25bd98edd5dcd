"""Layouts of published files, so that their columns need not be named.

* Amazon's reviews: Ni, Li and McAuley (2019) for the files of 2014 and 2018, Hou et al. (arXiv 2403.03952) for 2023.
* KuaiRec: Gao et al. (2022), doi 10.1145/3511808.3557220.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from simulator.config.own_files import OwnFiles
from simulator.datasets import columns


@dataclass(frozen=True)
class Layout:
    """The columns of files of interactions.

    Attributes:
        of: the publisher of the files, for notes.
        user: the column of the users.
        item: that of the items.
        rating: that of the ratings, or of what stands for them.
        time: that of the times.
        gaps: true if some lines have no time.
    """

    of: str
    user: str
    item: str
    rating: str
    time: str
    gaps: bool = False

    def settings(self, header: Collection[str], given: OwnFiles) -> OwnFiles:
        """Names the columns that are there in the settings, except for those that were given."""
        usual = {
            "user_column": self.user,
            "item_column": self.item,
            "rating_column": self.rating,
            "time_column": self.time,
        }
        known = {name: column for name, column in usual.items() if column in header and name not in given.changed()}
        return given.model_copy(update=known)


LAYOUTS = (
    Layout("Amazon's reviews of 2014 and 2018", "reviewerID", "asin", "overall", "unixReviewTime"),
    Layout("Amazon's reviews of 2023", "user_id", "parent_asin", "rating", "timestamp"),
    Layout("KuaiRec", "user_id", "video_id", "watch_ratio", "timestamp", gaps=True),
)

RATINGS = Layout("Amazon's ratings", columns.USER, columns.ITEM, "rating", columns.TIME)
"""That of the files of 2014 and 2018 that have no line of names."""

_PRODUCT = re.compile(r"[0-9A-Z]{10}")
_REVIEWER = re.compile(r"(A|#oc-R)[0-9A-Z]{10,}")
_AFTER_IDS = (re.compile(r"[1-5](\.0)?"), re.compile(r"[0-9]{8,13}"))


def recognise(header: Collection[str]) -> Layout | None:
    """Returns the layout that has the columns of users, items and ratings of a header; None if no one has."""
    return next((layout for layout in LAYOUTS if {layout.user, layout.item, layout.rating} <= {*header}), None)


def names_of_ratings(fields: Sequence[str]) -> list[str] | None:
    """Names the columns of a file with the layout `RATINGS`, in which users or items come first.

    Args:
        fields: of the first line.

    Returns:
        The names, or None if the line is not one of Amazon's ratings.
    """
    if len(fields) != 4 or not all(form.fullmatch(text) for form, text in zip(_AFTER_IDS, fields[2:], strict=True)):
        return None
    for ids in ((columns.ITEM, columns.USER), (columns.USER, columns.ITEM)):
        text = dict(zip(ids, fields, strict=False))
        if _PRODUCT.fullmatch(text[columns.ITEM]) and _REVIEWER.fullmatch(text[columns.USER]):
            return [*ids, RATINGS.rating, RATINGS.time]
    return None
