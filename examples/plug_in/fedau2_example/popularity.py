"""The metric `popular@10`: the share of the first ten items that are among the hundredth that most users have."""

import numpy as np

from simulator.experiment.own_metrics import Measurement, Metric


def popular(measurement: Measurement) -> float:
    """Computes the metric over the users who are ranked."""
    train = measurement.split.train
    scores = np.array(measurement.scores(np.arange(len(measurement.users))))
    counts = np.bincount(np.concatenate(train), minlength=scores.shape[1])
    favourites = np.argsort(-counts, kind="stable")[: max(1, scores.shape[1] // 100)]
    for row, known in zip(scores, train, strict=True):
        row[known] = -np.inf
    first = np.argsort(-scores, axis=1, kind="stable")[:, :10]
    return float(np.isin(first, favourites).mean())


POPULAR = Metric(popular)
