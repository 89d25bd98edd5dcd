"""Engines that train simulated rounds: batched columns of clients, or a fleet of SDK instances."""
