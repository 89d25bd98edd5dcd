"""Laws of the sum of hidden contributions: exact, in any order, and believed only if honest devices could have it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from coordinator.aggregation.secure_sum import SecureSum
from coordinator.errors import AggregationError, ImplausibleSumError
from fedau2.wire.contributions import Rows
from fedau2.wire.errors import ContributionError
from fedau2.wire.secure import closing, masks, noise, packing, quantise
from fedau2.wire.secure import policy as policies
from fedau2.wire.secure.closing import LEAST_CARRIERS
from fedau2.wire.secure.layout import Layout
from fedau2.wire.secure.quantise import vector
from tests import secure_tasks as make

VALUES = st.floats(-3, 3, width=32)
CONTEXT = bytes(32)


@st.composite
def contributions(draw):
    indices = np.array(sorted(draw(st.sets(st.integers(0, 4)))), np.int64)
    tables = {
        name: Rows(indices, draw(hnp.arrays(np.float32, (len(indices), make.SHAPES[name][1]), elements=VALUES)))
        for name in ("table", "other")
    }
    return tables | draw(st.fixed_dictionaries({}, optional={"dense": hnp.arrays(np.float32, 4, elements=VALUES)}))


COHORTS = st.lists(contributions(), min_size=1, max_size=6)
WIDTHS = st.sampled_from([(20, 12), (24, 14), (28, 14), (32, 16)])


def vectors_of(cohort, task):
    layout = Layout.of(task)
    return [vector(contribution, task.secure_sums, layout) for contribution in cohort]


def sum_of(task, vectors):
    total = SecureSum(task)
    for entry in vectors:
        total.add(entry)
    return total


@given(COHORTS, WIDTHS)
def test_contributions_are_added_as_their_vectors_are(cohort, widths):
    task = make.task(make.policy(*widths, clip=2**11))
    layout, total = Layout.of(task), SecureSum(task)
    for contribution in cohort:
        total.add_numbers(quantise.numbers(contribution, layout), 1)
    expected = sum_of(task, vectors_of(cohort, task))
    assert (total.total() == expected.total()).all()
    assert total.mean().keys() == expected.mean().keys()


def test_contributions_without_room_or_with_a_value_that_is_not_finite_change_nothing():
    task = make.task(make.policy(20, 16))
    layout, total = Layout.of(task), SecureSum(task)
    wrong = {name: np.full(shape, np.inf if name == "table" else 1, np.float32) for name, shape in make.SHAPES.items()}
    with pytest.raises(ContributionError, match="table: a value is not finite"):
        total.add_numbers(quantise.numbers(wrong, layout), 1)
    with pytest.raises(AggregationError, match="room for 4 contributions, and 5 came"):
        total.add_numbers({}, 5)
    assert not total.total().any()
    total.add_numbers({}, 4)
    assert total.total()[:4].tolist() == [4, 0, 0, 0]


def masked(vectors, bits):
    """Each vector under a mask of its own, as it travels, and the sum of the masks."""
    streams = [masks.words(bytes([k]) * 32, CONTEXT, len(entry)) for k, entry in enumerate(vectors)]
    hidden = [
        packing.pack(entry + stream.astype(np.int64), bits) for entry, stream in zip(vectors, streams, strict=True)
    ]
    return hidden, np.sum(streams, axis=0, dtype=np.uint32)


@given(COHORTS, WIDTHS, st.randoms(use_true_random=False))
def test_the_sum_is_the_integer_sum_under_masks_in_any_order_and_any_shards(cohort, widths, random):
    task = make.task(make.policy(*widths, clip=2**11))
    vectors = vectors_of(cohort, task)
    exact = np.sum(np.array(vectors, np.int64), axis=0)
    assert (sum_of(task, vectors).total() == exact).all()
    hidden, opening = masked(vectors, widths[0])
    random.shuffle(hidden)
    cut = random.randint(0, len(hidden))
    shards = SecureSum(task), SecureSum(task)
    for payload in hidden[:cut]:
        shards[0].add_packed(payload)
    for payload in hidden[cut:]:
        shards[1].add_packed(payload)
    shards[0].merge(shards[1])
    opened = shards[0].total() - opening.astype(np.int64)
    half = 2 ** (widths[0] - 1)
    assert ((opened + half) % 2 ** widths[0] - half == exact).all()


@given(COHORTS)
def test_the_mean_is_that_of_the_contributions_to_half_a_step(cohort):
    task = make.task(make.policy(28, exponent=10, clip=2**14 - 1))
    mean = sum_of(task, LEAST_CARRIERS * vectors_of(cohort, task)).mean()  # fewer would be closed
    assert mean.keys() == {name for contribution in cohort for name in contribution}
    for name, value in mean.items():
        carriers = [contribution[name] for contribution in cohort if name in contribution]
        exact = np.zeros(make.SHAPES[name])
        for update in carriers:
            exact[update.indices if isinstance(update, Rows) else slice(None)] += (
                update.values if isinstance(update, Rows) else update
            )
        assert value.shape == make.SHAPES[name]
        assert np.abs(value - exact / len(carriers)).max() <= 2.0**-11 + 1e-9


@given(COHORTS)
def test_no_word_of_a_masked_sum_is_believed(cohort):
    task = make.task()
    hidden, _ = masked(vectors_of(cohort, task), 24)
    total = SecureSum(task)
    for payload in hidden:
        total.add_packed(payload)
    with pytest.raises(ImplausibleSumError):
        total.mean()


def test_a_masked_sum_is_uniform():
    task = make.task()
    zeros = vector({}, task.secure_sums, Layout.of(task))
    words = []
    for number in range(400):
        total = SecureSum(task)
        for device in range(2):
            seed = number.to_bytes(16, "little") + bytes([device]) * 16
            total.add(zeros + masks.words(seed, CONTEXT, len(zeros)).astype(np.int64))
        words.append(total.total())
    bits = (np.concatenate(words)[:, None] >> np.arange(24)) & 1
    ones, count = bits.sum(0), len(bits)
    assert ((ones - count / 2) ** 2 / (count / 4) < 28).all()  # of 24 bits, one in a million


def honest(task, count=3):
    rng = np.random.default_rng(5)
    cohort = [{"dense": rng.normal(size=4).astype(np.float32)} for _ in range(count)]
    return vectors_of(cohort, task)


@pytest.mark.parametrize("place", [0, 1, 2, 3, 4, 5, 6, 7, 10, 15, 20, -1], ids=lambda place: f"word {place}")
def test_what_honest_devices_cannot_send_is_not_stepped(place):
    task = make.task()
    vectors = honest(task)
    sum_of(task, vectors).mean()
    vectors[0][place] += 2**22
    with pytest.raises(ImplausibleSumError):
        sum_of(task, vectors).mean()


def test_a_norm_that_all_clips_together_do_not_allow_is_not_stepped():
    task = make.task(make.policy(clip=2**10))
    vectors = honest(task)
    vectors[0][-15:] = 2**10  # each alone is within the width
    vectors[0][Layout.of(task).carried] = 1
    with pytest.raises(ImplausibleSumError, match="norm"):
        sum_of(task, vectors).mean()


def test_rows_that_few_devices_touched_are_as_untouched_ones():
    task = make.task(make.policy(row_threshold=2))
    lone, common = np.array([0, 1]), np.array([1])
    cohort = [
        {name: Rows(rows, np.ones((len(rows), make.SHAPES[name][1]), np.float32)) for name in ("table", "other")}
        for rows in (lone, *[common] * LEAST_CARRIERS)
    ]
    mean = sum_of(task, vectors_of(cohort, task)).mean()
    for name in ("table", "other"):
        assert (mean[name][1] == 1).all()
        assert not mean[name][[0, 2, 3, 4]].any()


@given(st.integers(1, LEAST_CARRIERS + 3), st.integers(0, LEAST_CARRIERS + 3))
def test_a_tensor_that_few_devices_carry_has_no_mean(carriers, others):
    task = make.task(make.policy(row_threshold=0))
    cohort = [{"dense": np.ones(4, np.float32)}] * carriers + [{}] * others
    mean = sum_of(task, vectors_of(cohort, task)).mean()
    assert ("dense" in mean) == (carriers >= LEAST_CARRIERS)


def test_there_is_room_for_the_largest_cohort_and_for_no_more():
    task = make.task(make.policy(20, 14, minimum=1))
    total = sum_of(task, honest(task, 16))
    with pytest.raises(AggregationError, match="room for 16"):
        total.add(honest(task, 1)[0])
    with pytest.raises(AggregationError, match="room for 16"):
        total.merge(sum_of(task, honest(task, 1)))
    total.mean()
    total.reset()
    assert not total.total().any()
    total.add(honest(task, 1)[0])
    total.mean()


def test_a_vector_of_another_length_is_refused():
    total = SecureSum(make.task())
    with pytest.raises(AggregationError, match="shape"):
        total.add(np.zeros(3, np.uint32))
    with pytest.raises(ContributionError, match="bytes"):
        total.add_packed(bytes(3))


def noisy_sum(task, vectors, key=bytes(32), factor=1):
    """A sum as the unmasker opens it, without masks."""
    layout = Layout.of(task)
    total = sum_of(task, vectors)
    drawn = factor * noise.vector(layout, task.secure_sums, key)
    total.open((-drawn).astype(np.uint32), closing.nothing(layout))
    return total


@given(COHORTS, st.binary(min_size=32, max_size=32))
def test_a_noisy_mean_is_over_all_members_and_as_far_off_as_its_variance_says(cohort, key):
    task = make.task(make.noisy())
    vectors = vectors_of(cohort, task)
    mean = noisy_sum(task, vectors, key).mean()
    exact, variances = sum_of(task, vectors).mean(), noisy_sum(task, vectors, key).variances()
    drawn = noise.vector(Layout.of(task), task.secure_sums, key)
    assert mean.keys() == exact.keys() == variances.keys() == make.SHAPES.keys()
    for name, place in Layout.of(task).tensors.items():
        assert mean[name].ravel() - exact[name].ravel() == pytest.approx(drawn[place] / len(cohort) / 2**10)
        deviation = policies.deviations(task.secure_sums)[name] / len(cohort) / 2**10
        assert variances[name] == pytest.approx(deviation**2)


def test_without_noise_there_is_no_variance():
    assert sum_of(make.task(), honest(make.task())).variances() == {}


def test_honest_sums_with_noise_are_plausible_and_ones_with_ten_times_the_noise_are_not():
    task = make.task(make.noisy())
    for number in range(200):
        noisy_sum(task, honest(task), number.to_bytes(32, "little")).mean()
    excessive = noisy_sum(task, honest(task), factor=10)
    with pytest.raises(ImplausibleSumError, match="norm"):
        excessive.mean()


def test_garbage_is_not_plausible_with_noise():
    task = make.task(make.noisy())
    hidden, _ = masked(honest(task), 24)
    total = SecureSum(task)
    for payload in hidden:
        total.add_packed(payload)
    total.open(np.zeros(Layout.of(task).size, np.uint32), closing.nothing(Layout.of(task)))
    with pytest.raises(ImplausibleSumError):
        total.mean()
