"""The simulated clients: their data, and their private state as columns."""
