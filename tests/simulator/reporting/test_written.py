import pytest

from simulator.reporting import written


def run(bacc, p95=0.54, mean=0.52, prefix="", suffix="_all"):
    names = ("", "null_p95_", "null_mean_")
    return {f"{prefix}bacc_{name}largest{suffix}": value for name, value in zip(names, (bacc, p95, mean), strict=True)}


@pytest.mark.parametrize(
    ("ours", "theirs", "said"), [(0.65, 0.51, True), (0.65, 0.64, False), (0.53, 0.50, False), (0.60, 0.70, False)]
)
def test_a_run_that_reveals_more_than_its_original_says_so(ours, theirs, said):
    sentences = written.more_readable(run(ours), run(theirs), "gender", 1)
    assert bool(sentences) is said
    assert not written.more_readable(run(ours), run(theirs) | {"bacc_null_mean_largest_all": float("nan")}, "gender", 1)
    assert all("more readable in all private state" in text for text in sentences)


def test_an_attribute_has_its_own_figures_and_a_figure_that_is_missing_says_nothing():
    later = run(0.7, prefix="age/")
    assert written.more_readable(later, run(0.5, prefix="age/"), "age", 1, "age/")
    assert not written.more_readable(later, run(0.5, prefix="age/"), "gender", 1)
    assert not written.more_readable(later, {}, "age", 1, "age/")
