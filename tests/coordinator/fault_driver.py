"""Child process of `test_faults`: for each line on standard input, forks a coordinator that is killed at a step.

A line of JSON names the folder to work in and the fault; the answer is the signal that ended it, or 0.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

from tests.coordinator.faults import Fault, FaultyDisk, Kind, Life


def main():
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            live(Path(request["folder"]), Fault(request["step"], request["number"], Kind[request["kind"]]))
        _, status = os.waitpid(child, 0)
        print(os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0, flush=True)


def live(folder, fault):
    try:
        asyncio.run(Life(folder / "state", folder / "journal").run(FaultyDisk(fault)))
    finally:
        os._exit(0)


if __name__ == "__main__":
    main()
