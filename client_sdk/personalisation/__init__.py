"""Personal steps: a device trains its private tensors alone, for its own recommendations. Nothing is sent."""
