"""A former primary of PostgreSQL does not lead after a replica of it was promoted, nor a replica that lacks a term."""

import pytest

from coordinator.errors import LedgerError
from coordinator.store import terms, timelines
from coordinator.store.disk import REAL
from coordinator.store.ledger import Ledger
from coordinator.store.state_folder import StateFolder
from tests.coordinator.store.test_terms import contents, leading


def led(folder, lease):
    """Begins a term, and opens its ledger as a coordinator does."""
    term = terms.begin(folder, lease, REAL)
    ledger = Ledger(lease.term_url)
    state = StateFolder(term)
    with state.open(REAL):
        witness = state.join(ledger, REAL)
        witness.close()
        ledger.close()
    return term


@pytest.mark.parametrize(("server", "later", "refused"), [("", 1, True), ("", 0, False), ("9", 1, False)])
def test_a_later_timeline_of_the_same_server_is_refused(tmp_path, postgres_url, server, later, refused):
    with leading(postgres_url) as lease:
        term = led(tmp_path, lease)
        system, timeline = lease.timeline()
        (term / timelines.NAME).write_text(f"{system}{server} {timeline + later}\n")
    before = contents(tmp_path)
    with leading(postgres_url) as lease:
        if refused:
            with pytest.raises(
                LedgerError, match=f"former primary, on timeline {timeline}: .*on timeline {timeline + 1}"
            ):
                terms.begin(tmp_path, lease, REAL)
            assert contents(tmp_path) == before
        else:
            assert terms.begin(tmp_path, lease, REAL).is_dir()


def test_a_ledger_that_lacks_a_term_which_was_led_is_refused(tmp_path, postgres_url):
    """As it is in a replica that was promoted while the primary was used."""
    with leading(postgres_url) as lease:
        first = led(tmp_path, lease)
    with leading(postgres_url) as lease:
        second = led(tmp_path, lease)
        commits = StateFolder(second).witness(REAL).read()
        lease.move(second.name, first.name, commits)
    with leading(postgres_url) as lease:
        StateFolder(second).witness(REAL).make(commits + 2)
        before = contents(tmp_path)
        with pytest.raises(LedgerError, match=f"has {commits + 1} of the {commits + 2} .*{second.name}"):
            terms.begin(tmp_path, lease, REAL)
        assert contents(tmp_path) == before
        StateFolder(second).witness(REAL).make(commits)  # as if its leader had died before the ledger moved
        assert terms.begin(tmp_path, lease, REAL).is_dir()
