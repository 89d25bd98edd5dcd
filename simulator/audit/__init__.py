"""The leakage audit: what a server, or a thief, learns of clients under a configuration.

* `view`, `recording`: what the server sees, from a state, from training, or from a coordinator's recording
* `contract`, `registry`: what an attack is, and all of them by name
* `uploads`, `labels`, `dlg`, `optimize`, `prior`, `matched`, `shared`, `gates`, `covers`, `items`, `sums`: the attacks
* `runner`, `scores`, `facts`: attacks over rounds, how well they did, and what that depends on
* `bounds`, `report`, `command`: what a configuration may leak, and how it is told
* `leakage`: the few attacks that every run makes
"""
