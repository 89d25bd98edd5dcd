"""Figures of a run: ranking of held-out items, and what attackers read from private state."""
