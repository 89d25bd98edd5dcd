"""Data sets: original files in, `Dataset` out. `load` finds, fetches or generates one by name."""

from simulator.datasets.dataset import Attribute, Dataset
from simulator.datasets.load import NAMES, load

__all__ = ["NAMES", "Attribute", "Dataset", "load"]
