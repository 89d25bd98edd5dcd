"""Checkpoints are offered in a smaller encoding too, if the operator says so."""

import asyncio

import pytest

from fedau2.v1.device_pb2 import REJECTION_REASON_PAUSED
from fedau2.v1.task_pb2 import CHECKPOINT_ENCODING_FLOAT16, CHECKPOINT_ENCODING_INT8
from fedau2.wire import blobs, encodings
from fedau2.wire.status import Status, StatusError


@pytest.fixture(autouse=True)
def _short_rows(monkeypatch):
    monkeypatch.setattr(encodings, "SHORT", 2)


async def offer(lab, message, encoding):
    """The encoded checkpoint of a message, after a comparison with the exact one."""
    assert message.encoded.encoding == encoding
    assert message.encoded.resource != message.checkpoint
    assert encodings.offered(message) == message.encoded.resource
    exact = blobs.unpack(await lab.fetch(message.checkpoint.sha256))
    data = blobs.check(await lab.fetch(message.encoded.resource.sha256), message.encoded.resource)
    assert data == encodings.encode(exact, encoding)
    return message.encoded


@pytest.mark.parametrize("encoding", [CHECKPOINT_ENCODING_FLOAT16, CHECKPOINT_ENCODING_INT8])
def test_every_version_is_offered_in_both_also_after_a_restart(tools, tmp_path, transport, encoding):
    def stored():
        return {path.name for path in (tmp_path / "blobs").iterdir()}

    async def main():
        async with tools.open_lab(tmp_path, transport) as lab:
            task_id = await lab.create(tools.make_bundle(closing=tools.closing(1), checkpoints=encoding))
            seen = [await offer(lab, await lab.assignment(), encoding)]
            await lab.contribute([0])
            await lab.committed(task_id, 1)
            seen.append(await offer(lab, await lab.assignment(), encoding))
        async with tools.open_lab(tmp_path, transport) as lab:
            task = await lab.task(task_id)
            assert task.checkpoint.sha256 == bytes.fromhex(tools.expected_checkpoint([[0]]).hex())
            assert task.encoded == seen[1]
            await lab.contribute([1])
            await lab.committed(task_id, 2)
            await lab.pause(task_id)
            rejection = (await lab.check_in()).rejection
            assert rejection.reason == REJECTION_REASON_PAUSED
            seen.append(await offer(lab, rejection.model, encoding))
        first, previous, newest = (encoded.resource.sha256.hex() for encoded in seen)
        assert {previous, newest} <= stored()
        assert first not in stored()

    asyncio.run(main())


def test_without_the_option_nothing_is_offered(tools, tmp_path):
    async def main():
        async with tools.open_lab(tmp_path) as lab:
            task_id = await lab.create()
            assignment = await lab.assignment()
            assert not assignment.HasField("encoded")
            assert not (await lab.task(task_id)).HasField("encoded")
            assert encodings.offered(assignment) == assignment.checkpoint

    asyncio.run(main())


def test_an_encoding_that_is_not_known_makes_no_task(tools, tmp_path, transport):
    async def main():
        async with tools.open_lab(tmp_path, transport) as lab:
            with pytest.raises(StatusError, match="checkpoint encoding 9 is not known") as refused:
                await lab.create(tools.make_bundle(checkpoints=9))
            assert refused.value.status == Status.INVALID_ARGUMENT

    asyncio.run(main())
