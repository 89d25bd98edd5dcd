"""Measures a checkout: folders, imports, names, prose and the plan's defaults: `python -m scripts.house [ROOT]`.

The checkout may be of another version than this script, so that versions can be compared. Tests and generated modules
are left out.

* `imports`: arrows, floors and circles
* `names`: locals that say little, public names without a docstring
* `defaults`: the places that write a default of the plan
"""
