"""The errors of the comparison."""


class BenchmarkError(Exception):
    """A system cannot be installed, or its run failed. The other ones go on."""
