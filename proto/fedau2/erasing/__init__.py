"""Fits maps that erase attributes from users' states to sums over the users, for the simulator and the coordinator."""
