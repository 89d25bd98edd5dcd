"""Kinds, weights and ratings of interactions, as an app records them."""

from decimal import Decimal
from fractions import Fraction
from math import inf, nan

import numpy as np
import pytest

from client_sdk import NoDataError, Result, UsageError


@pytest.mark.parametrize(
    "options",
    [
        *({"kind": kind} for kind in ("bought", "", "VIEW", None, 1, True, b"view", ["view"], np.array(["view"]))),
        *({"weight": w} for w in (0, -1, -0.0, nan, inf, -inf, True, "1", None, 1e7, 10**400, 1j, np.bool_(True))),
        *({"kind": "rating", "value": v} for v in (None, -1, nan, inf, True, "5", 1e7, Decimal("3"), np.array([3, 4]))),
        {"kind": "view", "value": 3},
        {"value": 3},
    ],
)
def test_what_cannot_be_meant_is_refused_and_nothing_recorded(client, options):
    with pytest.raises(UsageError):
        client.record("film-1", **options)
    assert client.status().recorded == 0


@pytest.mark.parametrize("columns", [{"kinds": ["view"]}, {"weights": [1]}, {"values": [None] * 3}, {"kinds": "view"}])
def test_many_have_an_entry_for_each_item(client, columns):
    with pytest.raises(UsageError):
        client.record_many(["film-1", "film-2"], **columns)
    assert client.status().recorded == 0


def test_one_wrong_entry_among_many_records_nothing(client):
    with pytest.raises(UsageError, match="kind must be one of"):
        client.record_many(["film-1"] * 1000, kinds=["view"] * 999 + ["bought"])
    assert client.status().recorded == 0


def test_kind_weight_and_value_are_kept_with_the_interaction(client):
    client.record("film-1")
    client.record("film-2", kind="purchase", weight=np.float32(2.5))
    client.record("film-3", kind="rating", value=np.int64(4), weight=Fraction(1, 2))
    kept = [tuple(each.values()) for each in client.privacy.export_data()["interactions"]]
    assert [(item, *rest) for item, _, *rest in kept] == [
        ("film-1", "view", 1.0, None),
        ("film-2", "purchase", 2.5, None),
        ("film-3", "rating", 0.5, 4.0),
    ]


@pytest.mark.parametrize("item", ["Film-1", "ﬁlm-1", "film-1 "])
def test_an_id_in_another_case_or_form_is_another_id(synced, item):
    synced.record(item)
    assert synced.status().unlisted == 1


def test_what_is_disliked_alone_is_nothing_to_train_on(client):
    client.record("film-2")
    assert client.sync().result == Result.UPLOADED
    client.record("film-2", kind="dislike")
    with pytest.raises(NoDataError, match="counts nothing"):
        client.sync()
    assert "film-2" not in [each.item for each in client.recommend(12)]
