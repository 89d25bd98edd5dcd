"""Runs the weeks of a service one after the other, and trains anew on its last catalogue for comparison."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import export
from client_sdk.kernel.fedncf_parameters import Widths as FedNcfWidths
from client_sdk.kernel.fedrap_parameters import Widths as FedRapWidths
from client_sdk.kernel.torch_engine import TorchEngine
from export.bundle import Bundle
from export.plan.message import plan_of
from scripts.year.devices import Device, K
from scripts.year.history import History
from scripts.year.operating import Operator

WIDTHS = {"fedncf": FedNcfWidths(gmf=8, mlp=16, hidden=(16, 8)), "fedrap": FedRapWidths(latent=8)}
_ABSENT = 0.1
"""Share of the users that do not open the app in a week."""
_MANY = 10**6


@dataclass(frozen=True)
class Figures:
    """The service at the end of a week.

    Attributes:
        week: the week, from 0; None: trained anew.
        devices: those that synced in it.
        items: length of the catalogue.
        rounds: committed so far.
        old: mean NDCG@10 among items that have been listed for 8 weeks or more.
        new: the same among newer ones.
    """

    week: int | None
    devices: int
    items: int
    rounds: int
    old: float
    new: float


class Service:
    """A service of many weeks.

    Args:
        folder: of everything that it keeps.
        history: its items and users.
        model: the recommender.
        goal: contributions of a round.
        passes: syncs of a device in a week.
        seed: of the first model and of the order of syncs.

    Attributes:
        devices: by the user's number; users that have left are not among them.
        faults: sentences about what did not hold.
        carried: number of times that a device's private state was carried over, and was as before.
        recorded: number of interactions that were recorded.
    """

    def __init__(self, folder: Path, history: History, model: str, goal: int, passes: int, seed: int) -> None:
        self._folder, self._history, self._model = folder, history, model
        self._goal, self._passes, self._rng, self._seed = goal, passes, np.random.default_rng(seed), seed
        self._engine = TorchEngine()
        self._present: list[int] = []  # those that synced in the newest week
        self.devices: dict[int, Device] = {}
        self.faults: list[str] = []
        self.carried = self.recorded = 0

    async def run(self, every: int, show: Callable[[Figures], None]) -> Figures:
        """Runs all weeks, and shows the figures of every so many weeks and of the last. Returns the last ones."""
        last = len(self._history.catalogues) - 1
        with ExitStack() as stack:
            async with Operator.of(self._folder, self._goal, _MANY) as operator:
                for week in range(last + 1):
                    await self._week(operator, week, stack)
                    if week == last or (week + 1) % every == 0:
                        show(figures := self._figures(week, week, await operator.rounds()))
        return figures

    async def train_anew(self, rounds: int) -> Figures:
        """Trains the last catalogue's model anew, with new devices that know all records of those of the last week."""
        week = len(self._history.catalogues) - 1
        anew = Service(self._folder / "anew", self._history, self._model, self._goal, self._passes, self._seed)
        with ExitStack() as stack:
            async with Operator.of(anew._folder, self._goal, rounds) as operator:
                for user in self._present:
                    device = stack.enter_context(closing(anew._device(user)))
                    for recorded, items in self._history.users[user].records.items():
                        device.record(items, recorded)
                await operator.create(anew._bundle(week))
                anew._present = self._present
                while await operator.rounds() < rounds:
                    await anew._pass(operator, rounds)
            return anew._figures(None, week, rounds)

    async def _week(self, operator: Operator, week: int, stack: ExitStack) -> None:
        """Users come, record and go, the catalogue changes, and the devices that are there sync."""
        for user, person in enumerate(self._history.users):
            if person.joins == week:
                stack.enter_context(closing(self._device(user)))
            if person.there(week):
                items = person.records.get(week, ())
                self.devices[user].record(items, week)
                self.recorded += len(items)
            elif user in self.devices:
                self._check(week, user)
                del self.devices[user]
        self._present = [user for user in self.devices if self._rng.random() >= _ABSENT]
        change = asyncio.create_task(self._change(operator, week))
        if week in (0, self._middle):
            await change  # there is no task to sync for until then
        for _ in range(self._passes):
            await self._pass(operator)
        while not change.done():  # a successor waits for the end of the open round
            await self._pass(operator)
        await change
        for user in self.devices:
            self._check(week, user)

    @property
    def _middle(self) -> int:
        return len(self._history.catalogues) // 2

    async def _change(self, operator: Operator, week: int) -> None:
        items = self._history.catalogues[week]
        if week == 0:
            await operator.create(self._bundle(0))
        elif week == self._middle:
            await operator.recreate(items)
        else:
            await operator.replace(items)

    async def _pass(self, operator: Operator, most: int = _MANY) -> None:
        """Lets each device that is there sync once, in an order drawn anew, until so many rounds are committed."""
        for user in self._rng.permutation(self._present).tolist():
            if await operator.rounds() >= most:
                return
            await self.devices[user].sync(operator.transport)

    def _device(self, user: int) -> Device:
        self.devices[user] = device = Device(self._folder / "devices" / str(user), self._engine)
        return device

    def _bundle(self, week: int) -> Bundle:
        items, plan = self._history.catalogues[week], plan_of(self._model, {})
        return export.build(self._model, items, plan, self._seed, WIDTHS[self._model], training=False)

    def _check(self, week: int, user: int) -> None:
        device = self.devices[user]
        device.check()
        self.faults += [f"week {week}, device {user}: {fault}" for fault in device.faults]
        self.carried += device.carried
        device.faults, device.carried = [], 0

    def _figures(self, shown: int | None, week: int, rounds: int) -> Figures:
        new = self._history.fresh(week)
        items = self._history.catalogues[week]
        old = set(items) - new
        return Figures(shown, len(self._present), len(items), rounds, self._ndcg(old), self._ndcg(new))

    def _ndcg(self, candidates: set[str]) -> float:
        """The mean over the devices for which some candidates are held out; NaN without any."""
        values = list(self._gains(candidates))
        return float(np.mean(values)) if values else float("nan")

    def _gains(self, candidates: set[str]) -> Iterator[float]:
        for user in self._present:
            relevant = self._history.users[user].held & candidates
            if relevant:
                yield _gain(self.devices[user].recommend(candidates), relevant)


def _gain(recommended: Sequence[str], relevant: frozenset[str]) -> float:
    gains = 1 / np.log2(np.arange(2, K + 2))
    reached = sum(gain for gain, item in zip(gains, recommended, strict=False) if item in relevant)
    return float(reached / gains[: len(relevant)].sum())
