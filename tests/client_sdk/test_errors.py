"""What an error holds beside its text."""

import copy
import pickle
from datetime import timedelta
from pathlib import Path

import pytest

from client_sdk import RetryWindow, Status, errors
from client_sdk.errors import FedError

KINDS = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, FedError)}
FIELDS = {
    errors.AttributeValueError: {"attribute": "gender"},
    errors.MissingFeatureError: {"features": ("grid", "secure-sums")},
    errors.RefusedError: {"status": Status.NOT_FOUND, "retry": RetryWindow(timedelta(1), timedelta(2))},
    errors.StoreLockedError: {"folder": Path("state")},
    errors.TransportError: {"temporary": False},
    errors.UnknownCallError: {"temporary": False},
    errors.CredentialsError: {"temporary": False},
}


@pytest.mark.parametrize("kind", sorted(KINDS, key=lambda kind: kind.__name__))
@pytest.mark.parametrize("copied", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
def test_an_error_keeps_its_text_and_its_fields_on_the_way_to_another_process(kind, copied):
    fields = FIELDS.get(kind, {})
    error = copied(kind("what was wrong", **fields))
    assert (type(error), str(error), vars(error)) == (kind, "what was wrong", fields)


def test_an_error_may_have_no_text():
    assert str(FedError()) == ""
