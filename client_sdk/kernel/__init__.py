"""The local update as pure functions of arrays, for one client or thousands. Importing its modules loads PyTorch.

* `fedncf`, `fedrap`, `fedvae`: recommenders: tensors, gradients and scores; `specs`, `losses`: what some have in common
* `adversary`: the attribute classifier, its heads and triggers
* `contract`, `models`: what a recommender is to the kernel, and the recommenders by name
* `training`: local steps over a cohort, in separate and summed form
* `batch`, `grouped`: how a cohort lies in memory, and linear algebra over it
"""
