"""The plan language: one typed schema, one table of defaults, plan files, and the messages of tasks.

* `schema`, `types`: the settings, with type, range, unit and meaning
* `recommenders`: the settings of each recommender
* `defaults`: the only table of defaults
* `planfile`: reads and writes plan files
* `explain`: the texts of errors
* `fragments`: nested mappings and dotted paths
* `resolve`: replaces the words that stand for what the data decides
* `message`: turns a plan into the message of a task's manifest, and back
"""
