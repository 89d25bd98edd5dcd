"""The second party of secure sums: enrols devices, makes the keys of rounds, and keeps a public log of both.

```python
from unmasker import Rules, StateFolder, Unmasker

with closing(Unmasker.open(StateFolder(Path("state")), Rules())) as unmasker:
    unmasker.status()
```

The packages, in this order; each may import only from those that are listed before it:

* `errors`: the tree of errors, and the status with which each refusal answers a call
* `store`: the state folder, the database, the log, holders of certificates, and rounds
* `evidence`: ways in which a device shows that it is one of the app's
* `engine`: the unmasker itself, and its two services on an event loop
* `grpc`: the two services over gRPC
* `commands`, `cli`: the command line `fedau2-unmasker`

Importing this package loads none of them: each is loaded when a name of it is first used.
"""

from typing import TYPE_CHECKING

from fedau2.lazy import exports

if TYPE_CHECKING:
    from unmasker.engine.unmasker import Rules, Unmasker
    from unmasker.errors import RefusalError, UnmaskerError
    from unmasker.store.books import Books
    from unmasker.store.state_folder import StateFolder

__all__ = ["Books", "RefusalError", "Rules", "StateFolder", "Unmasker", "UnmaskerError"]

_MODULES = {
    "Books": "store.books",
    "RefusalError": "errors",
    "Rules": "engine.unmasker",
    "StateFolder": "store.state_folder",
    "Unmasker": "engine.unmasker",
    "UnmaskerError": "errors",
}


__getattr__, __dir__ = exports(__name__, _MODULES, __all__)
