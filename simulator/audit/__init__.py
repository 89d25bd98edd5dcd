"""The leakage audit: it measures what a server, or a thief, learns of clients under a configuration.

* `request`: a configuration to audit, and the attacks on it
* `planning`, `audit`: finds the attacks that can be run, before training; trains and attacks
* `registry`: all attacks by name; the attacks themselves are in `simulator.attacks`
* `view`, `recording`: the server's view, from a state, from training, or from a coordinator's recording
* `runner`, `scores`: runs attacks over rounds, and scores their guesses
* `census`, `accounting`: what the success of attacks depends on, and what noise promises
* `bounds`, `report`: the bounds that a configuration must hold, and the report
"""
