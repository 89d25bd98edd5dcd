"""The round's log: what was synced comes back, and what is damaged is seen."""

from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.errors import LogError
from coordinator.store.round_log import RoundLog
from fedau2.wire.blobs import sha256


@pytest.fixture
def log(tmp_path):
    (tmp_path / "log").mkdir()
    log = RoundLog(tmp_path / "log")
    yield log
    log.close()


def append(log, payload, owner="task-0"):
    return log.append(owner, payload, sha256(payload))


@given(payloads=st.lists(st.binary(max_size=200), min_size=1, max_size=8), data=st.data())
def test_every_record_comes_back_whatever_the_order(tmp_path_factory, payloads, data):
    owners = data.draw(st.lists(st.sampled_from(["a-0", "b-3"]), min_size=len(payloads), max_size=len(payloads)))
    with closing(RoundLog(tmp_path_factory.mktemp("log"))) as log:
        locations = [append(log, payload, owner) for payload, owner in zip(payloads, owners, strict=True)]
        log.sync()
        for payload, location in data.draw(st.permutations(list(zip(payloads, locations, strict=True)))):
            assert log.read(location, sha256(payload)) == payload


def test_a_torn_tail_harms_no_earlier_record_and_no_later_process(tmp_path):
    log = RoundLog(tmp_path)
    whole, torn = append(log, b"whole"), append(log, b"torn")
    log.sync()
    log.close()
    path = tmp_path / torn.segment
    path.write_bytes(path.read_bytes()[:-2])
    later = RoundLog(tmp_path)
    added = append(later, b"later")
    later.sync()
    assert added.segment != whole.segment
    assert later.read(whole, sha256(b"whole")) == b"whole"
    assert later.read(added, sha256(b"later")) == b"later"
    with pytest.raises(LogError, match="damaged"):
        later.read(torn, sha256(b"torn"))
    later.close()


def test_any_flipped_byte_of_a_record_is_seen(tmp_path):
    log = RoundLog(tmp_path)
    location = append(log, b"payload")
    log.sync()
    log.close()
    path = tmp_path / location.segment
    content = path.read_bytes()
    for position in range(len(content)):
        path.write_bytes(content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :])
        with pytest.raises(LogError, match="damaged"):
            log.read(location, sha256(b"payload"))


def test_a_segment_that_is_gone_is_a_log_error(log):
    location = append(log, b"payload")
    log.sync()
    log.drop("task-0")
    with pytest.raises(LogError, match="cannot be read"):
        log.read(location, sha256(b"payload"))


def test_dropping_a_round_leaves_the_others(log, tmp_path):
    one, other = append(log, b"one", "task-1"), append(log, b"other", "task-10")
    log.sync()
    log.drop("task-1")
    assert log.read(other, sha256(b"other")) == b"other"
    append(log, b"again", "task-1")
    log.sync()
    assert [path.name for path in log.orphans({"task-1"})] == [other.segment]
    assert [(segment.path.name, segment.task_id, segment.round) for segment in log.segments()] == [
        (one.segment, "task", 1),
        (other.segment, "task", 10),
    ]
