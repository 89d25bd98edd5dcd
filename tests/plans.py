"""Messages of plans for tests: a recommender's defaults, with what a test changes."""

from export.plan.message import plan_of

GENDER = {"attribute": "gender", "classes": ["M", "F"]}
AGE = {"attribute": "age", "classes": ["young", "middle", "old"]}


def make(model="fedncf", /, *entries, **settings):
    """A plan with an adversary for each entry; `local__steps=2` is what a plan file says as `local: {steps: 2}`."""
    changes = {path.replace("__", "."): value for path, value in settings.items()}
    return plan_of(model, {**changes, "adversaries": list(entries)})
