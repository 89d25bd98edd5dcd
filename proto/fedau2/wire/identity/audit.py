"""The rules that the entries of a whole log must keep, beyond being the ones that were signed."""

from fedau2.v1.unmasker_pb2 import LogEntry, SignedRoundKey
from fedau2.wire.errors import IdentityError
from fedau2.wire.identity import checks, round_key
from fedau2.wire.identity.log import Extract
from fedau2.wire.identity.signing import verifies


def check(log: Extract, identity: bytes) -> None:
    """Returns if a whole log says only what an unmasker may say.

    It begins with the unmasker's keys and names them once. Every round's key is signed. Within an epoch the rounds of a
    task rise, so that none has two keys. No public key is used twice. A round whose sum was opened has a key, and has
    no second sum in any epoch.

    Args:
        log: all of it, from `log.read`.
        identity: the unmasker's identity key.

    Raises:
        IdentityError: an entry breaks a rule; the text names it.
    """
    if log.first or not log.entries:
        raise IdentityError("an audit needs the log from its first entry on")
    _check_keys(log.entries[0], identity)
    newest, used, policies = dict[bytes, int](), set[bytes](), set[bytes]()
    keyed, opened = set[tuple[bytes, int]](), set[tuple[bytes, int]]()
    for number, entry in enumerate(log.entries):
        match entry.WhichOneof("fact"):
            case "keys" if number:
                raise IdentityError(f"entry {number} of the log names the unmasker's keys again")
            case "epoch":
                newest.clear()
            case "policy":
                policies.add(round_key.policy_hash(entry.policy.policy))
            case "round":
                key = entry.round.key
                _check_round(key, number, identity, newest.get(key.task_id, -1))
                if key.public_key in used or key.policy not in policies:
                    raise IdentityError(f"entry {number} of the log has a key or a policy that it must not have")
                newest[key.task_id] = key.round
                used.add(key.public_key)
                keyed.add((key.task_id, key.round))
            case "sum":
                of = (entry.sum.task_id, entry.sum.round)
                if of not in keyed or of in opened:
                    raise IdentityError(
                        f"entry {number} of the log opens a second sum, or one of a round without a key"
                    )
                opened.add(of)
            case None:
                raise IdentityError(f"entry {number} of the log says something that this fedau2 does not know")


def _check_keys(entry: LogEntry, identity: bytes) -> None:
    if entry.keys.identity != identity:
        raise IdentityError("the log does not begin with the unmasker's identity key")
    checks.authority(entry.keys.authority, identity)


def _check_round(key: SignedRoundKey, number: int, identity: bytes, newest: int) -> None:
    if not verifies(identity, key.signature, round_key.message(key)):
        raise IdentityError(f"entry {number} of the log has a round's key that is not signed")
    if key.round <= newest:
        raise IdentityError(f"entry {number} of the log gives round {key.round} a key, after one for round {newest}")
