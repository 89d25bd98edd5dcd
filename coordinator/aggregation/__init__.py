"""Exact aggregation: integer sums of contributions, and the server's step on their mean."""
