"""Each recommender's own attacks: what its shared tensors give away, or why they do not.

* `contract`: the kinds of attack that a recommender must answer for
* `fedncf`, `fedrap`, `fedvae`, `fcf`, `pfedrec`, `fedgnn`: the recommenders
* `lines`: attacks on those whose rows are numbers times one vector of the user's
* `registry`: all of them by name; a recommender that is missing there cannot be audited
"""
