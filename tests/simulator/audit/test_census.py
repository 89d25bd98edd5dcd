"""What is noted beside attacks is what their figures depend on."""

import json

import numpy as np
import pytest
import torch

from client_sdk.kernel.training import CohortTraining
from simulator.audit.audit import _watch
from simulator.audit.census import Facts
from simulator.audit.registry import chosen
from simulator.audit.request import Request
from simulator.audit.view import still
from simulator.commands.cli import main
from tests.simulator.settings import make

HIDDEN = "adversary.gender.hidden.bias"


@pytest.fixture
def audited(observed, tmp_path):
    """Task, population, watch and facts of some attacks; `spoil` changes the checkpoint first."""

    def run(names, spoil=lambda task, population: None, **settings):
        task, population = observed(60, head="dsvae", **settings)
        spoil(task, population)
        request = Request(make(), tmp_path, None, chosen(names), participations=(1, 2), clients=10)
        watch, runner = _watch(request, task, population)
        still(watch, task, range(3), runner)
        runner.findings()
        return task, population, watch, runner.facts()

    return run


@pytest.mark.parametrize("defences", [{}, {"adversary_clip_norm": 1e-6, "noise_multiplier": 5.0}])
def test_the_norm_is_that_of_what_devices_trained_before_they_clip_it(audited, defences):
    task, population, watch, facts = audited(["sign"], **defences)
    norms = []
    for member in watch.members:
        cohort = population.cohort(task.manifest, 0, np.array([member]))
        trained = CohortTraining(task, 0, cohort, summed=False).run().contributions()[0]
        own = [np.ravel(value) for name, value in trained.items() if name.startswith("adversary.gender.")]
        norms.append(float(np.linalg.norm(np.concatenate(own).astype(np.float64))))
    assert facts.norm == {"gender": pytest.approx(torch.tensor(norms).median().item(), rel=1e-4)}


def test_clients_without_a_hidden_unit_are_counted(audited):
    def switch_all_off(task, population):
        task.adversary[HIDDEN].fill_(-1e3)

    def switch_half_off(task, population):
        task.adversary[HIDDEN].fill_(-1)
        population.state.values["user_gmf"][::2] = 1e3 * task.adversary["adversary.gender.hidden.weight"][0].numpy()

    *_, facts = audited(["sign"], switch_all_off)
    assert facts.all_off == {"gender": 1.0}
    assert facts.norm == {"gender": 0.0}
    *_, watch, facts = audited(["sign"], switch_half_off)
    assert facts.all_off == {"gender": pytest.approx((watch.members % 2).mean())}
    *_, facts = audited(["sign"])
    assert facts.all_off == {"gender": 0.0}


def test_searches_say_how_often_they_matched(audited):
    *_, facts = audited(["dlg", "dlg-lbfgs", "sign"], protects="each")
    assert facts.matched.keys() == {"dlg", "dlg-lbfgs"}
    assert facts.matched["dlg"].keys() == facts.norm.keys() == facts.all_off.keys()
    assert len(facts.norm) > 1
    assert all(0 <= share <= 1 for shares in facts.matched.values() for share in shares.values())
    assert facts.attack_seconds > 0


def test_numbers_of_contributions_that_nobody_made_are_told(observed, tmp_path):
    task, population = observed(60, head="dsvae")
    request = Request(make(), tmp_path, None, chosen(["sign", "dlg"]), participations=(1, 2, 5, 50), clients=10)
    watch, runner = _watch(request, task, population)
    still(watch, task, range(3), runner)
    assert {each.participations for each in runner.findings()} == {1, 2}
    assert runner.facts().unreached == [5, 50]


def test_gradients_of_several_steps_are_not_looked_at(audited):
    *_, facts = audited(["rows"], steps=2)
    assert not facts.norm
    assert len(facts.sentences()) == 1


def test_facts_are_told():
    facts = Facts(
        {"gender": 1.4142}, {"gender": 0.085}, {"dlg": {"gender": 0.03}, "dlg-long": {"gender": 0.5}}, [20, 100], 109.4
    )
    assert facts.sentences() == [
        "A contribution to gender has a median norm of 1.41 before clipping and noise. For 8.5% of the watched clients "
        "all hidden units are off, so that gradients by weights are 0.",
        "Searches that matched the gradient to gender within 10%: dlg 3%, dlg-long 50%.",
        "Too few watched clients contributed 20, 100 times, so no attack was scored after as many.",
        "The attacks took 109 s of processor time.",
    ]


@pytest.mark.parametrize("view", ["chosen", "training"])
def test_facts_are_in_every_result(tmp_path, capsys, monkeypatch, view):
    monkeypatch.setattr("simulator.evaluation.attackers.SHUFFLES", 2)
    small = ["--dataset", "synthetic", "--users", "60", "--items", "200", "--rounds", "2", "--fraction", "0.5"]
    how = ["--clients", "10", "--attacks", "dlg,private", "--splits", "1", "--participations", "1", "--view", view]
    assert main(["audit", "--out", str(tmp_path / "audit"), *small, *how]) == 0
    told = " ".join(capsys.readouterr().out.split())
    page = (tmp_path / "audit" / "audit.html").read_text()
    about = json.loads((tmp_path / "audit" / "audit.json").read_text())
    assert about["facts"].keys() == {"norm", "all_off", "matched", "unreached", "attack_seconds"}
    spent = {each["attack"]: each["seconds"] for each in about["findings"]}
    assert about["facts"]["attack_seconds"] >= 0.999 * sum(spent.values()) > 0
    for text in (told, page):
        assert "A contribution to gender has a median norm of" in text
        assert "Searches that matched the gradient to gender within 10%: dlg" in text
