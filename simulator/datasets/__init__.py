"""Data sets: turns original files into a `Dataset`, and splits it. `load` finds, downloads or generates one by name.

* `dataset`: `Dataset` and `Attribute`, the form that every data set is read into
* `load`: finds a data set by name and applies the cuts that a configuration asks for
* `movielens`, `movielens1m`, `lastfm`: readers of the original files
* `recbole`: reads the user's data from RecBole's atomic files
* `synthetic`: generates a data set with a known dependence on an attribute
* `cuts`: the k-core, equally large classes, and a rarer minority
* `split`: the items held out for validation and test, and their candidates
* `download`, `files`, `table`: downloads archives, checks files, and reads large tables in bounded memory
"""

from simulator.datasets.dataset import Attribute, Dataset
from simulator.datasets.load import NAMES, SOURCES, fetch_known, find, load

__all__ = ["NAMES", "SOURCES", "Attribute", "Dataset", "fetch_known", "find", "load"]
