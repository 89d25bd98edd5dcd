"""A report says no less than may be true."""

from dataclasses import fields, replace

from hypothesis import given
from hypothesis import strategies as st

from client_sdk import Departure, PrivacyReport, StatementKind
from client_sdk.reporting import measures
from client_sdk.store.departures import MOST, moment
from fedau2.v1 import task_pb2
from fedau2.v1.task_pb2 import Adversary, LocalUpdate, Plan, TaskManifest

NAMES = st.lists(st.sampled_from(["age", "gender", "city"]), unique=True).map(lambda names: tuple(sorted(names)))
OUTCOMES = st.sampled_from(["counted", "refused", "unanswered", "withdrawn", "unsent"])
DEPARTURES = st.lists(
    st.builds(
        Departure, st.just("task"), st.integers(0, 9), st.just(moment(0)), st.integers(1, 10**6), NAMES, OUTCOMES
    ),
    max_size=6,
)


def values(report, code):
    return [dict(statement.values) for statement in report.statements if statement.code == code]


@given(st.integers(0, 9), NAMES, DEPARTURES, st.booleans())
def test_all_but_what_never_left_counts(interactions, attributes, departures, profile):
    report = PrivacyReport(interactions, attributes, tuple(departures), profile)
    left = [departure for departure in departures if departure.outcome != "unsent"]
    assert values(report, "items_kept") == [{"count": interactions}]
    assert [value["count"] for value in values(report, "updates_left")] == [len(left)] * bool(left)
    assert len(values(report, "nothing_left")) == len(values(report, "training_would_reveal")) == (not left)
    assert len(values(report, "items_revealed")) == len(values(report, "profile_revealed")) == bool(left)
    exposed = {value["name"]: value["count"] for value in values(report, "attribute_revealed")}
    assert exposed == report.exposed
    assert exposed == {
        name: sum(name in departure.attributes for departure in left)
        for name in ("age", "city", "gender")
        if any(name in departure.attributes for departure in left)
    }
    refused = sum(departure.outcome == "refused" for departure in left)
    assert [value["count"] for value in values(report, "updates_refused")] == [refused] * bool(refused)


def test_what_is_not_remembered_is_mentioned():
    departure = Departure("task", 0, moment(0), 10, (), "counted")
    assert values(PrivacyReport(0, (), (departure,) * (MOST - 1)), "older_updates_forgotten") == []
    assert values(PrivacyReport(0, (), (departure,) * MOST), "older_updates_forgotten") == [{"count": MOST}]


@given(
    NAMES,
    NAMES,
    st.booleans(),
    st.booleans(),
    st.sampled_from([0.0, 1.0]),
    st.sampled_from([0.0, 2.0]),
    st.booleans(),
)
def test_measures_are_those_of_the_task_and_of_the_apps_settings(known, asked, encrypted, checked, clip, noise, cover):
    adversaries = [
        Adversary(attribute=name, clip_norm=clip, noise_multiplier=noise, trigger=task_pb2.TRIGGER_SUT)
        for name in asked
    ]
    task = TaskManifest(plan=Plan(local=LocalUpdate(cover_rows=float(cover)), adversaries=adversaries))
    report = replace(
        PrivacyReport(0, known, ()), measures=measures.in_force(task, known, encrypted=encrypted, checked=checked)
    )
    both = tuple(sorted(set(known) & set(asked)))
    assert values(report, "unlearning") == [{"names": both}] * bool(both)
    assert values(report, "noise") == [{"names": both}] * bool(both and clip and noise)
    assert len(values(report, "cover_items")) == cover
    for holds, code in ((encrypted, "transfers{}encrypted"), (checked, "publishers{}checked")):
        assert len(values(report, code.format("_"))) == holds
        assert len(values(report, code.format("_not_"))) == (not holds)
    assert all(statement.kind is StatementKind.MEASURE for statement in report.measures)


def test_without_a_model_the_apps_settings_are_told():
    codes = [statement.code for statement in measures.in_force(None, ("gender",), encrypted=True, checked=True)]
    assert codes == ["no_name_sent", "transfers_encrypted", "publishers_checked"]


def test_the_fields_of_reports_before_have_their_places():
    assert [field.name for field in fields(PrivacyReport)][:3] == ["interactions", "attributes", "departures"]
