"""Writes the vectors of `conformance/`, by which another language's SDK is checked (docs/protocol/)."""
