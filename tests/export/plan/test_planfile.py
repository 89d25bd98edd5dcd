from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client_sdk.kernel import fedncf, fedvae
from client_sdk.kernel.models import RECOMMENDERS
from export.describe import plan_yaml
from export.errors import PlanError, UnknownModelError
from export.plan.planfile import make_plan, paper_plan, read
from fedau2.v1 import task_pb2

EXAMPLES = Path(__file__).parents[3] / "examples" / "plans"
GENDER = "attribute: gender, classes: [M, F]"


@pytest.fixture
def plan_file(tmp_path):
    def parse(text):
        path = tmp_path / "plan.yaml"
        path.write_text(text)
        return read(path, "fedncf")

    return parse


@pytest.mark.parametrize("model", RECOMMENDERS)
def test_the_examples_are_the_paper(model):
    example = read(EXAMPLES / f"{model}-paper.yaml", model)
    assert example.plan == paper_plan(model, attribute="gender", classes=["M", "F"])
    assert example.widths == RECOMMENDERS[model].Widths()


def test_what_make_plan_gives_is_the_papers_fedncf():
    assert paper_plan("fedncf", attribute="gender") == make_plan(attribute="gender")


@pytest.mark.parametrize("model", RECOMMENDERS)
def test_an_empty_file_is_the_recommenders_own_plan(model, tmp_path):
    (tmp_path / "plan.yaml").write_text(f"adversaries: [{{{GENDER}}}]")
    assert read(tmp_path / "plan.yaml", model).plan == paper_plan(model, attribute="gender", classes=["M", "F"])


def test_an_empty_file_is_the_paper_without_an_adversary(plan_file):
    assert plan_file("").plan == make_plan(attribute=None)
    assert plan_file("").widths == fedncf.Widths()


def test_what_is_absent_has_the_papers_value(plan_file):
    plan = plan_file(f"adversaries: [{{{GENDER}, epsilon: 7}}]\nserver: {{adversary: {{learning_rate: 0.5}}}}").plan
    assert plan == make_plan(attribute="gender", classes=["M", "F"], epsilon=7, adversary_learning_rate=0.5)


def test_a_name_of_its_own_and_lists_replace_the_papers(plan_file):
    adversary = plan_file(f"adversaries: [{{name: second, {GENDER}, protects: [user_mlp]}}]").plan.adversaries[0]
    assert (adversary.name, adversary.attribute, list(adversary.protects)) == ("second", "gender", ["user_mlp"])


def test_widths_are_the_recommenders(plan_file):
    assert plan_file("model: {gmf: 4, hidden: [6, 5]}").widths == fedncf.Widths(gmf=4, hidden=(6, 5))


@pytest.mark.parametrize("written", ["sut", "SUT", "TRIGGER_SUT", "trigger_sut"])
def test_enum_values_have_short_and_full_names(plan_file, written):
    plan = plan_file(f"adversaries: [{{{GENDER}, trigger: {written}}}]").plan
    assert plan.adversaries[0].trigger == task_pb2.TRIGGER_SUT


def test_a_bare_off_is_a_trigger_although_yaml_reads_false(plan_file):
    plan = plan_file(f"adversaries: [{{{GENDER}, trigger: off}}]").plan
    assert plan.adversaries[0].trigger == task_pb2.TRIGGER_OFF


def test_json_is_a_plan_file_too(plan_file):
    assert plan_file('{"local": {"steps": 2, "shared_learning_rate": 1e-2}}').plan.local.steps == 2


def test_a_number_that_yaml_takes_for_text_is_a_number(plan_file):
    assert plan_file("server: {shared: {epsilon: 1e-6}}").plan.server.shared.epsilon == pytest.approx(1e-6)


