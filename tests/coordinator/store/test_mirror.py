"""A disk with an object store: what lasts on the disk is in the store before anything rests on it."""

from contextlib import closing

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coordinator.errors import LogError, ObjectsError
from coordinator.store import object_files
from coordinator.store.disk import REAL
from coordinator.store.mirror import Mirror
from coordinator.store.objects import Objects
from coordinator.store.operations_log import OperationsLog, read
from coordinator.store.round_log import RoundLog
from fedau2.wire.blobs import sha256

NAMES = ["blobs/aa", "server-state/aa", "log/t-0.0", "log/t-1.0", "aside/log/t-0.0"]


@pytest.fixture
def open_store(tmp_path):
    pytest.importorskip("obstore", reason="the extra objects is not installed")
    made = iter(range(10000))

    def opened(url=None):
        number = next(made)
        folder = tmp_path / f"{number}" / f"{number:032x}"
        for part in ("blobs", "server-state", "log", "aside/log"):
            REAL.make_folder(folder / part)
        return Mirror(folder, Objects.open(url or f"file://{tmp_path}/objects-{number}"))

    return opened


def fetched(mirror, place):
    """The files as a successor reads them."""
    mirror.write_file(mirror.folder / "terms", b"")
    mirror.flush()
    object_files.fetch(mirror.objects, mirror.folder.name, place)
    files = {path.relative_to(place).as_posix(): path for path in place.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in files.items() if name not in ("id", "terms")}


STEPS = st.one_of(
    st.tuples(st.just("write_file"), st.sampled_from(NAMES), st.binary(max_size=8)),
    st.tuples(st.just("append"), st.sampled_from(NAMES[2:4]), st.binary(min_size=1, max_size=8)),
    st.tuples(st.just("delete"), st.sampled_from(NAMES)),
    st.tuples(st.just("rename"), st.just(NAMES[2]), st.just(NAMES[4])),
)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(STEPS, max_size=12))
def test_the_store_has_what_the_disk_has(open_store, tmp_path_factory, steps):
    mirror, known, opened = open_store(), {}, {}
    for step, name, *rest in steps:
        path = mirror.folder / name
        if step == "write_file" and name not in opened:
            mirror.write_file(path, rest[0])
            known[name] = rest[0]
        elif step == "append" and (name in opened or name not in known):
            if name not in opened:
                opened[name], known[name] = mirror.create(path), b""
            mirror.write(opened[name], rest[0])
            mirror.sync(opened[name])
            known[name] += rest[0]
        elif step == "delete":
            if name in opened:
                opened.pop(name).close()
            mirror.delete(path)
            known.pop(name, None)
        elif step == "rename" and name in known and name not in opened:
            mirror.rename(path, mirror.folder / rest[0])
            known[rest[0]] = known.pop(name)
    with closing(mirror):
        for file in opened.values():
            file.close()
        assert fetched(mirror, tmp_path_factory.mktemp("fetched") / "folder") == known


def test_a_transaction_waits_for_what_it_names(s3_url, s3_way, open_store, tmp_path):
    engine = sa.create_engine(f"sqlite:///{tmp_path}/ledger.sqlite")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (x)")

    def commit(mirror):
        with engine.connect() as connection:
            connection.exec_driver_sql("INSERT INTO t VALUES (1)")
            mirror.commit(connection)

    with closing(open_store(s3_url)) as mirror:
        s3_way.fail("refused", times=3)
        for name in ("aa", "bb"):
            mirror.write_file(mirror.folder / "blobs" / name, b"bytes")
        commit(mirror)
        assert set(object_files.listed(mirror.objects, mirror.folder.name)) == {"blobs/aa", "blobs/bb"}
        s3_way.fail("denied", path="cc")
        mirror.write_file(mirror.folder / "blobs" / "cc", b"bytes")
        for _ in range(2):  # it stays so: what the store has is not known any more
            with pytest.raises(ObjectsError):
                commit(mirror)
        with pytest.raises(ObjectsError):
            mirror.write_file(mirror.folder / "blobs" / "dd", b"bytes")
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM t").scalar_one() == 1
    engine.dispose()


def test_an_entry_of_the_operators_log_is_in_the_store_when_it_is_appended(open_store, tmp_path):
    with closing(open_store()) as mirror:
        with closing(OperationsLog.open(mirror.folder / "operations.log", mirror)) as log:
            log.append({"number": 1})
            (parts,) = object_files.listed(mirror.objects, mirror.folder.name).values()
            assert len(parts) == 1
            log.append({"number": 2})
        with closing(OperationsLog.open(mirror.folder / "operations.log", mirror)) as log:
            log.append({"number": 3})
        assert "operations.log" in fetched(mirror, tmp_path / "fetched")
    assert [entry["number"] for entry, _ in read(tmp_path / "fetched" / "operations.log")] == [1, 2, 3]


class Torn(Mirror):
    """Fails once, after a part of the bytes."""

    torn = False

    def write(self, file, data):
        if self.torn:
            self.torn = False
            file.write(data[:5])
            file.flush()
            raise OSError("the disk is full")
        super().write(file, data)


def test_an_entry_that_the_disk_refuses_is_in_neither(open_store, tmp_path):
    plain = open_store()
    with closing(plain), closing(Torn(plain.folder, plain.objects)) as mirror:
        with closing(OperationsLog.open(mirror.folder / "operations.log", mirror)) as log:
            log.append({"number": 1})
            mirror.torn = True
            with pytest.raises(OSError, match="full"):
                log.append({"number": 2})
            log.append({"number": 3})
        fetched(mirror, tmp_path / "fetched")
    assert [entry["number"] for entry, _ in read(tmp_path / "fetched" / "operations.log")] == [1, 3]


def test_a_batch_that_is_lost_is_damage_and_the_others_are_read(open_store, tmp_path):
    payloads = [b"first", b"second", b"third"]
    with closing(open_store()) as mirror:
        with closing(RoundLog(mirror.folder / "log", mirror)) as log:
            places = []
            for payload in payloads:
                places.append(log.append("task-0", payload, sha256(payload)))
                log.sync()
            mirror.flush()
        (parts,) = object_files.listed(mirror.objects, mirror.folder.name).values()
        assert len(parts) == 3
        mirror.objects.delete(parts[1].key)
        fetched(mirror, tmp_path / "fetched")
    with closing(RoundLog(tmp_path / "fetched" / "log")) as log:
        for number in (0, 2):
            assert log.read(places[number], sha256(payloads[number])) == payloads[number]
        with pytest.raises(LogError, match="is damaged"):
            log.read(places[1], sha256(payloads[1]))


def test_what_the_store_does_late_changes_nothing(open_store, tmp_path):
    """A request that was given up, and made again, has its effect after the file was removed or made anew."""
    with closing(open_store()) as mirror:
        path = mirror.folder / "blobs" / "aa"
        mirror.write_file(path, b"old")
        mirror.flush()
        ((old,),) = object_files.listed(mirror.objects, mirror.folder.name).values()
        mirror.write_file(path, b"new")
        mirror.flush()
        mirror.objects.put(old.key, b"old")
        mirror.objects.put(f"{mirror.folder.name}/blobs/notes", b"of an operator")
        assert fetched(mirror, tmp_path / "fetched") == {"blobs/aa": b"new"}
