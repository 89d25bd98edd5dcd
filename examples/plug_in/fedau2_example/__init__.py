"""A plug-in with one thing of each kind. The texts name what is imported when it is first used."""

from fedau2.plugins import Plugin

PLUGIN = Plugin(
    "example",
    api=1,
    recommenders={"biased": "fedau2_example.settings:BIASED"},
    recommender_attacks={"biased": "fedau2_example.leaks:ATTACKS"},
    presets={"biased": "fedau2_example.settings:PRESETS"},
    attacks={"popular-rows": "fedau2_example.popular_rows:SPEC"},
    attackers={"neighbours": "fedau2_example.neighbours:NEIGHBOURS"},
    datasets={"two-towns": "fedau2_example.two_towns:SOURCE"},
    metrics={"popular@10": "fedau2_example.popularity:POPULAR"},
    trackers={"lines": "fedau2_example.lines:Lines"},
)
