"""Messages and wire helpers that both ends of FedAU2 share."""

__version__ = "0.2.0"
"""Version of the distribution and of everything in it."""
