"""What a coordinator, or anybody on the way, may have changed: each is refused before anything of it runs."""

from contextlib import closing
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from client_sdk import FedClient, Result
from client_sdk.errors import (
    DamagedTaskError,
    ForbiddenGraphError,
    UnsupportedTaskError,
    UntrustedTaskError,
    UsageError,
)
from client_sdk.protocol.inspection import MAX_BYTES
from export.bundle import Bundle as Built
from export.bundle import write
from fedau2.v1.device_pb2 import FailureReason
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.wire import blobs, signatures

KEY = Ed25519PrivateKey.generate()
PUBLIC = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def signed(bundle, key=KEY):
    """The same task, signed."""
    body = bundle.manifest.SerializeToString(deterministic=True)
    return bundle.with_manifest(signature=key.sign(signatures.message(body)))


def with_bytes(bundle, resource, data):
    """The same addresses with other content."""
    return replace(bundle, blobs={**bundle.blobs, resource.sha256: data})


@pytest.fixture
def serving(remote, address, tmp_path):
    """A client of a coordinator that serves a bundle."""

    def start(bundle, **options):
        remote.bundle, remote.assignment = bundle, bundle.assignment()
        client = FedClient.open(tmp_path / "state", address, "films", publishers=[PUBLIC], **options)
        client.record("film-1")
        client.record("film-4")
        return closing(client)

    return start


def refused(client, remote, error, reason):
    with pytest.raises(error):
        client.sync()
    name, request = remote.calls[-1]
    assert (name, request.reason) == ("report_failure", reason)
    assert client._store.model() is None  # nothing of it can run later either


def test_a_signed_task_is_trained_and_recommended_from(serving, bundle):
    with serving(signed(bundle)) as client:
        assert client.sync().result == Result.UPLOADED
        assert client.recommend(3)


def test_an_unsigned_task_and_one_signed_by_another_are_refused(serving, bundle, remote):
    stranger = Ed25519PrivateKey.generate()
    for wrong in (bundle, signed(bundle, stranger)):
        with serving(wrong) as client:
            refused(client, remote, UntrustedTaskError, FailureReason.FAILURE_REASON_UNSUPPORTED)
            assert remote.names()[-3:] == ["check_in", "fetch", "report_failure"]  # nothing but the manifest


def test_a_changed_manifest_with_its_own_hash_is_refused(serving, bundle, remote):
    changed = signed(bundle).with_manifest()
    changed.manifest.plan.adversaries[0].epsilon = 0
    with serving(changed.with_manifest()) as client:
        refused(client, remote, UntrustedTaskError, FailureReason.FAILURE_REASON_UNSUPPORTED)


def test_a_changed_signature_is_refused(serving, bundle, remote):
    task = signed(bundle)
    wrong = bytes([task.manifest.signature[0] ^ 1]) + task.manifest.signature[1:]
    with serving(task.with_manifest(signature=wrong)) as client:
        refused(client, remote, UntrustedTaskError, FailureReason.FAILURE_REASON_UNSUPPORTED)


@pytest.mark.parametrize("part", ["checkpoint", "catalogue", "prepare", "recommend", "step"])
def test_a_changed_blob_is_refused(serving, bundle, remote, part):
    task = signed(bundle)
    resources = {"checkpoint": task.checkpoint, "catalogue": task.manifest.catalogue}
    names = ("prepare", "recommend", "step")
    resources |= {name: graph.resource for name, graph in zip(names, task.manifest.graphs, strict=True)}
    resource = resources[part]
    data = task.blobs[resource.sha256]
    changed = with_bytes(task, resource, data[:-1] + bytes([data[-1] ^ 1]))
    with serving(changed) as client:
        refused(client, remote, DamagedTaskError, FailureReason.FAILURE_REASON_TRAINING)


def test_a_forbidden_graph_is_refused_even_of_a_trusted_publisher(serving, bundle, remote):
    task, bad = TaskManifest.FromString(bundle.manifest.SerializeToString()), b"\x42\x06\x0a\x04evil"
    task.graphs[2].resource.CopyFrom(blobs.resource(bad))
    changed = replace(bundle, manifest=task, blobs={**bundle.blobs, blobs.sha256(bad): bad})
    with serving(signed(changed)) as client:
        refused(client, remote, ForbiddenGraphError, FailureReason.FAILURE_REASON_UNSUPPORTED)
        assert client._store.blob(blobs.resource(bad)) is None
    assert issubclass(ForbiddenGraphError, UnsupportedTaskError)


