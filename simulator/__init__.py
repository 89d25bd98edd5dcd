"""Trains and attacks whole populations of simulated devices, and measures what a recommender gives away.

* `config`: a run's configuration, presets, and command-line flags
* `datasets`: data sets, their cuts, and what is held out
* `population`: the simulated clients and their private state
* `unlearning`: erasure after training, and baselines with noise
* `engines`: what trains a round: batched columns of clients, or a fleet of SDK instances
* `evaluation`: ranking of held-out items, and attackers of attributes
* `attacks`: attacks on contributions, and those that a recommender declares for itself
* `reporting`: plots, HTML reports, progress, and trackers
* `experiment`: one run, from its configuration to its results
* `audit`: the leakage audit
* `reproduce`: the experiments of the paper
* `bench`: what a client costs
* `api`: the simulator in Python
* `commands`: `fedau2-sim`

The public names are imported when they are first used.

>>> from simulator import Config, load_dataset
>>> config = Config.of({"data.dataset": "synthetic", "data.users": 40, "engine.rounds": 2})
>>> config.engine.rounds, config.plan.adversary.head
(2, 'dsvae')
>>> len(load_dataset("synthetic", users=40, items=120).histories())
40
"""

from typing import TYPE_CHECKING

from fedau2.lazy import exports

if TYPE_CHECKING:
    from simulator.api.result import Result
    from simulator.api.running import load, run, train_alone
    from simulator.config.config import Config
    from simulator.datasets.attributes import Attribute
    from simulator.datasets.dataset import Dataset
    from simulator.datasets.load import load_dataset
    from simulator.errors import SimulatorError

__all__ = ["Attribute", "Config", "Dataset", "Result", "SimulatorError", "load", "load_dataset", "run", "train_alone"]

_MODULES = {
    "Attribute": "datasets.attributes",
    "Config": "config.config",
    "Dataset": "datasets.dataset",
    "Result": "api.result",
    "SimulatorError": "errors",
    "load": "api.running",
    "load_dataset": "datasets.load",
    "run": "api.running",
    "train_alone": "api.running",
}

__getattr__, __dir__ = exports(__name__, _MODULES, __all__)
