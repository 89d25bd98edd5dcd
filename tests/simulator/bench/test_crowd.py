"""Many SDK instances at the same time; `fedau2-sim bench` measures their cost."""

import pytest

from simulator.bench import crowd
from simulator.commands import cli


@pytest.mark.parametrize("secure", [False, True])
def test_every_device_of_the_crowd_contributes(secure):
    figures = crowd.measure(70, secure, items=400)  # more than may download or upload at the same time
    assert figures.devices == 70
    assert figures.uploaded > 70 * 1000
    assert 0 < max(figures.check_in, figures.upload, figures.closing) <= figures.seconds
    assert min(figures.device_cpu, figures.coordinator_cpu, figures.device_memory, figures.coordinator_memory) > 0
    assert (figures.unmasker_memory > 0) == secure


@pytest.mark.parametrize(
    ("arguments", "text"),
    [(["--sums", "secure"], "say how many devices"), (["--fleet", "63", "--sums", "secure"], "at least 64 devices")],
)
def test_a_fleet_that_cannot_be_measured_is_refused(arguments, text, capsys):
    assert cli.main(["bench", *arguments]) == 1
    assert text in capsys.readouterr().err
