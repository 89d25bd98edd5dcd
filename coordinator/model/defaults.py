"""Defaults that the settings of `serve` share with the engine."""

UPLOAD_MEMORY = 1024
"""MiB of contributions that may be on their way in at the same time."""

KEPT_MODELS = 1
"""Older models of a task that are kept."""
