"""Refuses what plug-ins add under a name that figures of a run have, since one would replace the other unseen."""

from export.plan.fragments import flat
from fedau2 import plugins
from simulator.config.config import Config
from simulator.reporting import attacked, terminal

OF_RUNS = frozenset(
    {
        *("attacks", "configuration", "delta", "epsilon", "groups", "intervals", "items", "parameters", "round"),
        *("seconds", "users"),
    }
)
"""Metrics of a run beside those of recommendation and of attacks, as far as a plug-in could have their names."""

OF_TABLES = frozenset({"attribute", "dataset", "error", "method", "model", "original", "run", "seed", "status"})
"""Columns beside the metrics in the tables of experiments."""


def expect_free(config: Config) -> None:
    """Checks the names of the metrics and attackers that plug-ins add.

    Raises:
        PluginError: a run has figures of that name already.
    """
    settings = dict(flat(config.document()))
    for name, plug_in in plugins.added("metrics").items():
        if name in settings or _is_metric(name):
            raise _taken(plug_in, "metrics", name)
    for name, plug_in in plugins.added("attackers").items():
        if _is_attack(name):
            raise _taken(plug_in, "attackers", name)


def _is_metric(name: str) -> bool:
    quality = terminal.quality_rows([{name: 0.0}])
    return name in OF_RUNS | OF_TABLES or bool(quality) or bool(attacked.part_of(name))


def _is_attack(name: str) -> bool:
    """Returns whether figures of an attacker would be taken for those of another attack."""
    from simulator.evaluation.attackers import LIGHT  # here, because its libraries take a while to load

    figures = (f"bacc_{name}", f"bacc_std_{name}", f"{name}_families")
    known = {key for _, key, _ in terminal.ROWS}
    mistaken = any(attacked.part_of(figure) != name for figure in figures)
    return f"bacc_{name}" in known or name in (LIGHT, attacked.UPLOADS, attacked.SUM) or mistaken


def _taken(plug_in: str, kind: str, name: str) -> plugins.PluginError:
    return plugins.PluginError(
        f"the plug-in {plug_in!r} adds {kind} {name!r}, which is a name of figures that every run has: rename it, or "
        "do without the plug-in"
    )
