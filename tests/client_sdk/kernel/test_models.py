"""The recommenders' settings: read by name, checked, and with the paper's defaults."""

import pytest

from client_sdk.errors import UnsupportedTaskError
from client_sdk.kernel import fedrap_parameters, fedvae_parameters
from client_sdk.kernel.models import RECOMMENDERS, declared, plan_of
from fedau2.v1.task_pb2 import Plan, TaskManifest

PAPER = {
    "fedncf": {},
    "fedrap": {"l1_weight": 0.1},
    "fedvae": {"kl_cap": 0.2, "kl_anneal_rounds": 20_000, "dropout": 0.5},
    "fcf": {},
    "pfedrec": {},
    "fedgnn": {"dropout": 0.5},
}


@pytest.mark.parametrize("model", RECOMMENDERS)
def test_the_defaults_are_the_papers_and_are_read_back(model):
    assert RECOMMENDERS[model].defaults() == PAPER[model]
    assert RECOMMENDERS[model].parameters(PAPER[model]) == RECOMMENDERS[model].Parameters()


def test_whole_numbers_are_whole_and_others_are_floats():
    parameters = RECOMMENDERS["fedvae"].parameters({"kl_cap": 1, "kl_anneal_rounds": 7.0, "dropout": 0})
    assert (parameters.kl_cap, parameters.kl_anneal_rounds) == (1.0, 7)
    assert isinstance(parameters.kl_cap, float)
    assert isinstance(parameters.kl_anneal_rounds, int)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kl_anneal_rounds": 0.5}, "kl_anneal_rounds must be a whole number, not 0.5"),
        ({"kl_anneal_rounds": float("inf")}, "kl_anneal_rounds must be a whole number, not inf"),
        ({"kl_anneal_rounds": -1}, "kl_anneal_rounds must be at least 0, not -1"),
        ({"kl_cap": float("nan")}, "kl_cap must be a finite number of at least 0, not nan"),
        ({"dropout": 1}, r"dropout must lie in \[0, 1\), not 1"),
        ({"mu": 1}, "does not know the parameter 'mu'; its parameters are kl_cap, kl_anneal_rounds, dropout"),
    ],
)
def test_values_that_a_recommender_cannot_use_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        RECOMMENDERS["fedvae"].parameters({**PAPER["fedvae"], **changes})


def test_no_parameter_may_be_missing():
    with pytest.raises(ValueError, match="lacks the recommender's parameter 'dropout'"):
        RECOMMENDERS["fedvae"].parameters({"kl_cap": 0.2})


@pytest.mark.parametrize(
    "make",
    [
        lambda: fedvae_parameters.Parameters(dropout=-0.1),
        lambda: fedrap_parameters.Parameters(l1_weight=float("inf")),
        lambda: fedrap_parameters.Widths(latent=0),
        lambda: RECOMMENDERS["fedncf"].Widths(hidden=()),
    ],
)
def test_settings_check_themselves(make):
    with pytest.raises(ValueError, match=r"must|needs"):
        make()


def test_a_plan_has_its_recommenders_parameters():
    task = TaskManifest(model="fedrap", plan=Plan(parameters={"l1_weight": 0.25}))
    assert plan_of(task).parameters == fedrap_parameters.Parameters(l1_weight=0.25)


def test_what_this_sdk_cannot_run_is_refused():
    with pytest.raises(
        UnsupportedTaskError,
        match="model 'fedxyz' is not known; this SDK has fedncf, fedrap, fedvae, fcf, pfedrec, fedgnn",
    ):
        declared("fedxyz")
    with pytest.raises(UnsupportedTaskError, match="the plan cannot be run with fedrap: the plan lacks"):
        plan_of(TaskManifest(model="fedrap"))


def test_the_model_of_every_recommender_is_loaded_by_its_name():
    for name, recommender in RECOMMENDERS.items():
        assert recommender.model.__name__ == f"client_sdk.kernel.{name}"
