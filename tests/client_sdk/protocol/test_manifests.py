"""Manifests that this SDK can run, and those that it refuses."""

import pytest

from client_sdk.errors import MissingFeatureError, UnsupportedTaskError
from client_sdk.protocol import manifests


def data(bundle, **fields):
    return bundle.with_manifest(**fields).manifest.SerializeToString()


def test_a_task_that_requires_nothing_is_read(bundle):
    assert manifests.parse(data(bundle)) == bundle.manifest


def test_missing_features_are_named_with_what_to_do(bundle):
    with pytest.raises(MissingFeatureError, match=r"\(grid, later-sums\): update the app") as raised:
        manifests.parse(data(bundle, required_features=["later-sums", "grid"]))
    assert raised.value.features == ("grid", "later-sums")
    assert isinstance(raised.value, UnsupportedTaskError)


def test_a_feature_that_the_sdk_has_is_no_reason_to_refuse(bundle, monkeypatch):
    monkeypatch.setattr(manifests, "FEATURES", frozenset({"time-travel"}))
    manifests.parse(data(bundle, required_features=["time-travel"]))
    with pytest.raises(MissingFeatureError, match=r"\(grid\)"):
        manifests.parse(data(bundle, required_features=["time-travel", "grid"]))


def test_a_missing_feature_is_named_before_the_fields_that_came_with_it(bundle):
    with pytest.raises(MissingFeatureError):
        manifests.parse(data(bundle, required_features=["ways-to-draw"], draw=99))
    with pytest.raises(UnsupportedTaskError, match="unknown way to draw samples 99"):
        manifests.parse(data(bundle, draw=99))


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"format": 1}, "format 1 is older than format 2.*build the bundle again"),
        ({"format": 3}, "format 3 is newer than format 2.*update fedau2"),
        ({"format": 3, "required_features": ["later-sums"]}, "format 3"),
        ({"required_features": [""]}, "malformed"),
    ],
)
def test_what_cannot_be_read_is_not_supported(bundle, fields, text):
    with pytest.raises(UnsupportedTaskError, match=text) as raised:
        manifests.parse(data(bundle, **fields))
    assert not isinstance(raised.value, MissingFeatureError)
