"""Bad input: a typed error that says what was wrong, nothing changed, and the round goes on to the same bytes."""

import asyncio

import numpy as np
import pytest

from coordinator import errors
from fedau2.v1.device_pb2 import UploadContributionRequest, UploadHeader
from fedau2.v1.tensors_pb2 import DTYPE_UNSPECIFIED, Contribution
from fedau2.wire import contributions
from fedau2.wire.contributions import Rows
from fedau2.wire.status import Status
from tests.coordinator.refusals import refused, undisturbed


def edited(tools, edit):
    message = Contribution.FromString(tools.make_contribution(0))
    edit({tensor.name: tensor for tensor in message.tensors}, message)
    return message.SerializeToString(deterministic=True)


def with_value(tools, name, value):
    updates = tools.make_updates(0)
    (updates[name].values if isinstance(updates[name], Rows) else updates[name]).flat[1] = value
    return contributions.encode(updates)


def with_rows(tools, *rows):
    values = np.ones((len(rows), 4), np.float32)
    return contributions.encode({**tools.make_updates(0), "items": Rows(np.array(rows), values)})


def renamed(tensors, message):
    tensors["items"].name = "item_bias"


def private(tensors, message):
    tensors["tower"].name = "user"


def reshaped(tensors, message):
    tensors["tower"].shape[:] = [2, 3]


def of_another_dtype(tensors, message):
    tensors["tower"].dtype = DTYPE_UNSPECIFIED


def twice(tensors, message):
    message.tensors.append(tensors["tower"])


def truncated_values(tensors, message):
    tensors["tower"].dense = tensors["tower"].dense[:-4]


def rows_of_a_dense_tensor(tensors, message):
    tensors["tower"].rows.CopyFrom(tensors["items"].rows)


CONTRIBUTIONS = {
    "wrong name": (lambda tools: edited(tools, renamed), "no tensor 'item_bias'"),
    "private tensor": (lambda tools: edited(tools, private), "no tensor 'user'"),
    "wrong shape": (lambda tools: edited(tools, reshaped), "tower: shape"),
    "wrong dtype": (lambda tools: edited(tools, of_another_dtype), "tower: dtype"),
    "tensor twice": (lambda tools: edited(tools, twice), "not sorted and unique"),
    "bytes missing": (lambda tools: edited(tools, truncated_values), "tower: 20 bytes"),
    "rows of a dense tensor": (lambda tools: edited(tools, rows_of_a_dense_tensor), "tower: a body"),
    "wrong row": (lambda tools: with_rows(tools, 0, 6), "items: row 6"),
    "duplicate row": (lambda tools: with_rows(tools, 2, 2), "items: rows are repeated"),
    "unsorted rows": (lambda tools: with_rows(tools, 3, 2), "items: rows are repeated or not in order"),
    "NaN": (lambda tools: with_value(tools, "tower", np.nan), "tower: a value is not finite"),
    "NaN in a row": (lambda tools: with_value(tools, "items", np.nan), "items: a value is not finite"),
    "infinity": (lambda tools: with_value(tools, "tower", -np.inf), "tower: a value is not finite"),
    "too large": (lambda tools: with_value(tools, "items", 3e6), "beyond"),
    "no message": (lambda tools: b"\xff" * 100, "not a Contribution"),
    "nothing": (lambda tools: b"", "no tensor"),
}


def test_a_contribution_that_does_not_fit_is_refused(tools, tmp_path, transport):
    async def main():
        async with undisturbed(tools, tmp_path / "lab", transport) as lab:
            for make, match in CONTRIBUTIONS.values():
                await refused(lab.upload(lab.lease, make(tools)), Status.INVALID_ARGUMENT, match)
                await lab.unchanged()
            assert lab.coordinator.devices.refusals == {"InvalidContributionError": len(CONTRIBUTIONS)}

    asyncio.run(main())


def test_bytes_that_differ_from_the_header_are_refused(tools, tmp_path, transport):
    data = tools.make_contribution(1)

    async def main():
        async with undisturbed(tools, tmp_path / "lab", transport) as lab:
            for header, match in [
                ({"sha256": bytes(32)}, "damaged"),
                ({"size": len(data) - 1}, "more bytes than the declared"),
            ]:
                await refused(lab.upload(lab.lease, data, **header), Status.INVALID_ARGUMENT, match)
            # Not final for a device: a proxy may end the stream of one that has more bytes to send.
            longer = lab.upload(lab.lease, data, size=len(data) + 1)
            await refused(longer, Status.UNAVAILABLE, f"ended before its {len(data) + 1} bytes")

    asyncio.run(main())


