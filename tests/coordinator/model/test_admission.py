"""Versions of the SDK: compared number by number; what is none lies in no range."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.errors import InvalidRequestError
from coordinator.model.admission import VersionRange, parse
from fedau2.v1.task_pb2 import ClientVersions

NUMBERS = st.lists(st.integers(0, 20), min_size=1, max_size=4)


def text(numbers):
    return ".".join(map(str, numbers))


def padded(numbers):
    return numbers + [0] * (4 - len(numbers))


@given(NUMBERS, NUMBERS)
def test_versions_are_ordered_number_by_number_and_missing_ones_are_zero(one, other):
    assert (parse(text(one)) < parse(text(other))) == (padded(one) < padded(other))
    assert (parse(text(one)) == parse(text(other))) == (padded(one) == padded(other))


@given(NUMBERS, NUMBERS, NUMBERS)
def test_a_range_holds_its_minimum_and_not_its_end(minimum, below, version):
    message = ClientVersions(minimum=text(minimum), below=text(below))
    if padded(minimum) >= padded(below):
        with pytest.raises(InvalidRequestError, match=r"no version is at least .* and below"):
            VersionRange.of(message)
        return
    inside = padded(minimum) <= padded(version) < padded(below)
    assert VersionRange.of(message).admits(text(version)) == inside


def test_an_open_end_admits_everything_on_its_side():
    assert VersionRange.of(ClientVersions(minimum="0.9")).admits("0.10")
    assert not VersionRange.of(ClientVersions(minimum="0.9")).admits("0.8.9")
    assert VersionRange.of(ClientVersions(below="2")).admits("1.9999")
    assert not VersionRange.of(ClientVersions(below="2")).admits("2.0.0")
    assert VersionRange.of(ClientVersions(minimum="0")).admits("0.0")


NO_VERSIONS = [
    "",
    "1.",
    ".1",
    "1..2",
    "v1",
    "1.2.dev0",
    "1.2rc1",
    "1.2+cpu",
    "-1",
    "1 ",
    "1\n",
    "\u0661",
    "9" * 5000,
    "1" + ".0" * 99,
]


@pytest.mark.parametrize("version", NO_VERSIONS)
def test_what_is_no_version_is_admitted_only_where_any_is(version):
    assert VersionRange.of(ClientVersions()).admits(version)
    assert not VersionRange.of(ClientVersions(minimum="0")).admits(version)
    assert not VersionRange.of(ClientVersions(below="999")).admits(version)


@pytest.mark.parametrize("end", ["minimum", "below"])
@pytest.mark.parametrize("version", NO_VERSIONS[1:])
def test_an_operator_is_told_which_end_is_no_version(end, version):
    with pytest.raises(InvalidRequestError, match=f"client versions: {end} .* is not numbers with dots"):
        VersionRange.of(ClientVersions(**{end: version}))
