"""The local update as pure functions of arrays, for one client or thousands.

Importing the modules loads PyTorch, except for `models` and the modules of parameters.

* `fedncf`, `fedrap`, `fedvae`, `fcf`, `pfedrec`, `fedgnn`: the recommenders' tensors, gradients and scores
* `fedncf_parameters` and those of the others: their widths and hyper-parameters
* `specs`, `losses`, `products`, `whole`: what several recommenders have in common
* `adversary`: the attribute classifier, its heads and triggers
* `contract`: the functions that a recommender must have; `models`: the recommenders by name
* `training`: local steps over a cohort, in separate and summed form
* `operations`: what training consists of; `native`: the same by a library in C++
* `batch`, `grouped`: how a cohort lies in memory, and linear algebra over it
"""
