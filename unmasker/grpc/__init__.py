"""The unmasker's two services over gRPC."""
