import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client_sdk.errors import MissingPackageError, UntrustedTaskError, UsageError
from client_sdk.protocol.trust import Trust
from export.bundle import read
from export.cli import main
from export.errors import ReleaseError
from export.releases import Terms
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.wire import releases, signatures
from fedau2.wire.errors import ManifestError


@pytest.fixture
def keys(tmp_path):
    def make(name):
        assert main(["keygen", str(tmp_path / name)]) == 0
        return tmp_path / f"{name}.key", tmp_path / f"{name}.pub"

    return make


@pytest.fixture
def signed(folder, keys):
    """A signed bundle's folder, and the public key."""
    private, public = keys("publisher")
    assert main(["sign", str(folder), "--key", str(private), "--population", "films"]) == 0
    return folder, public


def manifest_of(folder):
    return (folder / "manifest.binpb").read_bytes()


def test_what_was_signed_is_trusted_and_verified(signed, capsys):
    folder, public = signed
    Trust([public.read_bytes()]).check(manifest_of(folder))
    assert main(["verify", str(folder), "--key", str(public)]) == 0
    assert "ok  signature" in capsys.readouterr().out
    assert main(["inspect", str(folder)]) == 0
    assert "signed   a signature is there, not checked" in capsys.readouterr().out


def test_the_private_key_is_its_owners_alone_and_never_overwritten(keys, tmp_path, capsys):
    private, _ = keys("publisher")
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    before = private.read_bytes()
    assert main(["keygen", str(tmp_path / "publisher")]) == 1
    assert "cannot be written" in capsys.readouterr().err
    assert private.read_bytes() == before
    (tmp_path / "half.pub").write_text("mine")
    assert main(["keygen", str(tmp_path / "half")]) == 1
    assert not (tmp_path / "half.key").exists()


def test_signing_again_replaces_the_signature(signed, keys):
    folder, public = signed
    first = manifest_of(folder)
    other_private, other_public = keys("other")
    assert main(["sign", str(folder), "--key", str(other_private), "--population", "films"]) == 0
    assert signatures.split(manifest_of(folder))[0] == signatures.split(first)[0]
    Trust([other_public.read_bytes()]).check(manifest_of(folder))
    with pytest.raises(UntrustedTaskError, match="no publisher that the app trusts"):
        Trust([public.read_bytes()]).check(manifest_of(folder))
    Trust([public.read_bytes(), other_public.read_bytes()]).check(manifest_of(folder))


def test_every_changed_byte_is_noticed(signed):
    folder, public = signed
    data, trust = manifest_of(folder), Trust([public.read_bytes()])
    for place in range(len(data)):
        changed = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        with pytest.raises(UntrustedTaskError):
            trust.check(changed)


@pytest.mark.parametrize(
    "change", [lambda d: d[:-1], lambda d: d + b"\0", lambda d: d + d, lambda d: b"", lambda d: d[66:]]
)
def test_what_is_cut_or_added_is_noticed(signed, change):
    folder, public = signed
    with pytest.raises(UntrustedTaskError):
        Trust([public.read_bytes()]).check(change(manifest_of(folder)))


def test_a_field_after_the_signature_cannot_replace_one_before(signed):
    folder, public = signed
    data = manifest_of(folder) + TaskManifest(model="other").SerializeToString()
    assert TaskManifest.FromString(data).model == "other"
    with pytest.raises(UntrustedTaskError, match="not signed"):
        Trust([public.read_bytes()]).check(data)


def test_an_unsigned_manifest_is_trusted_only_without_keys(folder, keys, capsys):
    _, public = keys("publisher")
    Trust().check(manifest_of(folder))
    with pytest.raises(UntrustedTaskError, match="not signed"):
        Trust([public.read_bytes()]).check(manifest_of(folder))
    with pytest.raises(ManifestError):
        signatures.split(manifest_of(folder))
    assert main(["verify", str(folder), "--key", str(public)]) == 1
    assert "not signed" in capsys.readouterr().err


def test_a_signed_manifest_stays_so_when_it_is_written_anew(signed):
    folder, public = signed
    again = read(folder).manifest.SerializeToString(deterministic=True)
    Trust([public.read_bytes()]).check(again)


