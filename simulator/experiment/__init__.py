"""One run from configuration to results: assembly, training, resuming, and writing."""
