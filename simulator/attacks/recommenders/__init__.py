"""Each recommender's own attacks: what its shared tensors give away, or why they do not.

* `contract`: the kinds of attack that a recommender must answer for
* `fedncf`, `fedrap`, `fedvae`: the recommenders
* `registry`: all of them by name; a recommender that is missing there cannot be audited
"""
