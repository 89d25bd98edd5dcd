"""Engines that train simulated rounds: many clients as one batch, or a fleet of SDK instances.

* `engine`: the protocol `RoundEngine`, the report of a round, and a base for engines that wrap another one
* `batched`: trains cohorts as batches of columns, without messages between clients and coordinator
* `fleet`: runs an SDK instance for each client against a real coordinator
* `connections`: a fleet's connection to its coordinator, in process or over gRPC
* `coordinator_process`: a coordinator as a child process
"""