ALL = {
    "head": st.sampled_from(["mlp", "vae", "dsvae"]),
    "trigger": st.sampled_from(["off", "global", "pretrain", "sut"]),
    "classes": st.sampled_from([["M", "F"], ["off", "1", "null"], ["ü", "<18"]]),
    "protects": st.sampled_from([["user_gmf"], ["user_mlp", "user_gmf"]]),
    "variance": st.floats(2**-20, 2**20, width=32),
    "epsilon": st.floats(0, 2**20, width=32),
    "pretrain_rounds": st.integers(0, 2**63),
    "steps": st.integers(1, 9),
    "shared_learning_rate": st.floats(2**-20, 1, width=32),
    "server_learning_rate": st.floats(2**-20, 1, width=32),
    "minimum_separation": st.integers(0, 2**32 - 1),
    "clip_norm": st.floats(0, 2**20, width=32),
    "cover_rows": st.floats(0, 8, width=32),
    "adversary_clip_norm": st.floats(2**-20, 2**20, width=32),
    "adversary_noise": st.floats(0, 2**20, width=32),
}


@given(options=st.fixed_dictionaries(ALL))
def test_what_inspect_prints_is_a_plan_file_of_the_same_plan(tmp_path_factory, options):
    plan = make_plan(attribute="gender", class_weights=[0.1] * len(options["classes"]), **options)
    path = tmp_path_factory.mktemp("plan") / "plan.yaml"
    path.write_text(plan_yaml(plan), "utf-8")
    assert read(path, "fedncf").plan == plan


PARAMETERS = {
    "kl_cap": st.floats(0, 1e300),
    "kl_anneal_rounds": st.integers(0, 2**53),
    "dropout": st.floats(0, 1, exclude_max=True),
}


@given(parameters=st.fixed_dictionaries({}, optional=PARAMETERS))
def test_a_recommenders_own_parameters_are_printed_and_read_beside_its_widths(tmp_path_factory, parameters):
    plan = paper_plan("fedvae", parameters)
    path = tmp_path_factory.mktemp("plan") / "plan.yaml"
    path.write_text(plan_yaml(plan), "utf-8")
    assert read(path, "fedvae").plan == plan
    assert dict(plan.parameters) == {**RECOMMENDERS["fedvae"].defaults(), **parameters}


