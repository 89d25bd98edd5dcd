"""`fedau2-coordinator bench`: measures the load that a coordinator can carry, with real processes over gRPC.

The loads are made with `fedau2.wire`, so only the coordinator has to be installed.
"""
