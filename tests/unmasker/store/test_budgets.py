"""What is spent is added up over whatever is asked, and never more than the budget."""

import math

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedau2.v1.secure_pb2 import SecureSums
from fedau2.v1.unmasker_pb2 import Budget
from fedau2.wire.secure import privacy
from unmasker.store import budgets

NAMES = [bytes([number]) * 16 for number in range(4)]
CALLS = st.tuples(st.sampled_from([0.5, 1.0, 3.0, 10.0]), st.sets(st.sampled_from(NAMES), min_size=1))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(st.lists(CALLS, max_size=12), st.floats(0.1, 20), st.sampled_from([1e-4, 1e-7]))
def test_no_holder_s_epsilon_is_ever_above_the_budget(either, calls, epsilon, delta):
    with either.books.writing() as page:
        page.connection.execute(budgets.spending.delete())
        budgets.change(page, Budget(epsilon=epsilon, delta=delta))
    spent, refused = dict.fromkeys(NAMES, 0.0), []
    for noise, names in calls:
        policy, order = SecureSums(noise_multiplier=noise), sorted(names)
        with either.books.writing() as page:
            good = [name for name, fine in zip(order, budgets.verdicts(page, policy, order), strict=True) if fine]
            budgets.spend(page, policy, good)
        refused += [spent[name] + noise**-2 for name in names.difference(good)]
        for name in good:
            spent[name] += noise**-2
    assert all(privacy.epsilon(math.sqrt(total), delta) <= epsilon for total in spent.values())
    assert all(privacy.epsilon(math.sqrt(total) * (1 + 1e-9), delta) > epsilon for total in refused)
