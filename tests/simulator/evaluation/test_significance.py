import pytest

from simulator.evaluation.significance import corrected

METRICS = {"bacc_strong": 0.6, "bacc_p_strong": 0.04, "bacc_null_p95_strong": 0.6, "auc_p_strong": 0.01, "round": 3}


def test_an_attack_alone_keeps_its_p_value_and_several_on_all_attributes_have_larger_ones():
    assert corrected(METRICS) == {"bacc_strong": 0.04}
    both = corrected(METRICS | {"age/bacc_p_strong_all": 0.2})
    assert both == {"bacc_strong": pytest.approx(0.08), "age/bacc_strong_all": 0.2}
    assert corrected({"round": 3, "trigger_rate": {"bacc_p_x": 1}}) == {}