def test_parameters_that_are_absent_have_the_recommenders_default(tmp_path):
    (tmp_path / "plan.yaml").write_text("model: {hidden: 32, kl_cap: 0.3}")
    plan = read(tmp_path / "plan.yaml", "fedvae")
    assert plan.widths == fedvae.Widths(hidden=32)
    assert dict(plan.plan.parameters) == {"kl_cap": 0.3, "kl_anneal_rounds": 20_000, "dropout": 0.5}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{l1_weight: 1}", "model: there is no key 'l1_weight'; the keys are hidden, latent, kl_cap"),
        ("{kl_cap: high}", "model.kl_cap: expected a number, not 'high'"),
        ("{dropout: true}", "model.dropout: expected a number, not True"),
        ("{dropout: 1}", r"model: dropout must lie in \[0, 1\), not 1"),
        ("{kl_cap: .inf}", "model: kl_cap must be a finite number of at least 0, not inf"),
        ("{kl_anneal_rounds: 1.5}", "model: kl_anneal_rounds must be a whole number, not 1.5"),
        ("{kl_anneal_rounds: .nan}", "model: kl_anneal_rounds must be a whole number, not nan"),
        ("{kl_anneal_rounds: -1}", "model: kl_anneal_rounds must be at least 0, not -1"),
    ],
)
def test_a_parameter_that_the_recommender_cannot_use_is_refused(tmp_path, text, message):
    (tmp_path / "plan.yaml").write_text(f"model: {text}")
    with pytest.raises(PlanError, match=rf"plan.yaml: {message}"):
        read(tmp_path / "plan.yaml", "fedvae")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "expected a mapping"),
        ("local: [", "not YAML"),
        ("locale: {}", "no key 'locale'; the keys are model, local, adversaries, server, minimum_separation"),
        ("model: {width: 3}", "model: there is no key 'width'; the keys are gmf, mlp, hidden"),
        ("model: {gmf: 0}", "model.gmf: expected a whole number, at least 1, not 0"),
        ("model: {gmf: true}", "model.gmf: expected a whole number"),
        ("model: {hidden: 64}", "model.hidden: expected a list"),
        ("model: {hidden: []}", "model.hidden: expected a list of whole numbers"),
        ("model: {hidden: [64, x]}", "model.hidden: expected a list of whole numbers"),
        ("local:", "local: expected a mapping with the keys steps"),
        ("local: {step: 1}", "local: there is no key 'step'; the keys are steps"),
        ("local: {steps: 1.5}", "local.steps: expected a whole number, at least 0, not 1.5"),
        ("local: {steps: -1}", "local.steps: expected a whole number"),
        ("local: {steps: 0}", "local.steps must lie in"),
        ("local: {chunk: [1]}", "local.chunk: expected a whole number"),
        ("local: {private_learning_rate: fast}", "local.private_learning_rate: expected a number, not 'fast'"),
        ("local: {private_learning_rate: .nan}", "private_learning_rate"),
        ("local: {steps: 2}", "local.shared_learning_rate must be positive"),
        ("server: {shared: {kind: adagrad}}", "server.shared.kind: 'adagrad' is none of sgd, adam"),
        ("server: {shared: {kind: unspecified}}", "server.shared.kind: 'unspecified' is none of sgd, adam"),
        ("server: {shared: {beta1: 1}}", "server.shared: betas must lie in"),
        ("server: {clip_norm: -1}", "server.clip_norm must be 0 or a positive number, not -1"),
        ("server: {shared: adam}", "server.shared: expected a mapping"),
        ("minimum_separation: -1", "minimum_separation: expected a whole number, at least 0, not -1"),
        ("adversaries: {}", "adversaries: expected a list"),
        ("adversaries: [gender]", r"adversaries\[0\]: expected a mapping"),
        ("adversaries: [{classes: [M, F]}]", "name and attribute must be given"),
        ("adversaries: [{attribute: gender}]", "fewer than two classes"),
        ("adversaries: [{attribute: age, classes: [1, 2]}]", r"adversaries\[0\].classes: expected a list, each text"),
        ("adversaries: [{attribute: age, classes: [yes, no]}]", r"classes: expected .* \(put it in quotes\)"),
        (f"adversaries: [{{{GENDER}, head: gan}}]", r"adversaries\[0\].head: 'gan' is none of mlp, vae, dsvae"),
        (f"adversaries: [{{{GENDER}, trigger: on}}]", "trigger: True is none of off, global, pretrain, sut"),
        (f"adversaries: [{{{GENDER}, protects: [item_gmf]}}]", "item_gmf.*fedncf has user_gmf, use"),
        (f"adversaries: [{{{GENDER}, class_weights: 2}}]", "class_weights: expected a list, each a number"),
        (f"adversaries: [{{{GENDER}}}, {{{GENDER}}}]", "two adversaries have the same name"),
    ],
)
def test_an_error_names_the_file_and_the_key_and_what_would_be_right(plan_file, text, message):
    with pytest.raises(PlanError, match=rf"plan.yaml: .*{message}"):
        plan_file(text)


def test_a_missing_or_binary_file_is_refused_by_name(tmp_path):
    with pytest.raises(PlanError, match=r"nowhere.yaml: the plan file cannot be read"):
        read(tmp_path / "nowhere.yaml", "fedncf")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(PlanError, match=r"binary: the plan file cannot be read"):
        read(tmp_path / "binary", "fedncf")


def test_an_unknown_model_is_refused(plan_file, tmp_path):
    with pytest.raises(UnknownModelError, match=r"'fedfoo'.*fedncf"):
        read(EXAMPLES / "fedncf-paper.yaml", "fedfoo")


def test_unknown_heads_and_triggers_are_refused_in_python_too():
    with pytest.raises(ValueError, match="HEAD_GAN"):
        make_plan(attribute="gender", head="gan")
