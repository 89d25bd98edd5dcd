from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from client_sdk.kernel.models import RECOMMENDERS
from export.errors import PlanError, UnknownModelError
from export.plan import planfile
from export.plan.defaults import CLIP_NORMS
from export.plan.message import plan_of, to_document
from export.plan.planfile import complete, read

EXAMPLES = Path(__file__).parents[3] / "examples" / "plans"
GENDER = "attribute: gender, classes: [M, F]"
ENTRY = {"attribute": "gender", "classes": ["M", "F"]}


@pytest.fixture
def plan_file(tmp_path):
    def parse(text, model="fedncf"):
        path = tmp_path / "plan.yaml"
        path.write_text(text)
        return read(path, model)

    return parse


@pytest.mark.parametrize("model", RECOMMENDERS)
def test_an_empty_file_is_the_recommenders_own_plan_without_an_adversary(plan_file, model):
    clipped = {"server.clip_norm": CLIP_NORMS[model]}
    assert plan_file("", model) == complete({"adversaries": [], **clipped}, model)
    assert plan_file(f"adversaries: [{{{GENDER}}}]", model) == complete({"adversaries": [ENTRY], **clipped}, model)


@pytest.mark.parametrize("model", RECOMMENDERS)
def test_a_bundle_is_clipped_unless_its_plan_says_otherwise(plan_file, model):
    assert plan_file("server: {shared: {learning_rate: 0.5}}", model).server.clip_norm == CLIP_NORMS[model] > 0
    for said in (0, 3):
        assert plan_file(f"server: {{clip_norm: {said}}}", model).server.clip_norm == said
    assert complete({}, model).server.clip_norm == 0  # a run is the paper's


def test_what_is_absent_has_its_default(plan_file):
    plan = plan_file(f"adversaries: [{{{GENDER}, epsilon: 7}}]\nserver: {{adversary: {{learning_rate: 0.5}}}}")
    changed = {"adversaries": [{**ENTRY, "epsilon": 7.0}], "server.adversary.learning_rate": 0.5}
    changed["server.clip_norm"] = CLIP_NORMS["fedncf"]
    assert plan == complete(changed, "fedncf")


def test_adversary_says_what_every_adversary_has_unless_its_entry_says_otherwise(plan_file):
    plan = plan_file(
        "adversary: {head: mlp, epsilon: 3}\n"
        f"adversaries: [{{{GENDER}}}, {{attribute: age, classes: [a, b], epsilon: 5}}]"
    )
    settings = [plan.settings(entry) for entry in plan.adversaries]
    assert [(one.head, one.epsilon) for one in settings] == [("mlp", 3.0), ("mlp", 5.0)]
    with pytest.raises(PlanError, match=r"plan.yaml: adversary says .* list them with .* or write adversaries: none"):
        plan_file("adversary: {head: mlp}")


def test_the_recommender_is_named_in_the_file_or_beside_it(plan_file, tmp_path):
    (tmp_path / "named.yaml").write_text("model: {name: fedvae, dropout: 0.25}")
    plan = read(tmp_path / "named.yaml")
    assert (plan.model.name, plan.model.parameters()["dropout"]) == ("fedvae", 0.25)
    assert plan == read(tmp_path / "named.yaml", "fedvae")
    with pytest.raises(PlanError, match=r"named.yaml: model.name: it is 'fedvae', but 'fedncf' was asked for"):
        read(tmp_path / "named.yaml", "fedncf")
    with pytest.raises(PlanError, match=r"plan.yaml: model.name is missing"):
        plan_file("", None)


def test_widths_are_the_recommenders(plan_file):
    assert plan_file("model: {gmf: 4, hidden: [6, 5]}").model.widths() == RECOMMENDERS["fedncf"].Widths(4, 128, (6, 5))


@pytest.mark.parametrize("written", ["sut", "SUT", "TRIGGER_SUT", "trigger_sut"])
def test_enum_values_have_short_and_full_names(plan_file, written):
    assert plan_file(f"adversaries: [{{{GENDER}, trigger: {written}}}]").adversaries[0].trigger == "sut"


