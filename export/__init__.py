"""Builds task bundles: from a recommender, its items and a plan to a manifest, a checkpoint and ONNX graphs.

* `bundle`: the bundle itself: build, write, read
* `plan`: the plan language: its schema, its defaults, plan files, and the messages of tasks
* `exporter`: makes ONNX graphs without weights of PyTorch functions
* `graphs`: the graphs that recommend; `step`: the graph that trains
* `parity`: compares the training graph with the kernel
* `signing`: publishers' keys and signatures
* `sums`: policies of secure sums
* `verify`: checks a bundle and compares its graphs with PyTorch
* `describe`: prints a bundle
* `cli`: `fedau2-export`

The public names are imported when they are first used.

>>> import export
>>> plan = export.complete({"model.name": "fedncf", "local.negatives": 8})
>>> plan.local.negatives, plan.server.shared.learning_rate
(8, 0.003)
"""

from typing import TYPE_CHECKING

from export.errors import ExportError
from fedau2.lazy import exports

if TYPE_CHECKING:
    from export.bundle import Bundle, build, from_plan, read, write
    from export.items import read_items
    from export.plan.planfile import complete
    from export.plan.schema import Plan
    from export.signing import keygen, sign
    from export.successor import succeed

__all__ = [
    "Bundle",
    "ExportError",
    "Plan",
    "build",
    "complete",
    "from_plan",
    "keygen",
    "read",
    "read_items",
    "sign",
    "succeed",
    "write",
]

_MODULES = {
    **dict.fromkeys(("Bundle", "build", "from_plan", "read", "write"), "bundle"),
    "Plan": "plan.schema",
    "complete": "plan.planfile",
    **dict.fromkeys(("keygen", "sign"), "signing"),
    "read_items": "items",
    "succeed": "successor",
}

__getattr__, __dir__ = exports(__name__, _MODULES, __all__)
