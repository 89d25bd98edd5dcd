"""URLs of a ledger: those of PostgreSQL may name several hosts, as PostgreSQL's own programs take them."""

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from coordinator.errors import LedgerError
from coordinator.store import database

HOST = st.from_regex(r"[a-z0-9][a-z0-9.-]{0,10}", fullmatch=True)
PORT = st.one_of(st.none(), st.integers(1, 65535))


def arguments(url):
    """What psycopg is given."""
    engine = sa.create_engine(url.set(drivername="postgresql+psycopg"))
    return engine.dialect.create_connect_args(url)[1]


@given(
    st.lists(st.tuples(HOST, PORT), min_size=2, max_size=4), st.sampled_from(["", "?target_session_attrs=read-write"])
)
def test_every_host_of_a_url_is_tried_with_its_port(places, query):
    listed = ",".join(host if port is None else f"{host}:{port}" for host, port in places)
    url = database.parse(f"postgresql://user:p%40ss@{listed}/ledger{query}")
    again = database.parse(url.render_as_string(hide_password=False))
    for named in (arguments(url), arguments(again)):
        assert named["host"] == ",".join(host for host, _ in places)
        assert named["port"] == ",".join("" if port is None else str(port) for _, port in places)
        assert (named["user"], named["password"], named["dbname"]) == ("user", "p@ss", "ledger")
        assert ("target_session_attrs" in named) == bool(query)


@pytest.mark.parametrize("url", ["postgresql://one:1,[::1]:2/ledger", "postgresql://one:x/ledger", "nothing"])
def test_what_is_no_url_is_an_error_of_the_ledger(url):
    with pytest.raises(LedgerError):
        database.parse(url)
