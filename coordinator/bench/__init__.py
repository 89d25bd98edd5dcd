"""`fedau2-coordinator bench`: what the coordinator can carry, measured on real processes over gRPC.

Loads are made by hand from `fedau2.wire`, so nothing but the coordinator has to be installed.
"""
