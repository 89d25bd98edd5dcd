"""Ways to a coordinator: over gRPC, or straight into a service object of the same process."""
