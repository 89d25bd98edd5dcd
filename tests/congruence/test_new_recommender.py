"""A recommender that is nothing but the functions of the contract: everything else works with it as it stands."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from client_sdk import draws
from client_sdk.kernel import grouped, losses, specs
from client_sdk.kernel.contract import Gradients
from client_sdk.kernel.models import RECOMMENDERS, RecommenderEntry
from export.bundle import write
from export.errors import PlanError
from export.plan.planfile import read
from export.plan.resolve import resolve
from export.verify import verify
from fedau2.v1.task_pb2 import DRAW_CONTRASTS, GraphKind
from simulator.attacks.recommenders import registry
from simulator.attacks.recommenders.contract import Impossible, RecommenderAttacks
from simulator.audit.audit import audit
from simulator.audit.registry import chosen
from simulator.audit.request import Request
from simulator.config.config import Config
from simulator.errors import MissingAttackError
from simulator.evaluation import attackers
from simulator.evaluation.scoring import Scorer
from simulator.experiment.run import run
from simulator.unlearning import post_training
from tests.simulator.quiet import Quiet


@dataclass(frozen=True)
class Widths:
    factors: int = 6


@dataclass(frozen=True)
class Parameters:
    scale: float = 1.0

    def __post_init__(self):
        if self.scale <= 0:
            raise ValueError(f"scale must be positive, not {self.scale}")


SMALL = {
    "plan.model.name": "factors",
    "data": {"dataset": "synthetic", "users": 60, "items": 200},
    "engine": {"rounds": 2, "workers": 1},
    "evaluation.attack_splits": 1,
}


class FactorModel:
    """logit = scale * user . item."""

    @staticmethod
    def tensors(items, widths=None):
        factors = (widths or Widths()).factors
        return [
            specs.table("item_factors", [items, factors], specs.normal(0.1)),
            specs.private("user_factors", [factors], specs.normal(0.1)),
        ]

    draw = staticmethod(draws.contrasts)
    DRAW = DRAW_CONTRASTS

    @staticmethod
    def prepare(shared):
        return {"item_factors": shared["item_factors"].T.contiguous()}

    @staticmethod
    def user(serving, private, history):
        return private

    @staticmethod
    def score(serving, user):
        return user["user_factors"] @ serving["item_factors"]

    @staticmethod
    def gradients(shared, private, step, unlearn):
        batch, table, users = step.batch, shared["item_factors"], private["user_factors"]
        items, own = table.index_select(0, batch.slot), users.index_select(0, batch.client)
        loss, grad = losses.binary_cross_entropy(step.parameters.scale * (items * own).sum(1), batch)
        grad = step.parameters.scale * grad
        out = Gradients(loss)
        out.shared["item_factors"] = torch.zeros_like(table).index_add_(0, batch.slot, grad[:, None] * own)
        pulled = grouped.collect(grad[:, None] * items, batch.client, batch.clients, batch.groups)
        out.private["user_factors"] = pulled + unlearn(private).get("user_factors", 0)
        return out


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(RECOMMENDERS, "factors", RecommenderEntry(lambda: FactorModel, Widths, Parameters))


def test_its_bundle_is_built_and_verified(make_bundle, tmp_path):
    write(make_bundle(model="factors", training=True), tmp_path / "bundle")
    lines = list(verify(tmp_path / "bundle"))
    assert any("graphs: " in line and "agree with PyTorch" in line for line in lines)
    assert any("training graph: agrees with PyTorch" in line for line in lines)


def test_without_saying_how_it_draws_it_is_trained_by_pytorch_alone(make_bundle, monkeypatch):
    monkeypatch.delattr(FactorModel, "DRAW")
    task = make_bundle(model="factors", training=True).manifest
    assert [GraphKind.Name(graph.kind) for graph in task.graphs] == ["GRAPH_KIND_PREPARE", "GRAPH_KIND_RECOMMEND"]


def test_its_plan_is_read_from_a_file_and_protects_its_first_state(tmp_path):
    (tmp_path / "plan.yaml").write_text(
        "model: {factors: 3}\nadversaries: [{attribute: gender, classes: [M, F]}]\nlocal: {negatives: 2}"
    )
    plan = read(tmp_path / "plan.yaml", "factors")
    assert plan.model.widths() == Widths(factors=3)
    assert plan.model.parameters() == {"scale": 1.0}
    assert resolve(plan, {}).adversaries[0].protects == ("user_factors",)


def test_it_learns_in_batches_and_as_a_fleet(make_bundle, make_population, batched, fleet, cohorts):
    bundle = make_bundle(model="factors", server__shared__learning_rate=0.1)
    engines, losses = [], []
    for make in (batched, fleet):
        population = make_population(bundle)
        engine = make(bundle, population)
        losses.append([engine.train_round(members).report.loss.mean() for members in cohorts])
        engines.append((engine, population))
    assert losses[0][:3] == pytest.approx(losses[1][:3], rel=1e-4)
    for engine, population in engines:
        scores = Scorer(bundle.manifest, engine.checkpoint, population.state.values, population.interactions)
        everyone = np.arange(len(population))
        liked = np.array(
            [
                row[known].mean() - row.mean()
                for row, known in zip(scores(everyone), population.interactions, strict=True)
            ]
        )
        assert liked.mean() > 0.1


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"after_training.erasure": "transport"},
        {"after_training.erasure": "alignment"},
        {"after_training.erasure": "d2d"},
        {"after_training.noise": 1.0},
        {"engine.apm": 10.0, "engine.rounds": 3},
    ],
)
def test_it_is_run_evaluated_and_attacked(tmp_path, monkeypatch, settings):
    monkeypatch.setattr(attackers, "SHUFFLES", 1)
    monkeypatch.setattr(post_training, "STEPS", 3)
    config = Config.of(SMALL, settings)
    metrics = run(config, tmp_path / "run", None, Quiet())
    assert 0 < metrics["ndcg@10"] < 1
    assert metrics["bacc_strong"] >= 0.5


def test_its_own_parameter_reaches_training_from_the_plan(make_bundle, make_population, batched):
    def loss(**parameters):
        bundle = make_bundle(model="factors", **{f"model__{name}": value for name, value in parameters.items()})
        population = make_population(bundle)
        return batched(bundle, population).train_round(np.arange(len(population))).report.loss

    np.testing.assert_array_equal(loss(), loss(scale=1.0))
    assert (np.abs(loss(scale=3.0) - loss()) > 1e-6).all()


def test_a_value_that_it_refuses_is_refused_with_its_own_words(make_bundle):
    with pytest.raises(PlanError, match=r"model: scale must be positive, not -1"):
        make_bundle(model="factors", model__scale=-1)


def audited(folder, **settings):
    config = Config.of(SMALL, settings)
    specs = chosen(["embedding", "shared", "pulls"])
    return audit(Request(config, folder, None, specs, private=False, clients=8, participations=(1,)), Quiet())


def test_it_is_not_audited_before_somebody_has_written_its_attacks(tmp_path, monkeypatch):
    monkeypatch.setattr("simulator.engines.batched.BatchedEngine.train_round", pytest.fail)
    with pytest.raises(MissingAttackError, match="nobody has written the attacks on the recommender 'factors'"):
        audited(tmp_path)


def test_it_is_not_audited_where_its_attacks_leave_a_protected_state_out(tmp_path, monkeypatch):
    monkeypatch.setattr("simulator.engines.batched.BatchedEngine.train_round", pytest.fail)
    silent = RecommenderAttacks(Impossible("a"), Impossible("b"), {}, Impossible("c"), Impossible("d"))
    monkeypatch.setitem(registry.ATTACKS, "factors", silent)
    with pytest.raises(MissingAttackError, match="say nothing of its protected state 'user_factors'"):
        audited(tmp_path)


def test_it_is_audited_with_attacks_of_its_own_and_says_which_it_rules_out(tmp_path, monkeypatch):
    def read(task, contribution):
        """The first row's direction: not the state, which no attack on one contribution reads exactly."""
        return contribution["item_factors"].values[0]

    own = RecommenderAttacks(
        trained_rows=Impossible("rows depend on nothing that is dense"),
        pulls=Impossible("nobody has found how they show"),
        states={"user_factors": read},
        reversed_gradient=Impossible("it stays on the device"),
        lone_rows=Impossible("nobody has looked at sums"),
    )
    monkeypatch.setitem(registry.ATTACKS, "factors", own)
    found = audited(tmp_path, **{"plan.local.cover_rows": 1.0})
    assert {finding.attack for finding in found.findings} >= {"embedding", "shared"}
    assert {planned.attack: planned.hindrance for planned in found.not_run} == {
        "pulls": "nobody has found how they show",
        "removing cover rows": "rows depend on nothing that is dense",
    }
