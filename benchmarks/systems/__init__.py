"""The systems that are compared. `python -m benchmarks.systems NAME` runs the work of the environment variable.

Each module has a function `run`, which trains all rounds and calls `work.mark` after each.
"""
