"""The coordinator's two gRPC services, and the servers that offer them."""
