"""`fedau2-sim bench`: the cost of a client beside a naive loop, and the cost of many concurrent sessions.

* `report`: measures everything and prints it as tables
* `workloads`: rounds of training as ratios to a naive loop, and sessions over gRPC
* `naive`: the naive loop in PyTorch
* `crowd`: a round in which many SDK instances contribute at the same time
"""
