"""Data sets: turns original files into a `Dataset`, and splits it. `load` finds, downloads or generates one by name.

* `dataset`, `attributes`: `Dataset` and `Attribute`, the form that every data set is read into
* `load`, `places`: finds a data set by name and applies the cuts that a configuration asks for
* `movielens`, `movielens1m`, `movielens_csv`, `lastfm`: readers of the original files
* `recbole`, `columns`: reads the user's data from RecBole's atomic files
* `importing`, `folders`: makes such files of tables with separators, whole or not at all
* `saving`, `class_lists`: what can be saved; the classes of attributes in order
* `synthetic`: generates a data set with a known dependence on an attribute
* `cuts`: the k-core, equally large classes, and a rarer minority
* `split`: the items held out for validation and test, and their candidates
* `download`, `files`, `encodings`: downloads archives, checks files and decodes text
* `table`, `ids`, `times`: reads large tables in bounded memory
"""

from simulator.datasets.attributes import Attribute
from simulator.datasets.dataset import Dataset
from simulator.datasets.load import load_dataset as load
from simulator.datasets.places import SOURCES, fetch_known, find, names

__all__ = ["SOURCES", "Attribute", "Dataset", "fetch_known", "find", "load", "names"]
