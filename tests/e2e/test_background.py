"""Background work against a real coordinator: several rounds, a constraint that ceases, and one that is met again."""

from queue import Queue
from threading import Event

from client_sdk import Constraints, DeviceState, FedClient, Uploaded, testing
from client_sdk.kernel.torch_engine import TorchEngine
from client_sdk.protocol.wishes import Result
from client_sdk.scheduling.background import SystemClock

_PATIENCE = 120


class Impatient(SystemClock):
    """A clock on which the coordinator's windows and all waits pass at once."""

    def __init__(self):
        self._ahead = 0.0

    def time(self):
        return super().time() + self._ahead

    def wait(self, event, seconds):
        self._ahead += seconds
        super().wait(event, min(seconds, 0.02))


class Unplugged:
    """An engine that sees the charger pulled within its first local step."""

    def __init__(self):
        self.charging, self.pulled, self._engine = True, Event(), TorchEngine()

    def begin(self, job):
        training = self._engine.begin(job)
        if not self.pulled.is_set():
            self.charging = False
            self.pulled.set()
        return training

    def device_state(self):
        return DeviceState(charging=self.charging)


def test_it_trains_round_after_round_and_goes_on_after_a_pause(tmp_path):
    items, engine, uploaded = [f"song-{number}" for number in range(30)], Unplugged(), Queue()
    with (
        testing.LocalCoordinator(items=items) as server,
        FedClient.open(tmp_path, server.address, server.population, engine=engine) as client,
    ):
        client.background._clock = clock = Impatient()
        client._core.syncs._clock = clock.time
        client.record_many(items[:5])
        client.events.subscribe(lambda event: uploaded.put(event) if isinstance(event, Uploaded) else None)
        client.background.start(Constraints(charging=True), device_state=engine.device_state)
        assert engine.pulled.wait(_PATIENCE)
        while client.status().background.unmet != ("charging",):
            Event().wait(0.02)
        assert uploaded.empty()
        assert client.status().last_sync.result == Result.INTERRUPTED
        assert server.rounds_committed() == 0  # the place was given back
        engine.charging = True
        rounds = [uploaded.get(timeout=_PATIENCE).round for _ in range(3)]
        client.background.stop()
        assert rounds == [0, 1, 2]
        server.wait_for_round(3)  # an acknowledgement comes before its round's commit
