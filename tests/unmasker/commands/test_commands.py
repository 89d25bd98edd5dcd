"""The commands, as an operator and an auditor type them."""

import json
import signal
import sqlite3
import subprocess
from contextlib import closing

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm

from fedau2.v1.unmasker_pb2 import EVIDENCE_CLASS_INVITATION, EVIDENCE_CLASS_OPEN, Budget, EnrolmentRules, LogEntry
from tests.secure_tasks import noisy
from tests.unmasker.conftest import RULES
from tests.unmasker.device import Device, opening
from tests.unmasker.engine.test_enrolment import enrolled, invite, pseudonym
from tests.unmasker.scene import Scene
from tests.unmasker.served import Child, command, served
from unmasker import Books, Rules, StateFolder, Unmasker
from unmasker.cli import main


@pytest.fixture
def state(tmp_path):
    assert main(["init", "--state", str(tmp_path / "state")]) == 0
    return tmp_path / "state"


def run(capsys, *arguments):
    """Runs a command in this process; returns its status and what it printed."""
    capsys.readouterr()
    status = main([*map(str, arguments)])
    printed = capsys.readouterr()
    return status, printed.out, printed.err


def test_init_prints_the_key_that_apps_need_and_makes_a_folder_once(tmp_path, capsys):
    status, out, _ = run(capsys, "init", "--state", tmp_path / "new")
    assert status == 0
    assert out == (tmp_path / "new" / "identity.pub").read_text()
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "new").iterdir())
    before = {path: path.read_bytes() for path in (tmp_path / "new").iterdir()}
    status, _, err = run(capsys, "init", "--state", tmp_path / "new")
    assert (status, "not empty" in err) == (1, True)
    assert {path: path.read_bytes() for path in (tmp_path / "new").iterdir()} == before


def test_invitations_are_printed_and_enrol(state, capsys):
    status, out, _ = run(capsys, "invite", "--state", state, "--count", 3)
    codes = out.split()
    assert (status, len(set(codes))) == (0, 3)
    for wrong in ("--count", "--days"):
        assert run(capsys, "invite", "--state", state, wrong, 0)[0] == 1
    books = Books(StateFolder(state))
    unmasker = Unmasker(books, RULES)
    assert enrolled(unmasker, Device(), 2, codes[0].encode())
    unmasker.close()


def test_who_is_revoked_is_counted_and_all_are_or_none(state, capsys):
    unmasker = Unmasker(Books(StateFolder(state)), RULES)
    names = [pseudonym(enrolled(unmasker, Device())).hex() for _ in range(2)]
    unmasker.close()
    assert "2 open; revoked: 0" in run(capsys, "status", "--state", state)[1]
    for wrong in ("xyz", "00" * 16):
        assert run(capsys, "revoke", "--state", state, names[0], wrong)[0] == 1
    assert "revoked: 0" in run(capsys, "status", "--state", state)[1]
    assert run(capsys, "revoke", "--state", state, *names)[0] == 0
    assert "none; revoked: 2" in run(capsys, "status", "--state", state)[1]


def test_the_log_is_shown_verified_and_followed(state, tmp_path, capsys):
    head = tmp_path / "head"
    assert run(capsys, "log", "--state", state, "--verify", "--head", head)[0] == 0
    unmasker = Unmasker(Books(StateFolder(state)), RULES)
    unmasker.open_round(opening(4))
    unmasker.close()
    assert run(capsys, "new-epoch", "--state", state)[0] == 0
    status, out, _ = run(capsys, "log", "--state", state, "--head", head)
    assert status == 0
    kinds = [line.split()[3] for line in out.splitlines()[:-1]]
    assert kinds == ["keys", "rules", "policy", "round", "epoch"]
    assert "round 4" in out
    assert "accepts open, invitation; certificates for 90 days" in out
    assert out.splitlines()[-1].startswith("verified 5 entries: ")
    assert run(capsys, "log", "--state", state, "--head", head)[0] == 0


