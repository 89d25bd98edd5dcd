"""A year of a service in fast motion: `python -m scripts.year`; see docs/successors.md.

* `history`: which items a catalogue lists in each week, and what each user records
* `devices`: real state folders, and what must hold for them
* `operating`: the operator's commands, against a coordinator in this process
* `service`: the weeks one after the other, and training anew for comparison
"""
