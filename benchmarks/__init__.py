"""Compares the simulator with other frameworks of federated learning, on the same work (docs/benchmarks.md).

    python -m benchmarks --work FOLDER --out FOLDER

* `work`: the work that all systems do: users, their items, and the cohort
* `peers`: the other frameworks, their pinned versions, and a virtual environment for each
* `systems`: what runs the work: this project, plain loops, and a program for each framework
* `measure`: runs a system and measures the processor time and the memory of all its processes
* `processes`: all processes of a system
* `uploads`: what an upload costs this project's coordinator and Flower's SuperLink
* `comparison`: which system runs when, and the figures of all runs
* `tables`, `figure`: the page's tables and picture, made of the figures

The modules `work` and `systems` also run in the frameworks' own environments, which have NumPy and PyTorch only.
"""