def test_sums_and_budgets_are_shown(state, capsys):
    rules = Rules(RULES.providers, budget=Budget(epsilon=20, delta=1e-6))
    with closing(Unmasker(Books(StateFolder(state)), rules)) as unmasker:
        assert Scene(unmasker, sums=noisy()).ask()[0].opened.set
    out = run(capsys, "log", "--state", state)[1]
    assert "epsilon 20 at delta 1e-06" in out
    assert "round 3, 64 members" in out
    out = run(capsys, "status", "--state", state)[1]
    assert "sums that were opened: 1" in out
    assert "budget: epsilon 20 at delta 1e-06" in out


def test_a_changed_database_does_not_verify(state, capsys):
    with closing(sqlite3.connect(state / "unmasker.sqlite")) as database:
        (data,) = database.execute("SELECT data FROM log_entry WHERE number = 0").fetchone()
        database.execute("UPDATE log_entry SET data = ?", (data[:-1] + bytes([data[-1] ^ 1]),))
        database.commit()
    status, out, err = run(capsys, "log", "--state", state, "--verify")
    assert (status, out) == (1, "")
    assert "not those that its head was signed for" in err


def test_a_log_that_was_cut_does_not_go_on_from_an_older_head(state, tmp_path, capsys):
    head, other = tmp_path / "head", tmp_path / "other"
    assert run(capsys, "new-epoch", "--state", state)[0] == 0
    assert run(capsys, "log", "--state", state, "--head", head)[0] == 0
    seen = head.read_bytes()
    assert run(capsys, "init", "--state", other)[0] == 0
    status, _, err = run(capsys, "log", "--state", other, "--head", head)
    assert (status, "not signed by this unmasker" in err) == (1, True)
    with closing(sqlite3.connect(state / "unmasker.sqlite")) as database:
        database.execute("DELETE FROM log_entry WHERE number = 1")
        database.commit()
    status, _, err = run(capsys, "log", "--state", state, "--verify", "--head", head)
    assert (status, "it was cut" in err) == (1, True)
    assert head.read_bytes() == seen, "the head that proves it is kept"
    head.write_text("something else")
    assert run(capsys, "log", "--state", state, "--head", head)[0] == 1


def test_a_log_is_verified_over_the_network_with_the_key_that_one_has(unmasker, folder, tmp_path, capsys):
    unmasker.open_round(opening(4))
    with served(unmasker) as servers:
        place = ("log", "--unmasker", servers.devices, "--key")
        assert "round 4" in run(capsys, *place, folder.public_key)[1]
        assert run(capsys, "init", "--state", tmp_path / "other")[0] == 0
        status, _, err = run(capsys, *place, tmp_path / "other" / "identity.pub", "--verify")
        assert (status, "not signed" in err) == (1, True)
    for wrong in (("log",), ("log", "--unmasker", "x:1"), (*place, folder.public_key, "--state", "x")):
        assert run(capsys, *wrong)[0] == 1


@pytest.mark.parametrize("kind", ["a folder", "nothing", "text"])
def test_the_key_is_read_before_a_log_is_fetched(tmp_path, capsys, kind):
    path = tmp_path / "key"
    if kind == "a folder":
        path.mkdir()
    elif kind == "text":
        path.write_text("text")
    for more in ((), ("--root-certificates", tmp_path)):
        status, out, err = run(capsys, "log", "--unmasker", "127.0.0.1:1", "--key", path, *more)
        assert (status, out, err.count("\n")) == (1, "", 1)
        assert str(path) in err
        assert "show its log" not in err


@pytest.mark.parametrize(("more", "message"), [(("--root-certificates", "."), "cannot be read"), ((), "no port")])
def test_nor_is_one_fetched_with_other_options_that_cannot_be_used(state, capsys, more, message):
    status, _, err = run(capsys, "log", "--unmasker", "foo", "--key", state / "identity.pub", *more)
    assert (status, err.count("\n")) == (1, 1)
    assert message in err


@pytest.mark.parametrize("seconds", [10**14, 2**62])
def test_an_entry_of_any_time_is_shown(state, capsys, seconds):
    with closing(Books(StateFolder(state), clock=lambda: seconds)) as books, books.writing() as page:
        page.log(LogEntry(rules=EnrolmentRules(accepted=[EVIDENCE_CLASS_OPEN], days=3)))
    status, out, err = run(capsys, "log", "--state", state)
    assert (status, err) == (0, "")
    assert f"second {seconds}" in out


