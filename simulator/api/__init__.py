"""The simulator in Python (docs/python-api.md): runs a configuration, loads a run, and reads what it found.

* `running`: `run`, `load` and `train_alone`
* `result`: a finished run
* `tables`: its tables of users, attacks and recommendations
"""
