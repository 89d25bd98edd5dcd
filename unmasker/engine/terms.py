"""The lives of certificates and keys."""

MOST_DAYS = 90
"""Most days of a certificate."""

KEY_DAYS = 14
"""Days after which the key of a round that nobody closed is deleted, unless an operator says otherwise."""