def test_a_graph_that_is_too_large_is_not_even_fetched(serving, bundle, remote):
    task = TaskManifest.FromString(bundle.manifest.SerializeToString())
    task.graphs[0].resource.size = MAX_BYTES + 1
    with serving(signed(replace(bundle, manifest=task))) as client:
        refused(client, remote, ForbiddenGraphError, FailureReason.FAILURE_REASON_UNSUPPORTED)
        assert remote.names()[-3:] == ["check_in", "fetch", "report_failure"]  # the manifest only


def test_a_manifest_that_is_not_trusted_is_not_kept(serving, bundle):
    with serving(bundle) as client:
        with pytest.raises(UntrustedTaskError):
            client.sync()
        data = bundle.manifest.SerializeToString(deterministic=True)
        assert client._store.blob(blobs.resource(data)) is None


def test_a_starter_must_be_signed_too(bundle, tmp_path):
    def opened(task, name):
        write(Built(task.manifest, {each.sha256: task.blobs[each.sha256] for each in _named(task.manifest)}), name)
        return FedClient.open(tmp_path / f"{name.name}-state", "x:1", "films", publishers=[PUBLIC], starter=name)

    with pytest.raises(UntrustedTaskError):
        opened(bundle, tmp_path / "plain")
    with closing(opened(signed(bundle), tmp_path / "signed")) as client:
        assert client.recommend(3)


def test_a_starters_signature_is_of_its_bytes_however_they_are_written(bundle, tmp_path):
    named = {each.sha256: bundle.blobs[each.sha256] for each in _named(bundle.manifest)}
    write(Built(bundle.manifest, named), tmp_path / "bundle")
    path = tmp_path / "bundle" / "manifest.binpb"
    body = path.read_bytes() + TaskManifest(format=bundle.manifest.format).SerializeToString()  # the same, said twice
    path.write_bytes(signatures.attach(body, KEY.sign(signatures.message(body))))
    starter = tmp_path / "bundle"
    with FedClient.open(tmp_path / "state", "x:1", "films", publishers=[PUBLIC], starter=starter) as client:
        assert client.recommend(3)


def _named(task):
    return [task.catalogue, task.checkpoint, *(graph.resource for graph in task.graphs)]


def test_a_model_from_before_the_key_was_pinned_is_not_run(bundle, remote, address, tmp_path):
    with FedClient.open(tmp_path / "state", address, "films") as client:
        client.record("film-1")
        client.sync()
        assert client.recommend(3)
    with (
        FedClient.open(tmp_path / "state", address, "films", publishers=[PUBLIC]) as client,
        pytest.raises(UntrustedTaskError),
    ):
        client.recommend(3)


def test_no_key_at_all_is_not_taken_for_trust_in_everybody(tmp_path):
    with pytest.raises(UsageError, match="lists no key"):
        FedClient.open(tmp_path / "state", "x:1", "films", publishers=[])
    with pytest.raises(UsageError, match="a list of public keys, not float"):
        FedClient.open(tmp_path / "state", "x:1", "films", publishers=1.5)


@pytest.mark.parametrize("engine", ["pytorch", None, object()])
def test_what_is_no_engine_is_told_when_the_client_is_opened(tmp_path, engine):
    with pytest.raises(UsageError, match="engine must be 'onnx', 'torch' or an engine"):
        FedClient.open(tmp_path / "state", "x:1", "films", engine=engine)


def test_what_is_no_key_is_told_when_the_client_is_opened(tmp_path):
    with pytest.raises(UsageError, match="publisher's key"):
        FedClient.open(tmp_path / "state", "x:1", "films", publishers=[b"secret"])


@pytest.mark.parametrize(
    ("coordinator", "publishers", "warnings"), [("host:1", None, 1), ("host:1", [PUBLIC], 0), ("localhost:1", None, 0)]
)
def test_a_client_that_trusts_any_task_from_the_network_warns(tmp_path, caplog, coordinator, publishers, warnings):
    FedClient.open(tmp_path / "state", coordinator, "films", publishers=publishers).close()
    assert sum("name the publishers" in message for message in caplog.messages) == warnings
