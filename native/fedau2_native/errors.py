"""The package's error."""


class NativeError(Exception):
    """The library cannot be used on this machine; the message says why, and what to do."""
