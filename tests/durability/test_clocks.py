"""The clocks of coordinators differ by minutes: rounds may last longer, and end in the same bytes."""

import pytest

pytest.importorskip("psycopg", reason="the extra postgres is not installed")

from tests.durability import versions
from tests.durability.devices import Fleet
from tests.durability.kills import Kills, Plan
from tests.durability.replicas import Replicas
from tests.durability.twins import Twins

SKEW = 180
"""Seconds, far more than a lease or a round lasts."""


@pytest.mark.slow
def test_leaders_with_clocks_that_are_minutes_apart_count_the_same(tmp_path, server, small_bundle, capsys):
    fleet = Fleet(tmp_path, devices=40, workers=2, rounds=12, cohort=20, seed=11)
    twins = Twins(fleet, server, small_bundle)
    replicas = Replicas(twins.wild.folder, twins.url, 3)
    for member, skew in zip(replicas.members[1:], (SKEW, -SKEW), strict=True):
        member.sources = versions.skewed(tmp_path / f"skewed{skew}", skew)
    told, _ = twins.check(Kills(twins.wild, replicas, twins.task_id, Plan(coordinators=24), server))
    with capsys.disabled():
        print(told)
