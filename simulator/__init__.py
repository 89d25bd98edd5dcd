"""Trains and attacks whole populations of simulated devices, and measures what a recommender gives away."""
