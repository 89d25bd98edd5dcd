"""Many SDK instances at once; the figures themselves are for `fedau2-sim bench`."""

from simulator.bench import crowd


def test_every_device_of_the_crowd_contributes():
    figures = crowd.measure(70)  # more than may fetch or upload at a time
    assert figures.devices == 70
    assert figures.uploaded > 70 * 1000
    assert 0 < max(figures.check_in, figures.upload) <= figures.seconds
    assert min(figures.device_cpu, figures.coordinator_cpu, figures.device_memory, figures.coordinator_memory) > 0
