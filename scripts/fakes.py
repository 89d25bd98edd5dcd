"""Measures how many of 10,000 fake check-ins get a place in a round, by the evidence that a coordinator asks for.

`python -m scripts.fakes` prints a table. The fakes belong to somebody who has ten accounts, or ten certificates, and
tries each of them again and again. The round has room for all of them.
"""

import argparse
import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory

from coordinator.bench.accounts import AUDIENCE, ISSUER, Accounts
from coordinator.bench.workload import Model
from coordinator.engine.coordinator import Coordinator
from coordinator.evidence.anybody import Anybody
from coordinator.evidence.certificates import Certificates
from coordinator.evidence.provider import Provider
from coordinator.evidence.tokens import tokens
from coordinator.model.caller import CALLER, Caller
from fedau2.v1.admin_pb2 import CreateTaskRequest
from fedau2.v1.device_pb2 import Admission, AdmissionKey, AdmitRequest, CheckInRequest
from fedau2.wire import blind
from fedau2.wire.status import StatusError

_ACCOUNTS = 10
_CALLERS = 64
_MODEL = Model("fakes", {"items": 4}, {}, 2)


async def _places(folder: Path, provider: Provider | None, evidence: list[bytes], count: int) -> int:
    """Returns the number of places that fakes get."""
    numbers = iter(range(count))

    async def fakes(coordinator: Coordinator) -> int:
        return sum([await _fake(coordinator, number, evidence[number % len(evidence)]) for number in numbers])

    async with await Coordinator.open(folder, evidence=provider) as coordinator:
        await coordinator.admin.create_task(_requests())
        return sum(await asyncio.gather(*(fakes(coordinator) for _ in range(_CALLERS))))


async def _fake(coordinator: Coordinator, number: int, evidence: bytes) -> bool:
    """Makes one check-in, with an admission if one is asked for and given; returns whether it got a place."""
    CALLER.set(Caller("192.0.2.1", f"CN=phone-{number % _ACCOUNTS}"))
    request = CheckInRequest(population=_MODEL.name)
    response = await coordinator.devices.check_in(request)
    if response.rejection.HasField("admission"):
        admission = await _admitted(coordinator, response.rejection.admission, evidence)
        if admission is None:
            return False
        request.admission.CopyFrom(admission)
        response = await coordinator.devices.check_in(request)
    return response.HasField("assignment")


async def _requests() -> AsyncIterator[CreateTaskRequest]:
    for request in _MODEL.task():
        yield request


async def _admitted(coordinator: Coordinator, key: AdmissionKey, evidence: bytes) -> Admission | None:
    blinded = blind.blind(key.modulus, bytes(32))
    request = AdmitRequest(population=_MODEL.name, key=key, evidence=evidence, blinded=blinded.blinded)
    try:
        response = await coordinator.devices.admit(request)
    except StatusError:
        return None
    return Admission(message=blinded.message, signature=blind.finish(blinded, response.signature))


def main() -> None:
    """Measures, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check-ins", type=int, default=10_000)
    count = parser.parse_args().check_ins
    with TemporaryDirectory() as name:
        folder = Path(name)
        accounts = Accounts(folder / "jwks.json")
        by_token = tokens(accounts.path, ISSUER, AUDIENCE)
        known = [accounts.token(f"account-{number}") for number in range(_ACCOUNTS)]
        ways: dict[str, tuple[Provider | None, list[bytes]]] = {
            "no admissions": (None, [b""]),
            "token, made up": (by_token, [b"made up"]),
            "token, ten accounts": (by_token, known),
            "certificate, ten": (Certificates(), [b""]),
            "open": (Anybody(), [b""]),
        }
        print(f"{'evidence':22}{'check-ins':>10}{'places':>8}{'seconds':>9}")
        for number, (way, (provider, evidence)) in enumerate(ways.items()):
            begun = time.perf_counter()
            places = asyncio.run(_places(folder / str(number), provider, evidence, count))
            print(f"{way:22}{count:10}{places:8}{time.perf_counter() - begun:9.0f}", flush=True)


if __name__ == "__main__":
    main()
