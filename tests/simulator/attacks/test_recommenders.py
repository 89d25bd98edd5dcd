"""Every recommender answers for every kind of attack on its own tensors."""

from dataclasses import fields

import pytest

from client_sdk.kernel import contract
from client_sdk.kernel.models import RECOMMENDERS
from simulator.attacks.recommenders.contract import Impossible, RecommenderAttacks
from simulator.attacks.recommenders.registry import ATTACKS, attacks_on, expect_states
from simulator.errors import MissingAttackError


def test_every_recommender_has_its_attacks():
    assert ATTACKS.keys() == RECOMMENDERS.keys()


@pytest.mark.parametrize("model", RECOMMENDERS)
def test_the_attacks_answer_for_every_state_that_can_be_protected(model):
    recommender = RECOMMENDERS[model].model
    states = contract.states(recommender, recommender.tensors(3))
    assert attacks_on(model).states.keys() == states.keys()
    expect_states(model, states)


@pytest.mark.parametrize("model", RECOMMENDERS)
def test_a_kind_of_attack_is_a_function_or_impossible_for_a_reason(model):
    attacks = attacks_on(model)
    answers = [getattr(attacks, field.name) for field in fields(RecommenderAttacks)]
    for answer in answers:
        for attack in answer.values() if isinstance(answer, dict) else [answer]:
            if isinstance(attack, Impossible):
                assert len(attack.reason) > 10
            else:
                assert callable(attack) or attack in [spec.name for spec in RECOMMENDERS[model].model.tensors(3)]


def test_a_recommender_or_a_state_that_nobody_has_answered_for_is_an_error():
    with pytest.raises(MissingAttackError, match="attacks on the recommender 'fedxyz'"):
        attacks_on("fedxyz")
    with pytest.raises(MissingAttackError, match="attacks on the recommender 'fedxyz'"):
        expect_states("fedxyz", [])
    with pytest.raises(MissingAttackError, match="say nothing of its protected state 'mood'"):
        expect_states("fedncf", ["user_gmf", "mood"])
