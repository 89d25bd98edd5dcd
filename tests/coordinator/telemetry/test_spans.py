"""Spans of a real round: every call and the round's phases, with the allowed attributes and nothing of a device."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest

pytest.importorskip("opentelemetry.sdk", reason="the extra otel is not installed")

import grpc
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from coordinator.engine.coordinator import Coordinator
from coordinator.grpc.server import Servers
from coordinator.metrics.round_end import RoundEnd
from coordinator.telemetry.spans import CALL, ROUND, Spans
from coordinator.web.server import WebServer
from fedau2.v1.admin_pb2 import SkipRoundRequest
from fedau2.wire.status import StatusError
from tests.coordinator import conftest as tools
from tests.coordinator import hidden
from tests.coordinator.web.caller import OverWeb

SECRET = "secret-of-a-device"


@pytest.fixture
def exporter():
    return InMemorySpanExporter()


@pytest.fixture
def spans(exporter):
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return Spans(provider.get_tracer("test"))


@asynccontextmanager
async def traced(folder, spans):
    async with await Coordinator.open(folder, clock=tools.Clock()) as coordinator:
        coordinator.metrics.followers.append(spans.round)
        servers = await Servers.start("127.0.0.1:0", "127.0.0.1:0", observe=spans.call)
        web = await WebServer.start("127.0.0.1:0", servers.answers, observe=spans.call)
        try:
            await servers.serve(coordinator)
            async with tools.connect(servers.devices, servers.admin) as lab:
                lab.address = servers.devices
                lab.web = tools.Lab(OverWeb(web.address, coordinator))
                yield lab
        finally:
            await web.stop()
            await servers.stop()


def test_a_real_round_has_the_allowed_attributes_alone(tmp_path, exporter, spans):
    sent = []

    async def run():
        async with traced(tmp_path, spans) as lab:
            task_id = await lab.create(tools.make_bundle(rounds=1))
            places = [await lab.assignment(), await lab.web.assignment(), await lab.assignment()]
            await lab.fetch(places[0].checkpoint.sha256)
            await lab.web.fetch(places[0].checkpoint.sha256)
            with pytest.raises(StatusError):
                await lab.upload(places[0], SECRET.encode())
            with pytest.raises(StatusError):
                await lab.check_in(population="\x1b" + SECRET * 10)
            for seed, (place, link) in enumerate(zip(places, (lab, lab.web, lab), strict=True)):
                sent.append(tools.make_contribution(seed))
                await link.upload(place, sent[-1]) if link is lab else await link.part(place, sent[-1])
            await lab.committed(task_id, 1)
            return task_id, [place.assignment_id for place in places]

    task_id, leases = asyncio.run(run())
    made = exporter.get_finished_spans()
    calls = [span for span in made if span.attributes and "rpc.method" in span.attributes]
    rest = [span for span in made if span not in calls]
    assert {name for span in calls for name in span.attributes} == set(CALL)
    assert {name for span in rest for name in span.attributes} == set(ROUND)
    assert not any(span.events or span.links for span in made)
    by_method = {(span.attributes["rpc.method"], span.attributes["fedau2.status"]) for span in calls}
    assert by_method >= {
        ("CreateTask", "OK"),
        ("CheckIn", "OK"),
        ("CheckIn", "INVALID_ARGUMENT"),
        ("FetchResource", "OK"),
        ("UploadContribution", "OK"),
        ("UploadContribution", "INVALID_ARGUMENT"),
        ("UploadPart", "OK"),
    }
    text = json.dumps([json.loads(span.to_json()) for span in made])
    assert task_id in text
    for hidden_text in (SECRET, "127.0.0.1", "movie-", "gender", *(lease.hex() for lease in leases)):
        assert hidden_text not in text


def test_a_round_has_its_phases_within_it(exporter, spans):
    end = RoundEnd("t", "movies", 4, 1, 30, True, 100.0, 160.5, 170.0, 171.0, False)
    spans.round(end)
    spans.round(RoundEnd("t", "movies", 5, 0, 2, False, 100.0, 0.0, 150.0, 151.0, True))
    *phases, whole = exporter.get_finished_spans()[:4]
    lasted = {span.name: (span.end_time - span.start_time) / 1e9 for span in (whole, *phases)}
    assert lasted == {"round": 71.0, "collecting": 60.5, "opening": 9.5, "committing": 1.0}
    assert {span.parent.span_id for span in phases} == {whole.context.span_id}
    assert whole.parent is None
    names = [span.name for span in exporter.get_finished_spans()[4:]]
    assert names == ["collecting", "giving up", "round"]
    assert exporter.get_finished_spans()[-1].attributes["fedau2.outcome"] == "skipped"


def test_what_callers_say_of_traces_is_not_read(tmp_path, exporter, spans):
    async def run():
        async with traced(tmp_path, spans) as lab:
            await lab.link.check_in_call(tools.CheckInRequest(population="movies"))
            shown = (("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),)
            async with grpc.aio.insecure_channel(lab.address) as channel:
                stub = tools.device_pb2_grpc.DeviceServiceStub(channel)
                await stub.CheckIn(tools.CheckInRequest(population="movies"), metadata=shown)

    asyncio.run(run())
    assert [span.parent for span in exporter.get_finished_spans()] == [None, None]


def test_an_unforeseen_error_is_an_error_and_its_text_is_not_kept(exporter, spans):
    for error in (ZeroDivisionError(SECRET), asyncio.CancelledError(SECRET)):
        with pytest.raises(type(error)), spans.call("Service", "Method"):
            raise error
    broken, gone = exporter.get_finished_spans()
    assert (broken.attributes["fedau2.status"], broken.attributes["fedau2.error"]) == ("INTERNAL", "ZeroDivisionError")
    assert (gone.attributes["fedau2.status"], broken.status.is_ok, gone.status.is_ok) == ("CANCELLED", False, True)
    assert SECRET not in broken.to_json() + gone.to_json()


def test_a_round_with_secure_sums_that_is_given_up(tmp_path, exporter, spans):
    party = hidden.Party(tmp_path / "unmasker")

    async def run():
        async with hidden.running(tmp_path / "coordinator", party) as cohort:
            cohort.lab.coordinator.metrics.followers.append(spans.round)
            task = await cohort.lab.only_task()
            await cohort.lab.coordinator.admin.skip_round(SkipRoundRequest(task_id=task.task_id, round=0))

    asyncio.run(run())
    assert [span.name for span in exporter.get_finished_spans()] == ["collecting", "opening", "giving up", "round"]
