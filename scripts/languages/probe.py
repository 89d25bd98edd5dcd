"""One probe of the Python SDK.

It is called as `python -m scripts.languages.probe sync|recommend STATE_FOLDER COORDINATOR POPULATION`.
"""

import json
import resource
import sys
import time
from pathlib import Path

from client_sdk import FedClient


def main(probe: str, folder: str, coordinator: str, population: str) -> None:
    """Runs a probe and prints its figures: the time of its end, the seconds of the processor, and the most MiB."""
    with FedClient.open(folder, coordinator, population, personal_steps=None) as client:
        if probe == "sync":
            client.record_many([f"movie-{number}" for number in range(50)])
            client.set_attribute("gender", "F")
            client.sync()
        else:
            client.recommend(k=10)
        end = time.time()
    peak = Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"end": end, "processor": usage.ru_utime + usage.ru_stime, "mib": int(peak) / 1024}))


if __name__ == "__main__":
    main(*sys.argv[1:])
