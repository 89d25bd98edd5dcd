import hashlib

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fedau2.wire.errors import ContributionError, IdentityError
from fedau2.wire.secure import closing, masked, masks, opening, packing
from fedau2.wire.secure.layout import Layout
from fedau2.wire.secure.opening import Bound
from tests.secure_tasks import noisy, policy, task

CONTEXT = hashlib.sha256(b"test").digest()
BITS = st.sampled_from([20, 24, 28, 32])
KEY, ROUND = Ed25519PrivateKey.from_private_bytes(bytes(32)), X25519PrivateKey.from_private_bytes(bytes(31) + b"\1")
BOUND = Bound(CONTEXT, b"\1" * 16, b"\2" * 32)
SEED = bytes(range(32))


def seal(bound=BOUND, certificate=b"certificate"):
    return opening.seal(bound, SEED, certificate, KEY, ROUND.public_key().public_bytes_raw())


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=4, unique=True), BITS, st.data())
def test_masked_vectors_add_up_to_the_sum_plus_the_masks(seeds, bits, data):
    count = data.draw(st.integers(1, 40))
    vectors = [data.draw(arrays(np.int32, count, elements=st.integers(-(2**13), 2**13))) for _ in seeds]
    uploads = [masked.mask(vector, seed, CONTEXT, bits) for vector, seed in zip(vectors, seeds, strict=True)]
    total = sum(packing.unpack(upload, count, bits).astype(np.int64) for upload in uploads)
    opened = (total - masked.sum_of_masks(seeds, CONTEXT, count).astype(np.int64)) % 2**bits
    np.testing.assert_array_equal(opened, sum(vector.astype(np.int64) for vector in vectors) % 2**bits)


def test_a_mask_of_several_blocks_is_the_stream_of_its_seed():
    count = 2 * masks.BLOCK + 5
    upload = masked.mask(np.zeros(count, np.int32), SEED, CONTEXT, 28)
    words = masks.words(SEED, CONTEXT, count) & np.uint32(2**28 - 1)
    np.testing.assert_array_equal(packing.unpack(upload, count, 28), words)


def test_an_upload_is_split_where_the_vector_ends():
    layout = Layout.of(task())
    packed = packing.pack(np.arange(layout.size), 24)
    whole = masked.Masked(packed, b"sealed")
    again = masked.read(whole.joined(), layout, 24)
    assert (again.packed, again.sealed) == (packed, b"sealed")
    assert again.digest == hashlib.sha256(packed).digest()
    assert again.canary(24) == packing.pack(np.arange(4), 24)
    for wrong in (packed, b"", packed + bytes(opening.LARGEST + 1)):
        with pytest.raises(ContributionError, match="a masked contribution of"):
            masked.read(wrong, layout, 24)
    assert masked.largest(layout, 24) == len(packed) + opening.LARGEST


def test_an_opening_opens_for_its_contribution_alone():
    sealed = seal()
    opened = opening.unseal(sealed, BOUND, ROUND)
    assert (opened.seed, opened.certificate) == (SEED, b"certificate")
    KEY.public_key().verify(opened.signature, opening.message(BOUND, SEED))
    others = [Bound(bytes(32), BOUND.lease, BOUND.digest), Bound(CONTEXT, bytes(16), BOUND.digest)]
    for bound in (*others, Bound(CONTEXT, BOUND.lease, bytes(32))):
        with pytest.raises(IdentityError, match="sealed for something else"):
            opening.unseal(sealed, bound, ROUND)
    with pytest.raises(IdentityError, match="sealed for something else"):
        opening.unseal(sealed, BOUND, X25519PrivateKey.generate())
    with pytest.raises(IdentityError, match="not an X25519 public key"):
        opening.seal(BOUND, SEED, b"", KEY, b"short")


@given(st.binary(max_size=300))
def test_other_bytes_do_not_open(data):
    with pytest.raises(IdentityError):
        opening.unseal(data, BOUND, ROUND)


@pytest.mark.parametrize("body", [b"", b"\2" + bytes(98), b"\1" + bytes(32) + b"\1\0" + bytes(64)])
def test_an_opening_of_another_form_is_refused(body):
    suite = opening._suite()
    sealed = suite.encrypt(body, ROUND.public_key(), b"fedau2 opening v1\0" + BOUND.joined())
    with pytest.raises(IdentityError, match=r"an opening of|the opening has"):
        opening.unseal(sealed, BOUND, ROUND)


def test_counts_of_rows_stay_closed_and_with_noise_every_flag():
    layout = Layout.of(task())
    closed = closing.nothing(layout)
    closed[[1, 4, -1]] = True
    places = closing.closed_places(layout, policy(), closed)
    total = np.arange(1, layout.size + 1)
    closing.close(total, layout, closed)
    total[layout.touched] = 0
    np.testing.assert_array_equal(places, total == 0)
    hidden = closing.closed_places(layout, noisy(), closing.nothing(layout))
    assert hidden[4 : layout.head.stop].all()
    assert not hidden[:4].any()
    assert not hidden[layout.head.stop :].any()
