"""Plots, HTML reports, progress in the terminal, and experiment trackers."""
