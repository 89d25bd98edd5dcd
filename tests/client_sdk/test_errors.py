"""What an error holds beside its text."""

import copy
import pickle
import re
from datetime import timedelta
from pathlib import Path

import pytest

import client_sdk
from client_sdk import RetryWindow, Status, errors
from client_sdk.advice import ADVICE
from client_sdk.errors import FedError

KINDS = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, FedError)}
FIELDS = {
    errors.AttributeValueError: {"attribute": "gender"},
    errors.MissingFeatureError: {"features": ("grid", "later-sums")},
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


def test_every_kind_has_a_code_of_its_own_and_advice_of_its_own():
    public = {kind for kind in KINDS if kind is not FedError}
    assert {kind.__name__ for kind in public} <= set(client_sdk.__all__)
    assert {kind.code for kind in KINDS} == set(ADVICE)
    assert len({kind.code for kind in KINDS}) == len(KINDS)
    for code, advice in ADVICE.items():
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", code)
        assert re.fullmatch(r"[A-Z].+[.]", advice)


@pytest.mark.parametrize("kind", sorted(KINDS, key=lambda kind: kind.__name__))
def test_an_error_names_no_window_unless_the_coordinator_did(kind):
    error = kind("what was wrong", **FIELDS.get(kind, {}))
    assert error.retry == FIELDS.get(kind, {}).get("retry")
    assert error.advice == ADVICE[kind.code]
    error.retry = RetryWindow(timedelta(1), timedelta(2))
    assert pickle.loads(pickle.dumps(error)).retry == error.retry


def test_an_apps_own_kind_has_the_advice_of_the_kind_above():
    class PluginError(errors.NoDataError):
        pass

    assert (PluginError.code, PluginError("none").advice) == ("plugin", ADVICE["no_data"])
