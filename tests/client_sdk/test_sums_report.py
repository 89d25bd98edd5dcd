"""What a client does and says about secure sums over syncs: its cap of participations, and its privacy report."""

import math
from collections import Counter
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from client_sdk import FedClient, PrivacyReport, Result, StatementKind, Unmasker
from client_sdk.reporting import sums
from client_sdk.store import identities
from client_sdk.store.departures import Departure, moment
from fedau2.v1.secure_pb2 import SecureSums
from fedau2.wire.secure import privacy
from tests.client_sdk.secure import NOW, Signing, noisy, secure

UNMASKER = Signing()
PEM = UNMASKER.identity_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture
def member(tmp_path, address, monkeypatch):
    monkeypatch.setattr("time.time", lambda: float(NOW))
    with FedClient.open(tmp_path / "state", address, "films", unmaskers=[Unmasker("x:1", PEM)]) as client:
        client.record("film-1")
        UNMASKER.certify(client._store)
        yield client


def serve(remote, task, number):
    remote.bundle = replace(task.with_checkpoint(number), round=number)
    remote.assignment = UNMASKER.assignment(remote.bundle, number)


def said(report, kind):
    return {statement.code: statement.values for statement in report.statements if statement.kind is kind}


def test_after_its_last_contribution_a_client_asks_for_no_place_until_the_task_changes(member, remote, bundle):
    task = secure(bundle, UNMASKER, max_participations=1)
    serve(remote, task, 0)
    assert member.sync().result is Result.UPLOADED
    for number in (1, 2):
        serve(remote, task, number)
        outcome = member.sync()
        assert (outcome.result, outcome.reason) == (Result.REJECTED, "PARTICIPATIONS_SPENT")
    asked = [request.without_place for name, request in remote.calls if name == "check_in"]
    assert asked == [False, True, True]
    assert remote.names().count("upload") == 1


def test_the_report_says_who_must_be_honest_and_how_much_the_sums_tell(member, remote, bundle):
    task = noisy(bundle, UNMASKER, noise=1.0, most=4)
    serve(remote, task, 0)
    member.sync()
    report = member.privacy.report()
    measures = said(report, StatementKind.MEASURE)
    assert measures["sums_masked"] == {"minimum": 64}
    assert measures["sums_participations"] == {"count": 1, "most": 4}
    spent, most = (privacy.epsilon(privacy.mu(count, 1.0), privacy.SERVED_DELTA) for count in (1, 4))
    told = measures["sums_epsilon"]
    assert spent <= float(told["spent"]) < spent + 0.011
    assert most <= float(told["most"]) < most + 0.011
    assert told["delta"] == "0.000001"
    assert "Whoever runs both the server and the unmasker, or ships an app that lies" in report.text("en")
    assert "sowohl den Server" in report.text("de")
    assert said(report, StatementKind.INFERRED) == {"sums_reveal": {}}
    assert report.exposed == {}
    member.privacy.delete_data()
    assert said(member.privacy.report(), StatementKind.MEASURE)["sums_participations"]["count"] == 0


def test_without_noise_no_epsilon_is_claimed(bundle):
    codes = {each.code for each in sums.statements(secure(bundle, UNMASKER).manifest.secure_sums, 3, {0.0: 3, 1.0: 2})}
    assert codes == {"sums_masked", "sums_trusted", "sums_unlimited", "sums_without_noise"}


@given(
    earlier=st.dictionaries(st.sampled_from([0.25, 1.0, 3.0]), st.integers(1, 40)),
    count=st.integers(0, 6),
    most=st.integers(1, 5),
)
def test_epsilon_is_never_below_that_of_all_contributions_to_all_tasks(earlier, count, most):
    policy = SecureSums(minimum=64, noise_multiplier=1.0, max_participations=most)
    noises = Counter(earlier) + Counter({1.0: count})
    made = {statement.code: statement.values for statement in sums.statements(policy, count, noises)}
    at_end = noises + Counter({1.0: max(0, most - count)})
    for name, counts in (("spent", noises), ("most", at_end)):
        squares = sum(number / noise**2 for noise, number in counts.items())
        truth = privacy.epsilon(math.sqrt(squares), privacy.SERVED_DELTA)
        assert truth - 1e-9 <= float(made["sums_epsilon"][name]) < truth + 0.011


def test_a_new_task_and_deleted_data_forget_nothing_that_sums_have_told(member, remote, bundle):
    serve(remote, noisy(bundle, UNMASKER, noise=1.0, most=4), 0)
    member.sync()
    with member._store.database.transaction() as connection:  # an earlier task, which may be an ancestor of this one
        for noise in (0.5, 0.5, 0.0):
            identities.participate(connection, "cd" * 16, noise)

    def measures():
        return said(member.privacy.report(), StatementKind.MEASURE)

    truth = privacy.epsilon(math.sqrt(1 + 2 * 4), privacy.SERVED_DELTA)
    assert truth <= float(measures()["sums_epsilon"]["spent"]) < truth + 0.011
    assert measures()["sums_participations"]["count"] == 1
    assert measures()["sums_exact_before"] == {"count": 1}
    member.privacy.delete_data()
    assert measures()["sums_participations"]["count"] == 0
    assert truth <= float(measures()["sums_epsilon"]["spent"]) < truth + 0.011
    assert "1 earlier update may be in sums without noise" in member.privacy.report().text("en")
    assert "1 früherer Beitrag kann in Summen ohne Rauschen sein" in member.privacy.report().text("de")


def test_plain_contributions_of_before_stay_exposed_beside_masked_ones():
    def left(masked):
        return Departure("task", 0, moment(0), 10, ("gender",), "counted", masked)

    report = PrivacyReport(1, (), (left(True), left(False)))
    assert report.exposed == {"gender": 1}
    assert set(said(report, StatementKind.INFERRED)) == {
        *("items_revealed", "profile_revealed", "attribute_revealed", "sums_reveal")
    }
