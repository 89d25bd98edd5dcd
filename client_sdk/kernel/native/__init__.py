"""The operations of a cohort's training in C++, by the library `fedau2_native` (docs/native.md).

* `operations`: what the library computes, for the recommenders that it knows
* `cohorts`: samples of many clients as arrays, and their layout
* `fedncf`: the gradients of FedNCF
"""
