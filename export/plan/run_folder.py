"""A run folder of the simulator, from which a bundle is made."""

from pathlib import Path

from export.errors import PlanError
from export.plan import strict_yaml
from export.plan.fragments import flat

_SIMULATED = {
    "engine.local_noise": 0,
    "engine.apm": 0,
    "after_training.noise": 0,
    "after_training.erasure": "none",
}
"""Settings of a run that no plan has, with the values at which they protect nothing."""

_LATER = {"after_training.floor": 0}
"""The same of settings that runs of earlier versions do not have."""


def expect_deployable(run: Path, hidden: bool = False) -> None:
    """Returns if a task of the run's plan protects what the run protected.

    Args:
        run: the folder.
        hidden: True if the task has a policy of secure sums.

    Raises:
        PlanError: the folder is not one of a run, or the run had a protection that exists in the simulator only.
    """
    try:
        config = strict_yaml.load((run / "config.yaml").read_text("utf-8"))
    except (OSError, UnicodeDecodeError, PlanError) as error:
        raise PlanError(f"{run}: not the folder of a run: its config.yaml cannot be read ({error})") from error
    settings = dict(flat(config)) if isinstance(config, dict) else {}
    if settings.get("engine.sums", "plain") != "plain" and not hidden:
        raise PlanError(
            f"{run}: the run added up integers; give --sums {run / 'sums.yaml'} to build a bundle that does"
        )
    for path, off in (_SIMULATED | {path: off for path, off in _LATER.items() if path in settings}).items():
        if path not in settings:
            raise PlanError(
                f"{run}: {path} is missing in config.yaml, so the file is not whole; run the simulation again"
            )
        if settings[path] != off:
            raise PlanError(
                f"{run}: {path} is {settings[path]}, which only the simulator does: devices would train without it. To "
                f"build a bundle without this protection, give --plan {run / 'plan.yaml'} and --items instead"
            )
