import pytest

from client_sdk.kernel.models import RECOMMENDERS
from export.errors import PlanError
from export.plan.message import plan_of, to_message
from export.plan.planfile import complete
from export.plan.resolve import Known, resolve, states

GENDER = {"gender": Known(("F", "M"), (30, 70))}
BOTH = {**GENDER, "age": Known(("young", "middle", "old"), (50, 30, 20))}


def resolved(fragment, known, model="fedncf"):
    return resolve(complete(fragment, model), known)


def test_all_is_an_adversary_for_each_attribute_that_is_known():
    plan = resolved({}, BOTH)
    assert [(one.name, one.classes) for one in plan.adversaries] == [
        ("gender", ("F", "M")),
        ("age", ("young", "middle", "old")),
    ]
    assert resolved({"adversaries": "none"}, BOTH).adversaries == ()
    with pytest.raises(PlanError, match=r"adversaries: all needs data.*write none"):
        resolved({}, {})


def test_words_become_the_numbers_of_the_data():
    plan = resolved({"adversary": {"class_weights": "balanced", "objective": "confusion"}}, BOTH)
    message = to_message(plan)
    assert plan.adversaries[0].class_weights == (100 / 2 / 30, 100 / 2 / 70)
    assert list(message.adversaries[1].prior) == pytest.approx([0.5, 0.3, 0.2])
    assert list(to_message(resolved({}, BOTH)).adversaries[0].prior) == []  # reversal has no prior
    uniform = resolved({"adversary": {"prior": "uniform", "objective": "confusion"}}, BOTH)
    assert list(to_message(uniform).adversaries[0].prior) == []


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"class_weights": "balanced"}, r"adversaries\[0\].class_weights: balanced needs data"),
        ({"objective": "confusion"}, r"adversaries\[0\].prior: shares needs data"),
    ],
)
def test_what_needs_data_is_refused_where_there_is_none(setting, message):
    with pytest.raises(PlanError, match=message):
        resolved({"adversaries": [{"attribute": "gender", "classes": ["F", "M"], **setting}]}, {})


def test_classes_are_those_of_the_data():
    assert resolved({"adversaries": [{"attribute": "gender"}]}, GENDER) == resolved({}, GENDER)
    with pytest.raises(PlanError, match=r"adversaries\[0\].classes: the data has F, M"):
        resolved({"adversaries": [{"attribute": "gender", "classes": ["M", "F"]}]}, GENDER)
    with pytest.raises(PlanError, match=r"adversaries\[0\].attribute: the run's data.attributes are gender, not 'age'"):
        resolved({"adversaries": [{"attribute": "age", "classes": ["young", "old"]}]}, GENDER)
    with pytest.raises(PlanError, match=r"adversaries\[0\].classes: they are missing"):
        resolved({"adversaries": [{"attribute": "gender"}]}, {})


@pytest.mark.parametrize(
    ("model", "embedding", "private"),
    [
        ("fedncf", ["user_gmf"], ["user_gmf", "user_mlp"]),
        ("fedrap", ["item_personal.sum"], ["item_personal"]),
        ("fedvae", ["latent"], ["latent"]),
        ("fcf", ["user_vector"], ["user_vector"]),
        ("pfedrec", ["score_weight"], ["score_weight", "score_bias"]),
        ("fedgnn", ["user_node"], ["user_vector"]),
    ],
)
def test_what_is_protected_is_the_papers_embedding_or_what_is_private(model, embedding, private):
    protected = {
        word: [
            (one.name, list(one.protects)) for one in resolved({"adversary.protects": word}, GENDER, model).adversaries
        ]
        for word in ("embedding", "all", "each")
    }
    assert protected["embedding"] == [("gender", embedding)]
    assert protected["all"] == [("gender", private)]
    assert protected["each"] == [(f"gender-{state}", [state]) for state in private]


def test_widths_decide_what_can_be_protected():
    assert states(complete({"model.gmf": 0}, "fedncf").model).names == ("user_mlp",)


@pytest.mark.parametrize("model", RECOMMENDERS)
def test_a_resolved_plan_is_a_plan_file_of_the_same_plan(model):
    plan = resolved(
        {"adversary": {"protects": "each", "class_weights": "balanced", "objective": "confusion"}}, BOTH, model
    )
    again = complete(plan.document())
    assert again == plan
    assert to_message(resolve(again, {})) == to_message(plan) == to_message(resolve(again, BOTH))


def test_a_plan_that_is_not_resolved_is_no_message():
    with pytest.raises(PlanError, match="all is not resolved"):
        to_message(complete({}, "fedncf"))
    with pytest.raises(PlanError, match="the adversary of gender is not resolved"):
        to_message(complete({"adversaries": [{"attribute": "gender", "classes": ["M", "F"]}]}, "fedncf"))


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([{"protects": ["item_gmf"]}], r"item_gmf.*the recommender has user_gmf, use"),
        ([{}, {}], "two adversaries have the same name"),
        ([{"class_weights": [1.0]}], "one class weight per class"),
        ([{"noise_multiplier": 1.0}], "noise_multiplier is in units of clip_norm"),
    ],
)
def test_a_plan_that_its_recommender_cannot_run_is_refused(entries, message):
    with pytest.raises(PlanError, match=message):
        plan_of("fedncf", {"adversaries": [{"attribute": "gender", "classes": ["M", "F"], **one} for one in entries]})
