"""Tasks with secure sums, and an unmasker's keys and signatures, without a coordinator and an unmasker that run."""

from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from client_sdk.kernel.torch_engine import TorchEngine
from client_sdk.protocol.membership import Membership
from client_sdk.protocol.session import session
from client_sdk.protocol.trust import Trust
from fedau2.v1.secure_pb2 import Grid, SecureSums
from fedau2.v1.tensors_pb2 import TENSOR_SCOPE_PRIVATE
from fedau2.v1.unmasker_pb2 import SignedRoundKey
from fedau2.wire.identity import round_key
from fedau2.wire.identity.certificate import Certificate
from fedau2.wire.identity.signing import public_bytes
from fedau2.wire.secure import masked, opening, packing
from fedau2.wire.secure.context import Context
from fedau2.wire.secure.layout import Layout
from fedau2.wire.secure.policy import FEATURE

TASK = "0123456789abcdef" * 2
NOW = 1_800_000_000
DAY = 86400


@dataclass(frozen=True)
class Signing:
    """The keys of an unmasker."""

    identity_key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    authority: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    round: X25519PrivateKey = field(default_factory=X25519PrivateKey.generate)

    @property
    def identity(self):
        return public_bytes(self.identity_key)

    def certify(self, store, issued=NOW, days=90):
        """Gives a device a certificate."""
        key = Ed25519PrivateKey.from_private_bytes(store.identities.key(self.identity))
        certificate = Certificate(1, bytes(16), public_bytes(key), issued, issued + days * DAY)
        data = certificate.body() + self.authority.sign(certificate.message())
        store.identities.keep(self.identity, data)
        return data

    def assignment(self, bundle, number=0, **changed):
        """A place in the bundle's round, with a key of the round; `changed` are fields of the key."""
        place = bundle.assignment(number, task_id=TASK, bound=0)
        policy = bundle.manifest.secure_sums.SerializeToString(deterministic=True)
        fields = {
            "task_id": bytes.fromhex(TASK),
            "round": bundle.round,
            "manifest": bundle.address.sha256,
            "checkpoint": bundle.checkpoint.sha256,
            "policy": round_key.policy_hash(policy),
            "public_key": self.round.public_key().public_bytes_raw(),
        }
        key = SignedRoundKey(**fields | changed)
        key.signature = self.identity_key.sign(round_key.message(key))
        place.round_key = key.SerializeToString()
        return place

    def opened(self, bundle, lease, data):
        """Opens an upload as both parties together could: its vector modulo 2^b, its seed and its opening."""
        task = bundle.manifest
        layout, bits = Layout.of(task), task.secure_sums.modulus_bits
        upload = masked.read(data, layout, bits)
        bound = opening.Bound(self.context(bundle), lease, upload.digest)
        made = opening.unseal(upload.sealed, bound, self.round)
        mask = masked.sum_of_masks([made.seed], bound.context, layout.size)
        return unpacked(upload.packed, mask, layout, bits), made, bound

    def context(self, bundle):
        public = self.round.public_key().public_bytes_raw()
        hashes = (bundle.address.sha256, bundle.checkpoint.sha256)
        return Context(bytes.fromhex(TASK), bundle.round, *hashes, bundle.manifest.secure_sums, public).hash()


class Watched(TorchEngine):
    """An engine that keeps what it returned."""

    def begin(self, job):
        training = super().begin(job)
        finish = training.finish

        def watched():
            self.result = finish()
            return self.result

        training.finish = watched
        return training


def unpacked(packed, mask, layout, bits):
    """The signed integers of a packed vector less its mask."""
    words = (packing.unpack(packed, layout.size, bits) - mask).astype("int64") % 2**bits
    return words - 2**bits * (words >= 2 ** (bits - 1))


def secure(bundle, *unmaskers, **fields):
    """The same task with secure sums."""
    names = sorted(spec.name for spec in bundle.manifest.tensors if spec.scope != TENSOR_SCOPE_PRIVATE)
    grids = [Grid(tensor=name, exponent=14, clip=fields.get("clip", 8191)) for name in names]
    least = 0 if fields.get("noise_multiplier") else 10
    numbers = {"modulus_bits": 24, "value_bits": 14, "minimum": 64, "row_threshold": least}
    numbers |= {name: value for name, value in fields.items() if name != "clip"}
    keys = [unmasker.identity for unmasker in unmaskers]
    policy = SecureSums(**{"version": 1, "grids": grids, "unmaskers": keys} | numbers)
    return bundle.with_manifest(required_features=[FEATURE], secure_sums=policy)


def noisy(bundle, *unmaskers, noise=1.0, most=4):
    """The same task with secure sums that have noise."""
    made = secure(bundle, *unmaskers, noise_multiplier=noise, max_participations=most)
    for grid in made.manifest.secure_sums.grids:
        grid.noise_share = len(made.manifest.secure_sums.grids) ** -0.5
    return made.with_manifest()


def begin(store, *unmaskers, engine=None, enrols=False, emit=lambda event: None, trust=None):
    """A session of a device whose app names these unmaskers."""
    trust = trust or Trust(None, [unmasker.identity for unmasker in unmaskers])
    members = Membership(store.identities, trust.unmaskers, enrols)
    return session(store, engine or TorchEngine(), "films", "1", emit, trust, members=members)
