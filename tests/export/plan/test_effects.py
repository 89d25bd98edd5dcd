import pytest

from export.errors import PlanError
from export.plan.planfile import complete
from tests.plans import GENDER


@pytest.mark.parametrize(
    ("model", "fragment", "message"),
    [
        ("fedvae", {"local.negatives": 8}, "local.negatives has no effect, since fedvae does not use it"),
        ("fedvae", {"local.private_learning_rate": 0.2}, "local.private_learning_rate .* fedvae does not use it"),
        ("fedncf", {"local.shared_learning_rate": 0.2}, "local.shared_learning_rate .* there is one local step"),
        ("fedncf", {"server.shared": {"kind": "sgd", "beta1": 0.5}}, "server.shared.beta1 .* is not adam"),
        ("fedncf", {"adversary": {"head": "mlp", "variance": 2.0}}, "adversary.variance .* the head is mlp"),
        ("fedncf", {"adversary.prior": "uniform"}, "adversary.prior .* the objective is reversal"),
        ("fedncf", {"adversary": {"objective": "confusion", "trigger": "off"}}, "confusion has no trigger"),
        ("fedncf", {"server.passes": 3, "adversaries": "none"}, "server.passes .* nothing is unlearned"),
        ("fedncf", {"server.staleness_exponent": 1.0}, "server.staleness_exponent .* server.most_stale is 0"),
        ("fedncf", {"adversary.pretrain_rounds": 9}, "adversary.pretrain_rounds .* no trigger is pretrain"),
        (
            "fedncf",
            {"adversaries": [{**GENDER, "head": "vae", "variance": 2.0}]},
            r"adversaries\[0\].variance .* the head is vae",
        ),
    ],
)
def test_a_setting_without_effect_is_refused(model, fragment, message):
    with pytest.raises(PlanError, match=message):
        complete(fragment, model)


@pytest.mark.parametrize(
    "fragment",
    [
        {"local": {"steps": 2, "shared_learning_rate": 0.2}},
        {"server.shared": {"kind": "adam", "beta1": 0.5}},
        {"adversary": {"head": "mlp", "variance": 4.0}},
        {"adversary": {"head": "mlp", "variance": 2.0}, "adversaries": [GENDER, {**GENDER, "head": "scalar"}]},
        {"adversary": {"objective": "confusion", "prior": "uniform"}},
        {"adversary": {"trigger": "pretrain", "pretrain_rounds": 9}},
        {"adversary": {"variance": 2.0}, "adversaries": "none"},
        {"server": {"most_stale": 3, "staleness_exponent": 1.0}},
        {"server.passes": 3},
        {"server.passes": 3, "adversaries": "none", "matchings": "all"},
        {"server.passes": 3, "adversaries": "none", "erased": "all"},
    ],
)
def test_a_setting_that_some_adversary_uses_or_that_is_the_default_stays(fragment):
    complete(fragment, "fedncf")
