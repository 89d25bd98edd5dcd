"""Lets a browser be a device, on this machine."""
