"""Checks of requests that need no database."""

from google.protobuf.message import DecodeError

from fedau2.v1.secure_pb2 import SecureSums
from fedau2.v1.unmasker_pb2 import EnrolRequest, OpenRoundRequest
from fedau2.wire.identity import enrolment, round_key
from unmasker.errors import InvalidRequestError

_ROUNDS = 2**63
"""Numbers of rounds are below."""


def check_enrol(request: EnrolRequest) -> None:
    """Returns if the parts of a request have sizes that they can have.

    Raises:
        InvalidRequestError: one has not.
    """
    _expect(len(request.public_key) == round_key.HASH, f"a public key has {round_key.HASH} bytes")
    _expect(len(request.evidence) <= enrolment.MOST_EVIDENCE, f"evidence has at most {enrolment.MOST_EVIDENCE} bytes")


def check_open_round(request: OpenRoundRequest) -> None:
    """Returns if the parts of a request have sizes that they can have.

    Raises:
        InvalidRequestError: one has not.
    """
    check_round(request.task_id, request.round)
    for name, value in (("manifest", request.manifest), ("checkpoint", request.checkpoint)):
        _expect(len(value) == round_key.HASH, f"the {name} is named by its SHA-256, of {round_key.HASH} bytes")
    most = round_key.MOST_POLICY
    _expect(0 < len(request.policy) <= most, f"a round needs a policy of secure sums, of at most {most} bytes")


def policy(request: OpenRoundRequest) -> SecureSums:
    """Returns the policy of a round. Nothing of it is checked before a sum is opened.

    Raises:
        InvalidRequestError: it cannot be read.
    """
    try:
        return SecureSums.FromString(request.policy)
    except DecodeError as error:
        raise InvalidRequestError("the policy is not a policy of secure sums, serialised") from error


def check_round(task_id: bytes, number: int) -> None:
    """Returns if there can be such a round.

    Raises:
        InvalidRequestError: there cannot.
    """
    _expect(len(task_id) == round_key.TASK_ID, f"a task's id has {round_key.TASK_ID} bytes")
    _expect(number < _ROUNDS, f"the number of a round is below {_ROUNDS}")


def _expect(condition: bool, text: str) -> None:
    if not condition:
        raise InvalidRequestError(text)