def test_a_bare_off_is_a_trigger_although_yaml_reads_false(plan_file):
    assert plan_file(f"adversaries: [{{{GENDER}, trigger: off}}]").adversaries[0].trigger == "off"


def test_json_is_a_plan_file_too(plan_file):
    assert plan_file('{"local": {"steps": 2, "shared_learning_rate": 1e-2}}').local.steps == 2


def test_a_number_that_yaml_takes_for_text_is_a_number(plan_file):
    assert plan_file("server: {shared: {epsilon: 1e-6}}").server.shared.epsilon == 1e-6


ENTRIES = {
    "head": st.sampled_from(["mlp", "vae", "dsvae", "scalar"]),
    "trigger": st.sampled_from(["off", "global", "pretrain", "sut"]),
    "objective": st.sampled_from(["reversal", "confusion"]),
    "classes": st.sampled_from([["M", "F"], ["off", "1", "null"], ["ü", "<18"]]),
    "protects": st.sampled_from([["user_gmf"], ["user_mlp", "user_gmf"]]),
    "prior": st.sampled_from(["uniform"]),
    "variance": st.floats(2**-20, 2**20, width=32),
    "epsilon": st.floats(0, 2**20, width=32),
    "pretrain_rounds": st.integers(0, 2**63),
    "clip_norm": st.floats(2**-20, 2**20, width=32),
    "noise_multiplier": st.floats(0, 2**20, width=32),
}
OTHERS = {
    "local.steps": st.integers(1, 9),
    "local.shared_learning_rate": st.floats(2**-20, 1, width=32),
    "local.cover_rows": st.floats(0, 8, width=32),
    "server.shared.learning_rate": st.floats(2**-20, 1, width=32),
    "server.shared.kind": st.sampled_from(["sgd", "adam"]),
    "server.clip_norm": st.floats(0, 2**20, width=32),
    "interactions.view": st.floats(0, 1000, width=32),
    "interactions.full_rating": st.floats(0, 1000, width=32),
    "interactions.app_weights": st.booleans(),
    "minimum_separation": st.integers(0, 2**32 - 1),
}


@st.composite
def fragments(draw):
    """An entry of `adversaries` and other settings, without those that the rest leaves without effect."""
    entry = draw(st.fixed_dictionaries({}, optional=ENTRIES))
    others = draw(st.fixed_dictionaries({}, optional=OTHERS))
    confusion = entry.get("objective") == "confusion"
    unused = {
        "variance": entry.get("head") in ("mlp", "vae"),
        "trigger": confusion,
        "prior": not confusion,
        "pretrain_rounds": entry.get("trigger") != "pretrain" or confusion,
    }
    entry = {name: value for name, value in entry.items() if not unused.get(name)}
    if others.get("local.steps", 1) == 1:
        others.pop("local.shared_learning_rate", None)
    return entry, others


@given(fragment=fragments())
def test_what_inspect_prints_is_a_plan_file_of_the_same_plan(fragment):
    entry, others = fragment
    entry = {"attribute": "gender", "classes": ["M", "F"], **entry}
    entry["class_weights"] = [0.1] * len(entry["classes"])
    if entry.get("objective") == "confusion":
        entry["prior"] = "uniform"
    if "noise_multiplier" in entry:
        entry.setdefault("clip_norm", 1.0)
    plan = plan_of("fedncf", {**others, "adversaries": [entry]})
    assert plan_of("fedncf", yaml.safe_load(planfile.dump(to_document("fedncf", plan)))) == plan


@given(fragment=fragments())
def test_a_plan_that_is_written_is_read_as_the_same(fragment):
    entry, others = fragment
    plan = complete({**others, "adversaries": [{"attribute": "gender", **entry}]}, "fedncf")
    assert complete(yaml.safe_load(planfile.write(plan))) == plan


PARAMETERS = {
    "model.kl_cap": st.floats(0, 1e300),
    "model.kl_anneal_rounds": st.integers(0, 2**32 - 1),
    "model.dropout": st.floats(0, 1, exclude_max=True),
}


