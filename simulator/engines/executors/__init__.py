"""Executors: what trains the chunks of a cohort. All give the same bytes, for any number of workers.

* `contract`: the protocol `Executor`
* `threads`: threads of this process, which change the population's state where it lies
* `dispatch`: sends chunks to workers that keep the columns of their clients, and to others where a worker is lost
* `keeper`: the worker's side of it
* `processes`: workers that are processes of this machine
* `ray_actors`: workers that are actors of a Ray cluster
"""
