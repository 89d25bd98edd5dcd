"""Measures personal steps: `python -m scripts.personal quality` and `leakage`; see docs/results/personal.md.

* `crowd`: a population that trains with the batched engine, and takes personal steps
* `quality`: what steps on the device give new devices, and what they cost
* `leakage`: what contributions and private state tell with them
* `rows`: the tables
"""
