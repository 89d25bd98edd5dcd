"""The same task in three frameworks: from two data frames to a report (docs/benchmarks.md).

* `frames`: the data frames, with which every script begins
* `ours`, `with_recbole`, `with_flower`: train, rank held-out items, attack the users' vectors, and write a report

Each trains about one pass over the data: 10 rounds of a tenth of the users, or one epoch. A script is run in the
environment of its framework: `ML_100K=data/ml-100k python -m benchmarks.from_frames.ours`.
"""
