"""Methods that hide attributes in a trained or training model, beside the adversaries of the plan.

* `erasure`: linear erasure from the trained state (LEACE)
* `optimal_transport`: erasure that moves each class to a common distribution
* `moments`: the sums over users from which both are fitted
* `gaps`: the likelihood of a user's class, given the maps of the latter
* `baselines`: Gaussian noise after training or in each round, and APM
"""
