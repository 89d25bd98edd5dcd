"""Data sets: original files in, `Dataset` out. `load` finds, fetches or generates one by name."""

from simulator.datasets.dataset import Attribute, Dataset
from simulator.datasets.load import NAMES, SOURCES, fetch_known, find, load

__all__ = ["NAMES", "SOURCES", "Attribute", "Dataset", "fetch_known", "find", "load"]
