"""The SDK that runs on a device: record, recommend, train, unlearn."""
