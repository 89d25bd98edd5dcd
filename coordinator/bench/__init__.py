"""What the coordinator can carry, measured."""