@pytest.mark.parametrize("content", [b"", b"-----BEGIN", "private"])
def test_what_is_no_key_is_told(signed, keys, tmp_path, capsys, content):
    folder, public = signed
    private, _ = keys("another")
    wrong = tmp_path / "wrong"
    wrong.write_bytes(private.read_bytes() if content == "private" else content)
    with pytest.raises(UsageError, match="publisher's key"):
        Trust([wrong.read_bytes()])
    assert main(["verify", str(folder), "--key", str(wrong)]) == 1
    wrong.write_bytes(public.read_bytes() if content == "private" else content)
    assert main(["sign", str(folder), "--key", str(wrong), "--population", "films"]) == 1
    assert main(["sign", str(folder), "--key", str(tmp_path / "nowhere"), "--population", "films"]) == 1
    assert main(["verify", str(folder), "--key", str(tmp_path / "nowhere")]) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 4
    assert all(line.startswith("fedau2-export: ") for line in said)


def test_keys_of_another_kind_are_refused(tmp_path, folder, capsys):
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    key = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(UsageError, match="Ed25519"):
        Trust([key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)])
    (tmp_path / "ec").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    assert main(["sign", str(folder), "--key", str(tmp_path / "ec"), "--population", "films"]) == 1
    assert "another kind" in capsys.readouterr().err


def test_without_the_package_it_is_said_what_to_install(monkeypatch, keys):
    _, public = keys("publisher")
    monkeypatch.setitem(__import__("sys").modules, "cryptography.exceptions", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'fedau2\[signed\]'"):
        Trust([public.read_bytes()])


def test_a_key_needs_a_name(capsys):
    assert main(["keygen", ""]) == 1
    assert "the key needs a name" in capsys.readouterr().err


TEN_YEARS = 3650 * 86_400


@given(st.floats(0, 1), st.integers(0, 10**6), st.integers(1, 2**40))
def test_a_release_says_the_terms_and_ends_after_its_days(share, days, now):
    sequence = 1 + int(share * (now + TEN_YEARS - 1))
    made = Terms("films", sequence, days).release(TaskManifest(), now)
    assert (made.population, made.sequence, made.issued) == ("films", sequence, now)
    assert made.expires == (now + days * 86_400 if days else 0)
    releases.check(TaskManifest(release=made))
    assert not releases.expired(made, now)


@given(st.integers(1, 2**40), st.integers(1, 2**40))
def test_a_number_that_would_lock_devices_out_is_refused(now, more):
    with pytest.raises(ReleaseError, match="more than ten years above"):
        Terms("films", now + TEN_YEARS + more).release(TaskManifest(), now)
    before = TaskManifest(release=Terms("films", now + 1).release(TaskManifest(), now))
    with pytest.raises(ReleaseError, match=f"smaller than {now + 1}"):
        Terms(None, now).release(before, now)
    assert Terms("others", now).release(before, now).sequence == now


def test_signing_again_keeps_the_population_and_takes_a_number_that_is_not_smaller(signed, keys, capsys):
    folder, _ = signed
    first = TaskManifest.FromString(manifest_of(folder)).release
    private, _ = keys("again")
    assert main(["sign", str(folder), "--key", str(private), "--days", "0"]) == 0
    second = TaskManifest.FromString(manifest_of(folder)).release
    assert (second.population, second.expires, first.expires - first.issued) == ("films", 0, 365 * 86_400)
    assert second.sequence >= first.sequence
    assert main(["inspect", str(folder)]) == 0
    assert f"release  for 'films', sequence number {second.sequence}, for ever" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--population", ""],
        ["--population", "x" * 129],
        *(["--population", "x", "--sequence", number] for number in ("0", "-1", str(2**53), "9" * 20)),
        ["--population", "x", "--days", "-1"],
        ["--population", "x", "--days", "9" * 19],
    ],
)
def test_terms_that_no_device_would_accept_are_refused_and_nothing_is_signed(folder, keys, words, capsys):
    private, _ = keys("publisher")
    before = manifest_of(folder)
    assert main(["sign", str(folder), "--key", str(private), *words]) == 1
    assert "release" in (said := capsys.readouterr().err) or "--population" in said or "out of range" in said
    assert manifest_of(folder) == before


def test_a_bundle_whose_time_is_over_is_not_verified(folder, keys, capsys, monkeypatch):
    private, public = keys("publisher")
    monkeypatch.setattr("export.releases.time.time", lambda: 1e9)
    assert main(["sign", str(folder), "--key", str(private), "--population", "films", "--days", "1"]) == 0
    monkeypatch.undo()
    assert main(["verify", str(folder), "--key", str(public)]) == 1
    assert "is over" in capsys.readouterr().err
