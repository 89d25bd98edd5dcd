"""What uploads tell of the label; expectations from the law of the head's noise."""

import dataclasses

import numpy as np
import pytest
import torch

from simulator.attacks import leakage as module
from simulator.attacks.leakage import leakage
from tests.recommenders import LEAN

ANALYTIC = ("leak_analytic", "leak_analytic_5", "leak_analytic_20")
METRICS = {*ANALYTIC, "leak_dlg", "leak_embedding_error", "leak_all_off"}


@pytest.fixture(autouse=True)
def fewer(monkeypatch):
    monkeypatch.setattr("simulator.attacks.dlg.STEPS", 20)


@pytest.mark.parametrize("model", LEAN)
@pytest.mark.parametrize("head", ["mlp", "vae"])
def test_one_upload_gives_the_label_away_where_no_noise_can_turn_its_sign(observed, monkeypatch, head, model):
    monkeypatch.setattr(module, "ROUNDS", (1, 2))
    found = leakage(*observed(60, model=model, head=head), "gender", 9, 0)
    assert found["leak_analytic"] == found["leak_analytic_2"] == 1.0


@pytest.mark.parametrize("head", ["dsvae", "scalar"])
def test_dual_stochastic_heads_hide_a_label_once_but_not_for_long(observed, head):
    found = leakage(*observed(400, model="fedvae", head=head), "gender", 9, 0)
    assert set(found) == METRICS
    once, five, twenty = (found[name] for name in ANALYTIC)
    assert 0.69 <= once <= 0.82  # n1 and n1' of the two classes add up to less than 0 with probability 0.24
    assert once + 0.05 < five < twenty
    assert twenty > 0.96


@pytest.mark.parametrize("head", ["mlp", "vae", "dsvae", "scalar"])
@pytest.mark.parametrize("model", LEAN)
def test_no_head_hides_the_protected_state(observed, monkeypatch, model, head):
    monkeypatch.setattr(module, "ROUNDS", (1,))
    assert leakage(*observed(60, model=model, head=head), "gender", 9, 0)["leak_embedding_error"] < 1e-4


def test_clients_of_whom_no_unit_is_on_are_counted(observed, monkeypatch):
    monkeypatch.setattr(module, "ROUNDS", (1,))
    task, population = observed(60, head="dsvae")
    assert leakage(task, population, "gender", 9, 0)["leak_all_off"] == 0
    bias = task.adversary["adversary.gender.hidden.bias"]
    bias.copy_(torch.full_like(bias, -1e6))
    assert leakage(task, population, "gender", 9, 0)["leak_all_off"] == 1


def test_noise_is_drawn_anew_in_each_round(observed, monkeypatch):
    monkeypatch.setattr(module, "ROUNDS", (1,))
    task, population = observed(200, head="dsvae")
    one, other = (leakage(task, population, "gender", number, 0)["leak_analytic"] for number in (9, 10))
    assert one != other
    assert leakage(task, population, "gender", 9, 0)["leak_analytic"] == one


def test_only_those_who_tell_the_attribute_are_attacked(observed, monkeypatch):
    task, population = observed(60, head="mlp")
    told = [value if n % 2 else None for n, value in enumerate(population.attributes["gender"])]
    population = dataclasses.replace(population, attributes={"gender": told})
    asked, observe = [], module.observe
    monkeypatch.setattr(module, "observe", lambda *args: asked.append(args[3]) or observe(*args))
    monkeypatch.setattr(module, "ROUNDS", (1,))
    leakage(task, population, "gender", 9, 0)
    values = [told[member] for member in np.concatenate(asked)]
    assert None not in values
    assert values.count("F") == values.count("M") == min(told.count("F"), told.count("M"))


def test_an_attribute_that_nobody_trains_against_leaks_nothing_here(observed):
    assert leakage(*observed(40, head="none"), "gender", 9, 0) == {}


@pytest.mark.parametrize("most", [1, 7])
def test_of_wide_states_fewer_clients_are_attacked(monkeypatch, observed, most):
    task, population = observed(60, head="mlp")
    monkeypatch.setattr(module, "_NUMBERS", 32 * 2 * most)
    monkeypatch.setattr(module, "ROUNDS", (1,))
    asked, observe = [], module.observe
    monkeypatch.setattr(module, "observe", lambda *args: asked.append(args[3]) or observe(*args))
    leakage(task, population, "gender", 9, 0)
    assert len(asked[0]) == 2 * most
