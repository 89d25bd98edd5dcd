"""Erasure of attributes after training, and baselines that answer leakage with noise."""
