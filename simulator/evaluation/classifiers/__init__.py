"""The classifiers that attackers train. All fits of a batch are computed at once.

* `batch`: many fits of one kind
* `strong`: the best of several families, by cross-validation
* `networks`: networks with one hidden layer; one is the paper's attacker
* `regressions`: logistic regressions on standardised and on whitened features
* `support_vectors`: RBF support vector machines
* `boosting`: gradient boosting
"""
