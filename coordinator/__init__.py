"""What runs on a server: rounds, exact aggregation, ledger, gRPC services.

* `service`: the coordinator as an object, on an event loop; `live`: a running task as it sees it
* `server`, `cli`: the same over gRPC, and the command line
* `rounds`: the round as a pure state machine
* `aggregate`, `optimizers`: sums that are exact, and the server's step on their mean
* `writer`, `storage`: group commit, and everything that the one writing thread owns
* `folder`, `blobs`, `inventory`, `log`: the state folder, and what lies in it; `disk`: every step that changes it
* `ledger`, `transitions`, `tables`, `migrations`, `database`: the ledger in SQLite or PostgreSQL
* `doctor`: what is wrong with a state folder
* `streams`, `pace`, `errors`: requests checked, retry windows, refusals
"""