@given(parameters=st.fixed_dictionaries({}, optional=PARAMETERS))
def test_a_recommenders_own_parameters_are_printed_and_read_beside_its_widths(parameters):
    plan = plan_of("fedvae", parameters)
    assert plan_of("fedvae", yaml.safe_load(planfile.dump(to_document("fedvae", plan)))) == plan
    changed = {path.removeprefix("model."): value for path, value in parameters.items()}
    assert dict(plan.parameters) == {**RECOMMENDERS["fedvae"].defaults(), **changed}


def test_parameters_that_are_absent_have_the_recommenders_default(plan_file):
    model = plan_file("model: {hidden: 32, kl_cap: 0.3}", "fedvae").model
    assert model.widths() == RECOMMENDERS["fedvae"].Widths(hidden=32)
    assert model.parameters() == {"kl_cap": 0.3, "kl_anneal_rounds": 20_000, "dropout": 0.5}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{l1_weight: 1}", "model: there is no key 'l1_weight'; the keys are name, hidden, latent, kl_cap"),
        ("{kl_cap: high}", "model.kl_cap: expected a number, not 'high'"),
        ("{dropout: true}", "model.dropout: expected a number, not True"),
        ("{dropout: 1}", r"model: dropout must lie in \[0, 1\), not 1"),
        ("{kl_cap: .inf}", "model.kl_cap: expected a finite number, not inf"),
        ("{kl_anneal_rounds: 1.5}", "model.kl_anneal_rounds: expected a whole number, not 1.5"),
        ("{kl_anneal_rounds: -1}", "model.kl_anneal_rounds: must be at least 0, not -1"),
    ],
)
def test_a_parameter_that_the_recommender_cannot_use_is_refused(plan_file, text, message):
    with pytest.raises(PlanError, match=rf"plan.yaml: {message}"):
        plan_file(f"model: {text}", "fedvae")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "expected a mapping"),
        ("local: [", "not YAML"),
        (
            "locale: {}",
            "no key 'locale'; the keys are model, local, adversary, adversaries, matching, matchings, eraser, erased, "
            "server,",
        ),
        ("model: {width: 3}", "model: there is no key 'width'; the keys are name, gmf, mlp, hidden"),
        ("model: 3", "model: expected a mapping"),
        ("model: {gmf: -1}", "model.gmf: must be at least 0, not -1"),
        ("model: {gmf: 1000000000000}", r"model.gmf: must be below 4.29497e\+09, not 1000000000000"),
        ("model: {mlp: 0}", "model: FedNCF needs an MLP with layers of at least one unit"),
        ("model: {gmf: true}", "model.gmf: expected a whole number, not True"),
        ("model: {hidden: 64}", "model.hidden: expected a list, not 64"),
        ("model: {hidden: []}", "model.hidden: expected a list of at least 1"),
        ("model: {hidden: [64, x]}", r"model.hidden\[1\]: expected a whole number, not 'x'"),
        ("local:", "local: expected a mapping with the keys steps"),
        ("local: {step: 1}", "local: there is no key 'step'; the keys are steps"),
        ("local: {steps: 1.5}", "local.steps: expected a whole number, not 1.5"),
        ("local: {steps: -1}", "local.steps: must be at least 1, not -1"),
        ("local: {chunk: [1]}", "local.chunk: expected a whole number"),
        ("local: {private_learning_rate: fast}", "local.private_learning_rate: expected a number, not 'fast'"),
        ("local: {private_learning_rate: .nan}", "private_learning_rate"),
        ("local: {private_learning_rate: 1e39}", "private_learning_rate: must be below 1e\\+38"),
        ("local: {shared_learning_rate: 0}", "local.shared_learning_rate: must be above 0, not 0"),
        ("server: {shared: {kind: adagrad}}", "server.shared.kind: expected one of sgd or adam, not 'adagrad'"),
        ("server: {shared: {kind: unspecified}}", "server.shared.kind: expected one of sgd or adam, not 'unspecified'"),
        ("server: {shared: {beta1: 1}}", "server.shared.beta1: must be below 1, not 1"),
        ("server: {clip_norm: -1}", "server.clip_norm: must be at least 0, not -1"),
        ("server: {shared: adam}", "server.shared: expected a mapping with the keys kind"),
        ("minimum_separation: -1", "minimum_separation: must be at least 0, not -1"),
        ("adversaries: {}", "adversaries: expected a list"),
        ("adversaries: some", "adversaries: expected a list, not 'some'"),
        ("adversaries: [gender]", r"adversaries\[0\]: expected a mapping with the keys attribute"),
        ("adversaries: [{classes: [M, F]}]", r"adversaries\[0\].attribute is missing"),
        (
            "adversaries: [{attribute: gender, classes: [M]}]",
            r"adversaries\[0\].classes: expected a list of at least 2",
        ),
        ("adversaries: [{attribute: age, classes: [1, 2]}]", r"adversaries\[0\].classes\[0\]: expected text .*not 1"),
        ("adversaries: [{attribute: age, classes: [yes, no]}]", r"classes\[0\]: expected text \(put it in quotes\)"),
        (
            f"adversaries: [{{{GENDER}, head: gan}}]",
            r"adversaries\[0\].head: expected one of mlp, vae, dsvae or scalar",
        ),
        (
            f"adversaries: [{{{GENDER}, trigger: on}}]",
            "trigger: expected one of off, global, pretrain or sut, not True",
        ),
        (f"adversaries: [{{{GENDER}, protects: some}}]", "protects: expected embedding, all, each, or a list of names"),
        (
            f"adversaries: [{{{GENDER}, class_weights: 2}}]",
            "class_weights: expected none, balanced, or a list of positive",
        ),
        (f"adversaries: [{{{GENDER}, class_weights: [0, 1]}}]", "class_weights: expected none, balanced, or a list"),
    ],
)
def test_an_error_names_the_file_and_the_key_and_what_would_be_right(plan_file, text, message):
    with pytest.raises(PlanError, match=rf"plan.yaml: .*{message}"):
        plan_file(text)