WRONG = {
    "a budget without its delta": ["--accept", "open", "--budget-epsilon", "4"],
    "a budget of nothing": ["--accept", "open", "--budget-epsilon", "0", "--budget-delta", "1e-6"],
    "a budget that is no number": ["--accept", "open", "--budget-epsilon", "nan", "--budget-delta", "1e-6"],
    "a delta of 1": ["--accept", "open", "--budget-epsilon", "4", "--budget-delta", "1"],
    "tokens without their issuer": ["--accept", "token", "--jwks", "x"],
    "keys without tokens": ["--accept", "open", "--jwks", "x", "--issuer", "i", "--audience", "a"],
    "a JWKS file that is missing": ["--accept", "token", "--jwks", "nowhere", "--issuer", "i", "--audience", "a"],
    "days beyond 90": ["--accept", "open", "--days", "91"],
    "no days for keys": ["--accept", "open", "--key-days", "0"],
    "one address twice": ["--accept", "open", "--listen", "127.0.0.1:8653", "--coordinator", "127.0.0.1:8653"],
    "an address that is none": ["--accept", "open", "--listen", "here"],
    "plaintext for everybody": ["--accept", "open", "--listen", "0.0.0.0:0"],
    "rounds for everybody": ["--accept", "open", "--coordinator", "0.0.0.0:0"],
    "a certificate without its key": ["--accept", "open", "--tls-certificate", "x"],
    "authorities without a certificate": ["--accept", "open", "--coordinator-ca", "x"],
    "rounds for everybody over TLS": [
        *("--accept", "open", "--coordinator", "0.0.0.0:0", "--tls-certificate", "x", "--tls-key", "y"),
    ],
}


@pytest.mark.parametrize("why", WRONG)
def test_serve_refuses_what_cannot_be_meant(state, capsys, why):
    status, out, err = run(capsys, "serve", "--state", state, *WRONG[why])
    assert (status, out) == (1, "")
    assert err.startswith("fedau2-unmasker: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("before", "accepted", "warned"),
    [
        ("open", ["open", "invitation"], False),
        ("invitation", ["invitation"], False),
        ("invitation", ["token"], True),
        ("open", ["invitation", "token"], True),
    ],
)
def test_serve_warns_where_one_person_may_be_two_holders(state, tmp_path, before, accepted, warned):
    with closing(Unmasker(Books(StateFolder(state)), RULES)) as unmasker:
        code = invite(unmasker) if before == "invitation" else b""
        enrolled(unmasker, Device(), EVIDENCE_CLASS_INVITATION if code else EVIDENCE_CLASS_OPEN, code)
    point = Ed25519PrivateKey.generate().public_key()
    jwk = OKPAlgorithm.to_jwk(point, as_dict=True) | {"kid": "1", "alg": "EdDSA"}
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [jwk]}))
    words = [word for kind in accepted for word in ("--accept", kind)]
    if "token" in accepted:
        words += ["--jwks", str(tmp_path / "jwks.json"), "--issuer", "i", "--audience", "a"]
    child = Child(state, *words, log=subprocess.PIPE)
    child.start()
    assert ("several holders" in child.read_log()) is warned


def test_serve_needs_to_hear_who_is_enrolled_and_a_folder(state, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["serve", "--state", str(state)])
    status, _, err = run(capsys, "serve", "--state", tmp_path / "nowhere", "--accept", "open")
    assert (status, "init" in err) == (1, True)


def test_one_unmasker_serves_from_a_folder_and_ends_when_it_is_asked_to(state):
    child = Child(state, "--accept", "open")
    try:
        child.start()
        second = command("serve", "--state", state, "--accept", "open")
        assert second.returncode == 1
        assert "another unmasker serves" in second.stderr
        assert command("invite", "--state", state).returncode == 0, "other commands may be run meanwhile"
    finally:
        assert child.end(signal.SIGTERM) == 0
