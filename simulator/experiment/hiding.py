"""Adds the policy of secure sums to a run's task, and keeps it in the run folder."""

import tempfile
from pathlib import Path

from export import sums
from export.bundle import Bundle
from export.errors import ExportError
from export.sums import Policy
from fedau2 import files
from fedau2.wire import blobs
from fedau2.wire.secure import policy as policies
from simulator.config.sections import EngineSettings
from simulator.errors import ConfigError
from simulator.experiment import assembly, turns
from simulator.experiment.calibration import VALUE_BITS, Calibration, calibrate
from simulator.experiment.parts import Parts
from simulator.experiment.trainer import Progress


def hidden(settings: EngineSettings, parts: Parts, folder: Path, progress: Progress) -> Bundle:
    """Returns the task of a run, with a policy if its contributions are only ever added up.

    Args:
        settings: of the run.
        parts: of the run.
        folder: of the run, which holds the policy from here on.
        progress: receives how far the plain run is that measures contributions.

    Raises:
        ConfigError: cohorts are too small or too large for secure sums.
    """
    if settings.sums == "plain":
        if turns.taken(settings):
            raise ConfigError(
                "noise_multiplier and max_participations are of sums of integers: set engine.sums to grid"
            )
        return parts.bundle
    path = folder / sums.FILE
    try:
        policy = sums.read(path) if path.exists() else _measured(settings, parts, folder, progress)
        return sums.add(parts.bundle, policy)
    except ExportError as error:
        raise ConfigError(str(error)) from error


def _measured(settings: EngineSettings, parts: Parts, folder: Path, progress: Progress) -> Policy:
    expect_cohort(settings, len(parts.split.train))
    policy = measure(settings, parts, folder, progress).policy(settings, parts.bundle.manifest)
    files.write(folder / sums.FILE, policy.dump())
    return policy


def expect_cohort(settings: EngineSettings, clients: int) -> None:
    """Checks the number of clients in a round.

    Raises:
        ConfigError: secure sums are not of so few or so many.
    """
    cohort = assembly.cohort_size(settings, clients)
    most = policies.largest_cohort(max(policies.MODULUS_BITS), VALUE_BITS)
    if not policies.LEAST_MINIMUM <= cohort <= most:
        raise ConfigError(
            f"secure sums are of {policies.LEAST_MINIMUM} to {most:,} contributions, and a cohort has {cohort}: change "
            "engine.fraction or engine.cohort"
        )


def measure(settings: EngineSettings, parts: Parts, folder: Path, progress: Progress) -> Calibration:
    """Measures the contributions of a plain run, which leaves nothing else behind; see `hidden`."""
    progress.start("calibrating", settings.rounds)
    bundle, split = parts.bundle, parts.split
    checkpoint = blobs.unpack(bundle.blob(bundle.manifest.checkpoint))
    with tempfile.TemporaryDirectory(prefix="calibration-", dir=folder) as place:
        population = assembly.population_of(bundle, settings.seed, split.train, parts.known, Path(place), split.weights)
        return calibrate(settings, bundle.manifest, checkpoint, population, progress.advance)
