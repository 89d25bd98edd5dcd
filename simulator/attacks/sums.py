"""Attacks secure aggregation: the server has sums over groups of a cohort, and knows the members of every group.

Over many rounds a client is in many sums. A linear regression of the sums on participation gives each client's mean
part in them, whose head's rows are read as in `labels`. Groups are drawn anew in every round, or the population is
divided once and for all. In the latter case clients of one group cannot be distinguished.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from sklearn.linear_model import RidgeCV

from client_sdk.kernel.training import Task
from fedau2.v1.task_pb2 import Adversary, TaskManifest
from fedau2.wire import manifest
from fedau2.wire.secure import policy as policies
from simulator.attacks import labels
from simulator.attacks.uploads import observe
from simulator.population import public_randomness
from simulator.population.population import Members, Population

ALPHAS = np.logspace(-2, 5, 15)
"""Strengths of the ridge; leave-one-out errors choose among them."""


@dataclass(frozen=True)
class Sums:
    """A way to form the groups of secure aggregation.

    Attributes:
        size: clients of a group, K.
        fixed: True to divide the population once and for all; False to divide every cohort anew.
    """

    size: int
    fixed: bool = False

    @property
    def name(self) -> str:
        """The attack's name in the audit's table."""
        return f"sums-{self.size}{'-fixed' if self.fixed else ''}"


def attack(
    task: Task,
    adversary: Adversary,
    population: Population,
    how: Sums,
    cohort: int,
    rounds: Sequence[int],
    seed: int,
    noise: float = 0.0,
) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Guesses the label of every client that knows it, after some numbers of rounds.

    Args:
        task: manifest and checkpoint, which stay as they are.
        adversary: the adversary.
        population: the clients.
        how: the way in which groups are formed.
        cohort: clients of a round. Those who do not fill a group take no part.
        rounds: numbers of rounds after which to guess.
        seed: of the cohorts, which are public.
        noise: standard deviation of the noise on each number that is regressed.

    Yields:
        Rounds, and class numbers of the clients in the order of `knowing`.
    """
    members = knowing(population, task, adversary)
    size = min(how.size, cohort, len(members))
    rng, took_part, totals = public_randomness.generator("secure sums", seed), [], []
    on_sums = public_randomness.generator("noise on sums", seed)
    divided = _groups(rng.permutation(len(members)), size)
    for number in range(max(rounds)):
        if how.fixed:
            groups = divided[rng.choice(len(divided), min(len(divided), max(1, cohort // size)), replace=False)]
        else:
            groups = _groups(rng.choice(len(members), min(cohort, len(members)), replace=False), size)
        present = np.unique(groups)
        rows = _rows(task, adversary, population, members[present], number)
        for group in groups:
            took_part.append(np.bincount(group, minlength=len(members)))
            total = rows[np.searchsorted(present, group)].sum(0)
            totals.append(total + noise * on_sums.standard_normal(total.shape))
        if number + 1 in rounds:
            yield number + 1, _solve(np.array(took_part, np.float64), np.array(totals))


def law(rounds: int, size: int, clients: int, noise: float = 0.0, on_sums: float = 0.0) -> float:
    """Returns the accuracy of the best regression of one sum a round, on a trace of 1 or -1 in each part.

    It is the law of linear estimates in large systems (Tse and Hanly, IEEE Trans. Inf. Theory 45(2), 1999), for two
    classes of the same size. Without noise the size of the sums cancels: rounds / clients decides, and as many rounds
    as clients show everything.

    Args:
        rounds: sums that the server has.
        size: parts of a sum, of clients that are drawn anew each round.
        clients: clients in all; more than `size`.
        noise: standard deviation of each part beside the trace.
        on_sums: standard deviation of noise on each sum.
    """
    spread = size / clients * (1 - size / clients)  # variance of taking part
    signal, others, left = rounds * spread, clients * spread, size * noise**2 + on_sums**2
    if not left:
        return 1.0 if rounds >= clients else float(stats.norm.cdf(math.sqrt(rounds / (clients - rounds))))
    # The ratio r of signal to error solves r = signal / (left + others / (1 + r)).
    half = (left + others - signal) / (2 * left)
    return float(stats.norm.cdf(math.sqrt(math.sqrt(half**2 + signal / left) - half)))


def noise_on(task: TaskManifest, adversary: Adversary) -> float:
    """Returns the standard deviation of a policy's noise on the numbers that a regression reads; 0 without noise."""
    grids, prefix = policies.grids(task.secure_sums), manifest.adversary_prefix(adversary.name)
    name = next((n for n in (f"{prefix}head.bias", f"{prefix}head.weight") if n in grids), "")
    if not name:
        return 0.0
    deviation = math.ldexp(policies.deviations(task.secure_sums)[name], -grids[name].exponent)
    shape = next(spec.shape for spec in task.tensors if spec.name == name)
    return deviation * math.sqrt(math.prod(shape[1:]))  # without a bias the numbers are sums of rows


def knowing(population: Population, task: Task, adversary: Adversary) -> Members:
    """The clients that know an adversary's attribute."""
    known = population.labels(task.manifest, np.arange(len(population)))[adversary.name] >= 0
    return np.flatnonzero(known)


def _groups(order: Members, size: int) -> Members:
    return order[: len(order) // size * size].reshape(-1, size)


def _rows(
    task: Task, adversary: Adversary, population: Population, members: Members, number: int
) -> NDArray[np.float64]:
    """The parts of single clients in their group's sum, (n, classes). The server does not see them."""
    uploads = observe(task, [adversary], population, members, number).uploads[adversary.name]
    return labels.rows(uploads, len(adversary.classes)).double().numpy()


def _solve(took_part: NDArray[np.float64], totals: NDArray[np.float64]) -> NDArray[np.int64]:
    """Class numbers from who took part (sums, clients) and the sums (sums, classes)."""
    if len(totals) < 2:  # one sum shows no differences
        return np.zeros(took_part.shape[1], np.int64)
    model = RidgeCV(alphas=ALPHAS).fit(took_part, totals)
    # The mean over clients is in the intercept; a client's class is that in which it is lowest against the others.
    parts: NDArray[np.float64] = model.coef_.T
    return np.asarray((parts - parts.mean(0)).argmin(1))
