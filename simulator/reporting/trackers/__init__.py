"""Further places of a run's metrics, each an optional package.

* `contract`: what a tracker is; `packages`: imports their packages, or says which extra brings them
* `tensorboard`, `mlflow`, `wandb`: the trackers of this project
"""
