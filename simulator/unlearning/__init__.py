"""Methods that hide attributes in a trained or training model, beside the adversaries of the plan.

* `erasure`: linear erasure from the trained state (LEACE)
* `kernel_steps`: erasure of what a kernel sees after that
* `renewal`: both of them, made again while training goes on
* `integer_sums`: the sums of integers from which `renewal` fits its maps
* `floor`: noise on the states of users, the same each time
* `optimal_transport`: erasure that moves each class to a common distribution
* `alignment`: moves users until the classes' distributions are alike
* `post_training`, `orders`: moves users apart from their classes, and keeps what they are recommended
* `moments`: the sums over users from which erasures are fitted
* `gaps`: the likelihood of a user's class, given the maps of the latter
* `baselines`: Gaussian noise after training or in each round, and APM
"""