def test_a_declared_size_over_the_limit_is_refused_before_a_byte_is_taken(tools, tmp_path):
    async def greedy(assignment):
        header = UploadHeader(assignment_id=assignment.assignment_id, size=10**9, sha256=bytes(32))
        yield UploadContributionRequest(header=header)
        raise AssertionError("a byte was asked for")

    async def main():
        async with undisturbed(tools, tmp_path / "lab") as lab:
            await refused(lab.link.upload_call(greedy(lab.lease)), Status.RESOURCE_EXHAUSTED, "10+ bytes declared")
            assert lab.coordinator.devices.refusals == {"TooLargeError": 1}

    asyncio.run(main())


def test_a_declared_size_over_the_limit_is_refused_over_grpc(tools, tmp_path):
    async def main():
        async with undisturbed(tools, tmp_path / "lab", "grpc") as lab:
            await refused(lab.upload(lab.lease, b"x", size=10**9), Status.RESOURCE_EXHAUSTED, "bytes declared")

    asyncio.run(main())


def test_an_upload_must_begin_with_its_header_and_have_one_only(tools, tmp_path, transport):
    async def stream(*requests):
        for request in requests:
            yield request

    async def main():
        async with undisturbed(tools, tmp_path / "lab", transport) as lab:
            header = await anext(tools.upload_requests(lab.lease.assignment_id, b"data"))
            short = UploadContributionRequest(header=UploadHeader(assignment_id=b"id", sha256=b"short"))
            data = UploadContributionRequest(data=b"data")
            for requests, match in [
                ((), "begins with a header"),
                ((data,), "begins with a header"),
                ((short,), "32 bytes"),
                ((header, header), "data only"),
            ]:
                await refused(lab.link.upload_call(stream(*requests)), Status.INVALID_ARGUMENT, match)

    asyncio.run(main())


def test_an_unknown_assignment_is_not_found(tools, tmp_path, transport):
    async def main():
        async with undisturbed(tools, tmp_path / "lab", transport) as lab:
            for unknown in (b"x" * 16, b""):
                upload = lab.link.upload_call(tools.upload_requests(unknown, tools.make_contribution(1)))
                await refused(upload, Status.NOT_FOUND, "no such assignment")
            lab.lease.assignment_id, kept = bytes(16), lab.lease.assignment_id
            await refused(lab.fail(lab.lease), Status.NOT_FOUND, "no such assignment")
            lab.lease.assignment_id = kept

    asyncio.run(main())


def test_another_contribution_for_the_same_assignment_is_refused(tools, tmp_path, transport):
    async def main():
        async with undisturbed(tools, tmp_path / "lab", transport) as lab:
            other = lab.upload(lab.reported, tools.make_contribution(9))
            await refused(other, Status.ALREADY_EXISTS, "another contribution")
            await refused(lab.fail(lab.reported), Status.ALREADY_EXISTS, "reported already")
        assert lab.coordinator.devices.refusals == {"DifferentContributionError": 1}

    asyncio.run(main())


def test_an_expired_assignment_comes_too_late_and_is_told_when_to_come_back(tools, tmp_path, transport):
    async def main():
        async with tools.open_lab(tmp_path, transport, clock := tools.Clock()) as lab:
            task_id = await lab.create()
            late = await lab.assignment()
            clock.now += 100
            for call in (lab.upload(late, tools.make_contribution(0)), lab.fail(late)):
                error = await refused(call, Status.DEADLINE_EXCEEDED, "lease is over")
                assert error.retry.delay_max.seconds > 0
            task = await lab.task(task_id)
            assert (task.reported, task.live_leases) == (0, 0)
            await lab.contribute([0, 1, 2])
            assert (await lab.committed(task_id, 1)).round == 1

    asyncio.run(main())


def test_a_lease_that_ends_while_the_bytes_come_is_over(tools, tmp_path):
    async def slow(clock, assignment):
        async for request in tools.upload_requests(assignment.assignment_id, tools.make_contribution(0)):
            yield request
            clock.now += 100

    async def main():
        async with tools.open_lab(tmp_path, clock=(clock := tools.Clock())) as lab:
            task_id = await lab.create()
            upload = lab.link.upload_call(slow(clock, await lab.assignment()))
            await refused(upload, Status.DEADLINE_EXCEEDED, "lease is over")
            task = await lab.task(task_id)
            assert (task.reported, task.live_leases) == (0, 0)

    asyncio.run(main())


