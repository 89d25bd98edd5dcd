import pytest

from simulator.evaluation.significance import corrected

METRICS = {"bacc_strong": 0.6, "bacc_null_p95_strong": 0.6, "bacc_null_p95": 0.6, "round": 3}


def test_an_attack_at_its_nulls_95th_percentile_has_a_p_of_5_percent_and_several_attacks_more():
    assert corrected(METRICS, {"": 0.5}) == {"bacc_strong": pytest.approx(0.05)}
    others = {"age/bacc_strong": 0.2, "age/bacc_null_p95_strong": 0.4, "age/bacc_null_p95_paper": 0.4}
    both = corrected(METRICS | others, {"": 0.5, "age/": 1 / 3})
    assert both == {"bacc_strong": pytest.approx(0.1), "age/bacc_strong": 1.0}


def test_further_beyond_the_null_is_less_by_chance_and_without_attacks_there_is_nothing():
    p = [corrected(METRICS | {"bacc_strong": bacc}, {"": 0.5})["bacc_strong"] for bacc in (0.4, 0.5, 0.55, 0.6, 0.7)]
    assert p == sorted(p, reverse=True)
    assert p[:2] == [1, 1]
    assert corrected({"round": 3}, {"": 0.5}) == {}
