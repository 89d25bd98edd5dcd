"""Runs a real coordinator with a small task, for the tests of an app that embeds the SDK.

```python
from client_sdk import FedClient, testing

with testing.LocalCoordinator(items=["song-1", "song-2", "song-3"], attribute="gender") as server:
    with FedClient.open(folder, server.address, server.population) as client:
        client.record("song-2")
        server.train(client)
        assert server.rounds_committed() == 1
        assert client.recommend(k=2)
```

It runs `fedau2-coordinator` as a child process on free loopback ports, so that any number of tests may run at once.
This needs more packages than a device, `pip install 'fedau2[coordinator]'`, and no PyTorch. It starts in about a
second.
"""

from client_sdk.testing.local_coordinator import LocalCoordinator

__all__ = ["LocalCoordinator"]
