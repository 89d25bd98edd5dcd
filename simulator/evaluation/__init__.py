"""The metrics of a run: the ranking of held-out items, and attribute attacks on client state.

* `held_out`: evaluates a model version on the held-out items
* `ranking`: ranks, HR@k and NDCG@k
* `lists`: coverage, Gini index and novelty of the items that are recommended
* `quality`: all metrics of recommendation at several cut-offs
* `by_group`: the same by group of an attribute, with gaps and intervals
* `scoring`: the scores of all items and the embedding, for any client of a population
* `attacked_states`: the client states that are attacked, and the attacks of all attackers on them
* `attacked_users`: who is attacked, and who of them an attacker learns from
* `attackers`: an attribute attack with its protocol and its null
* `attack_results`: the figures of an attack, each beside its null
* `separation`: balanced accuracy and AUC
* `attacked_outputs`: lists and scores as features that are attacked
* `ready_guesses`: attackers who learn nothing from labels
* `nulls`: what attackers reach on permuted labels
* `classifiers`: the classifiers that attackers train
* `statistics`: comparisons over users and over seeds
"""
