"""Attacks on contributions: what a server learns from them about single clients.

* `aims`, `contract`: what attacks are after; an attack, and what it is shown
* `uploads`: the adversary's part of contributions; `recommenders`: attacks on a recommender's own tensors
* `labels`, `dlg`, `optimize`, `prior`, `matched_filter`: attacks on the attribute's label
* `shared_state`: reads the protected state; `gates`: sees the trigger's gate
* `items`: sees interactions; `cover_rows`: removes rows that the device added
* `sums`: attacks secure aggregation
* `leakage`: the few attacks that every run makes
"""
