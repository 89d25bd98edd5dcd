"""Compares what the SDKs of different languages cost a device."""