@pytest.mark.parametrize(("model", "key"), [("fedvae", "dropout"), ("fedvae", "kl_cap"), ("fedrap", "l1_weight")])
def test_a_parameter_that_older_files_have_in_local_is_refused_with_its_new_place(plan_file, model, key):
    with pytest.raises(PlanError, match=rf"local: there is no key '{key}'.*write model.{key}"):
        plan_file(f"local: {{{key}: 0.1}}", model)
    assert plan_file(f"model: {{{key}: 0.1}}", model).model.parameters()[key] == 0.1


def test_a_missing_or_binary_file_is_refused_by_name(tmp_path):
    with pytest.raises(PlanError, match=r"nowhere.yaml: the plan file cannot be read"):
        read(tmp_path / "nowhere.yaml", "fedncf")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(PlanError, match=r"binary: the plan file cannot be read"):
        read(tmp_path / "binary", "fedncf")


def test_an_unknown_model_is_refused():
    with pytest.raises(UnknownModelError, match=r"'fedfoo'.*fedncf"):
        complete({}, "fedfoo")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("local: {steps: 3}\nlocal: {negatives: 2}\n", "the key 'local' stands twice"),
        ("local: &settings {steps: 1}\nserver: *settings\n", "an alias"),
        ("local: {steps: 2024-13-45}\n", "month must be in 1..12"),
        ("local: " + "[" * 2000 + "]" * 2000, "nested too deeply"),
        ("adversaries:\n", "it is empty: write all, none or a list"),
        ("adversary.head: mlp\n", "there are no adversaries"),
    ],
)
def test_what_a_reader_would_lose_or_cannot_read_is_refused_in_one_line(tmp_path, text, reason):
    path = tmp_path / "plan.yaml"
    path.write_text(text)
    with pytest.raises(PlanError, match=reason) as raised:
        read(path, "fedncf")
    assert str(raised.value).startswith(f"{path}: ")
    assert "\n" not in str(raised.value)


def test_a_plan_with_buffered_rounds_is_read_back():
    plan = plan_of("fedncf", {"server.most_stale": 7, "server.staleness_exponent": 0.25})
    assert (plan.server.buffered.most_stale, plan.server.buffered.staleness_exponent) == (7, 0.25)
    assert plan_of("fedncf", yaml.safe_load(planfile.dump(to_document("fedncf", plan)))) == plan
    assert not plan_of("fedncf").server.HasField("buffered")
