import gzip

import pytest

from client_sdk.kernel.training import Task
from fedau2.wire import blobs
from simulator.evaluation import attackers
from tests.simulator.runs import prepared
from tests.simulator.settings import make

USERS = ["1|24|M|technician|85711", "2|53|F|other|94043", "3|30|M|writer|32067"]
ITEMS = ["1|Toy Story (1995)|rest", "2|GoldenEye (1995)|rest", "3|Four Rooms (1995)|rest", "4|Get Shorty (1995)|rest"]
DATA = ["1\t1\t5\t10", "2\t3\t1\t7", "1\t2\t3\t9", "3\t4\t2\t5", "1\t4\t3\t9", "2\t1\t4\t8"]


@pytest.fixture
def fewer(monkeypatch):
    """Attacks that tell nothing, and take no time."""
    monkeypatch.setattr(attackers, "SHUFFLES", 1)
    monkeypatch.setattr("simulator.attacks.dlg.STEPS", 2)
    monkeypatch.setattr("simulator.attacks.leakage.ROUNDS", (1, 2))


@pytest.fixture
def miniature(tmp_path):
    """Writes a folder in MovieLens 100K's format; lines may be replaced, files packed."""

    def write(users=USERS, items=ITEMS, data=DATA, packed=False, folder=tmp_path / "ml-100k"):
        folder.mkdir(exist_ok=True, parents=True)
        for name, lines in (("u.user", users), ("u.item", items), ("u.data", data)):
            content = ("\n".join(lines) + "\n").encode("latin-1")
            path = folder / (f"{name}.gz" if packed else name)
            path.write_bytes(gzip.compress(content) if packed else content)
        return folder

    return write


@pytest.fixture
def drawn(monkeypatch):
    """Figures in the order in which they would have been saved."""
    figures = []

    def save(figure, path, metadata):
        if path.suffix == ".png":
            figures.append(figure)

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", save)
    return figures


@pytest.fixture
def observed():
    """Makes an untrained task of a configuration, and its population of so many synthetic clients.

    It has one local step, whose contribution is a gradient, unless the settings say otherwise.
    """

    def task_of(users, **settings):
        config = make(dataset="synthetic", users=users, items=200, **{"steps": 1, **settings})
        _, bundle, population = prepared(config)
        checkpoint = blobs.unpack(bundle.blob(bundle.manifest.checkpoint))
        return Task.load(bundle.manifest, checkpoint), population

    return task_of
