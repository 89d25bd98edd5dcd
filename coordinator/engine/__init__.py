"""The coordinator on an event loop: it answers calls, makes decisions durable, and commits rounds."""
