"""Defaults of options, which the help of a command shows without loading what its work needs."""

DAYS = 365
"""Days for which a signed bundle may be used."""
