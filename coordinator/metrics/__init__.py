"""Counts and times for Prometheus, and the HTTP page that shows them."""
