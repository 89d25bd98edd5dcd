"""Attacks count by split, and each counts whole when it has ended."""

from hypothesis import given
from hypothesis import strategies as st

from simulator.evaluation.attackers import trials
from simulator.experiment import attacking, run
from simulator.experiment.attack_progress import Splits
from tests.simulator.quiet import Quiet
from tests.simulator.runs import SMALL
from tests.simulator.settings import change

ATTACKS = st.lists(st.tuples(st.integers(1, 9), st.integers(0, 20)), max_size=6)


@given(ATTACKS)
def test_each_attack_counts_as_often_as_it_has_splits_whatever_it_says(attacks):
    seen = []
    counted = Splits(seen.append)
    for number, (splits, told) in enumerate(attacks):
        counted.begin(str(number), splits)
        for _ in range(told):
            counted.split()
        assert seen.count(str(number)) == min(told, splits - 1)  # the last one waits for the end
        counted.end()
    assert [seen.count(str(number)) for number in range(len(attacks))] == [splits for splits, _ in attacks]


class Recorded(Quiet):
    """Keeps what the attacks of a run count."""

    def start(self, what, total, done=0):
        self.total, self.seen = total, []

    def advance(self, text=""):
        self.seen.append(text)


def test_a_run_counts_the_splits_that_its_attackers_try(tmp_path, monkeypatch):
    monkeypatch.setattr("simulator.evaluation.attackers.SHUFFLES", 1)
    tried, attack = [], attacking.attack

    def counting(*given, **options):
        notify = options.pop("notify")
        return attack(*given, **options, notify=lambda: (tried.append(1), notify())[1])

    monkeypatch.setattr(attacking, "attack", counting)
    progress = Recorded()
    run.run(change(SMALL, head="none", rounds=1, attack_splits=3), tmp_path, None, progress)
    assert len(progress.seen) == progress.total
    on_states = [name for name in progress.seen if name in ("paper", "paper_all", "strong", "strong_all")]
    assert len(on_states) == len(tried) == 4 * trials(3)
