"""A run's configuration, its presets and its command-line flags."""
