"""Names the errors with which the SDK refuses bytes."""

from collections.abc import Callable

from client_sdk.errors import FedError


def error_of(check: Callable[[bytes], object], content: bytes) -> str | None:
    """Returns the name of the error that a check raises; None if it raises none."""
    try:
        check(content)
    except FedError as error:
        return type(error).__name__
    return None
