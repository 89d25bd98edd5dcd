"""Groups in tables and in words."""

from simulator.reporting import groups

CELLS = {
    "M": {"mean": 0.3, "low": 0.2, "high": 0.4},
    "F": {
        "mean": 0.2,
        "low": 0.1,
        "high": 0.3,
        "gap": -0.1,
        "gap_low": -0.2,
        "gap_high": -0.02,
        "p": 0.01,
        "p_holm": 0.02,
    },
    "X": {"mean": 0.5},
}
METRICS = {"groups": {"gender": {"users": {"M": 30, "F": 20, "X": 2}, "reference": "M", "metrics": {"ndcg@10": CELLS}}}}


def test_a_group_that_is_too_small_has_no_interval_and_says_so():
    assert groups.table(METRICS, "gender") == [
        ("M", "30", "0.300 (0.200 to 0.400)", "", ""),
        ("F", "20", "0.200 (0.100 to 0.300)", "-0.100 (-0.200 to -0.020)", "0.020"),
        ("X", "2", "0.500", "too few users", ""),
    ]


def test_words_name_the_groups_that_differ_and_those_of_which_nothing_can_be_said():
    assert list(groups.sentences(METRICS)) == [
        "By gender, F has 0.100 less NDCG@10 than M (95% interval -0.200 to -0.020).",
        "Of X there are too few users to say.",
    ]
    alike = METRICS["groups"]["gender"] | {"metrics": {"ndcg@10": CELLS | {"F": CELLS["F"] | {"p_holm": 0.3}}}}
    assert "No group of gender has an NDCG@10 that differs from that of M" in next(
        iter(groups.sentences({"groups": {"gender": alike}}))
    )
    assert list(groups.sentences({})) == []