@pytest.mark.parametrize("closed", [False, True], ids=["round open", "round committed"])
def test_an_upload_that_stalls_is_ended_with_its_lease(tools, tmp_path, transport, closed):
    async def stalled(assignment):
        requests = tools.upload_requests(assignment.assignment_id, tools.make_contribution(0))
        yield await anext(requests)
        yield UploadContributionRequest(data=(await anext(requests)).data[:9])
        await asyncio.Event().wait()

    async def main():
        async with tools.open_lab(tmp_path, transport, clock := tools.Clock()) as lab:
            task_id = await lab.create()
            upload = asyncio.create_task(lab.link.upload_call(stalled(await lab.assignment())))
            while not lab.coordinator.devices.receiving:
                await asyncio.sleep(0.001)
            if closed:
                await lab.contribute([0, 1, 2])
                await lab.committed(task_id, 1)
            clock.now += 100
            error = await refused(upload, Status.DEADLINE_EXCEEDED, "lease is over")
            assert error.retry.delay_max.seconds > 0
            assert lab.coordinator.devices.receiving == 0
            await lab.contribute([0, 1, 2])
            await lab.committed(task_id, 1 + closed)

    asyncio.run(main())


def test_an_assignment_that_was_given_back_cannot_be_reported(tools, tmp_path, transport):
    async def main():
        async with tools.open_lab(tmp_path, transport) as lab:
            task_id = await lab.create()
            assignment = await lab.assignment()
            for _ in range(2):  # every call may be repeated
                response = await lab.fail(assignment)
                assert response.next_check_in.delay_max.seconds > 0
            upload = lab.upload(assignment, tools.make_contribution(0))
            await refused(upload, Status.FAILED_PRECONDITION, "given back")
            await lab.contribute([0, 1, 2])
            await lab.committed(task_id, 1)
            upload = lab.upload(assignment, tools.make_contribution(0))
            await refused(upload, Status.FAILED_PRECONDITION, "given back")
            await lab.fail(assignment)

    asyncio.run(main())


def test_a_round_that_is_closed_sends_its_late_devices_to_the_next(tools, tmp_path, transport):
    async def main():
        async with tools.open_lab(tmp_path, transport) as lab:
            task_id = await lab.create()
            late = await lab.assignment()
            await lab.contribute([0, 1, 2])
            error = await refused(lab.upload(late, tools.make_contribution(3)), Status.ABORTED, "has its contributions")
            assert error.retry.delay_max.seconds > 0
            before = await lab.committed(task_id, 1)
            await refused(lab.upload(late, tools.make_contribution(3)), Status.ABORTED, "has its contributions")
            await refused(lab.fail(late), Status.ABORTED, "has its contributions")
            assert await lab.task(task_id) == before

    asyncio.run(main())


@pytest.mark.parametrize("name", ["", "x" * 129])
def test_a_population_must_have_a_name(tools, tmp_path, transport, name):
    async def main():
        async with tools.open_lab(tmp_path, transport) as lab:
            await refused(lab.check_in(name), Status.INVALID_ARGUMENT, "128 bytes")

    asyncio.run(main())


def test_a_blob_must_be_there_and_the_offset_in_it(tools, tmp_path, transport):
    async def main():
        async with undisturbed(tools, tmp_path / "lab", transport) as lab:
            checkpoint = lab.lease.checkpoint
            await refused(lab.fetch(bytes(32)), Status.NOT_FOUND, "is served")
            await refused(lab.fetch(b"../secret"), Status.INVALID_ARGUMENT, "SHA-256")
            beyond = lab.fetch(checkpoint.sha256, offset=checkpoint.size + 1)
            await refused(beyond, Status.INVALID_ARGUMENT, "beyond the blob's")
            assert await lab.fetch(checkpoint.sha256, offset=checkpoint.size) == b""

    asyncio.run(main())


def test_an_unknown_task_is_not_found(tools, tmp_path, transport):
    async def main():
        async with tools.open_lab(tmp_path, transport) as lab:
            await refused(lab.task("nothing"), Status.NOT_FOUND, "no task 'nothing'")

    asyncio.run(main())


def test_every_refusal_has_its_place_in_the_tree_and_a_status():
    found, queue = [], [errors.RefusalError]
    while queue:
        for kind in queue.pop().__subclasses__():
            assert kind.__name__ in errors.__doc__
            assert kind("why").status == kind.code
            line = next(line for line in errors.__doc__.splitlines() if f" {kind.__name__} " in line)
            assert kind.code.name in line
            found.append(kind)
            queue.append(kind)
    assert len(found) == 22
