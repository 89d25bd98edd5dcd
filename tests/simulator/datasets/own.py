"""Data sets of one's own, for tests."""

from hypothesis import HealthCheck, settings

from simulator.config.own_files import OwnFiles
from simulator.datasets import recbole

CALM = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
"""For properties that hold on a busy machine too."""

INTER = ["user_id:token\titem_id:token\ttimestamp:float", "u\tb\t2", "v\ta\t9", "u\ta\t1"]


def own(folder, inter=INTER, user=None, encoding="utf-8", name="shop"):
    """Writes atomic files into a folder of their name, and returns it."""
    folder = folder / name
    folder.mkdir(exist_ok=True, parents=True)
    for ending, lines in (("inter", inter), ("user", user)):
        if lines is not None:
            (folder / f"{name}.{ending}").write_bytes("\n".join(lines).encode(encoding))
    return folder


def read(folder, inter=INTER, user=None, **named):
    """Writes atomic files, and reads them."""
    return recbole.load(own(folder, inter, user), "shop", OwnFiles.of(**named))
