"""Attacks on contributions and on what they tell of their clients."""
