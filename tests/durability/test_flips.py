"""A flipped bit anywhere in a state folder is found and refused, or repaired, or changes nothing."""

import asyncio
import signal

import pytest

from tests.coordinator import conftest as tools
from tests.durability.flips import Flips, Work
from tests.durability.server import Coordinator


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """A folder with two tasks in mid-round, whose coordinator was stopped once and then killed."""
    coordinator, work = Coordinator(tmp_path_factory.mktemp("killed")), Work()

    async def act(steps):
        async with tools.connect(*coordinator.addresses) as lab:
            await steps(lab)

    for steps, end in ((work.begin, signal.SIGTERM), (work.go_on, signal.SIGKILL)):
        coordinator.start()
        coordinator.await_serving()
        asyncio.run(act(steps))
        coordinator.end(end)
    assert (coordinator.state / "ledger.sqlite-wal").stat().st_size > 0
    return coordinator.state, work


def check(killed, count, seed, tmp_path, capsys):
    flips = Flips(*killed, tmp_path)
    flips.run(count, seed, capsys)
    with capsys.disabled():
        print(f"\n{flips}\n{flips.examples}")
    total = [sum(counts[outcome] for counts in flips.table.values()) for outcome in ("served wrongly", "traceback")]
    assert total == [0, 0], flips.examples
    for part in ("ledger, write-ahead log", "ledger, page sums"):  # the log has most pages of the main file too
        assert set(flips.table[part]) == {"refused"}


def test_a_flipped_bit_is_never_served(killed, tmp_path, capsys):
    check(killed, 27, 1, tmp_path, capsys)


@pytest.mark.slow
def test_five_hundred_flipped_bits_are_never_served(killed, tmp_path, capsys):
    check(killed, 500, 2, tmp_path, capsys)
