"""The witness: a ledger that has lost transactions is known."""

from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.errors import LedgerError
from coordinator.store.disk import REAL
from coordinator.store.witness import Witness


@given(first=st.integers(0, 2**62), noted=st.integers(0, 5), data=st.data())
def test_one_flipped_bit_hides_the_newest_number_at_most(tmp_path_factory, first, noted, data):
    path = tmp_path_factory.mktemp("witness") / "witness"
    with closing(Witness(path, REAL)) as witness:
        assert witness.read() is None
        witness.begin(first)
        for number in range(first + 1, first + noted + 1):
            witness.note(number)
        newest = first + noted
        assert witness.read() == newest
    content = bytearray(path.read_bytes())
    bit = data.draw(st.integers(0, 8 * len(content) - 1))
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)
    assert Witness(path, REAL).read() in ({newest} if noted == 0 else {newest, newest - 1})


def test_a_witness_without_a_whole_slot_is_refused(tmp_path):
    for content in (b"", b"noise" * 2000):
        (tmp_path / "witness").write_bytes(content)
        with pytest.raises(LedgerError, match="accept-ledger"):
            Witness(tmp_path / "witness", REAL).read()


def test_it_is_made_anew_only_if_it_does_not_know_the_number(tmp_path):
    path = tmp_path / "witness"
    for number in (5, 6):
        with closing(Witness(path, REAL)) as witness:
            witness.begin(number)
            witness.note(number + 1)
    before = path.read_bytes()
    with closing(Witness(path, REAL)) as witness:
        witness.begin(7)
    assert path.read_bytes() == before
