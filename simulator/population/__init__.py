"""The simulated clients: their interactions and attributes, and their private state as columns.

* `population`: `Population`, the data, keys and private state of all clients
* `clients`: the clients of a chunk, with all that their training needs
* `columns`: private state as one column per tensor, in memory or in memory-mapped files
* `client_store`: the SDK's `Store` for one client of a population
* `public_randomness`: random numbers of a run that need not be secret
"""
