"""Says why a coordinator could not be reached. gRPC knows the reason, and mentions it at the end of a long text."""

_REASONS = {
    "certificate has expired": "its certificate has expired, or this device's clock is wrong",
    "certificate is not yet valid": "its certificate is not valid yet, or this device's clock is wrong",
    "Hostname Verification Check failed": "its certificate is for another host's name",
    "is not in peer certificate": "its certificate is for another host's name",
    "CERTIFICATE_VERIFY_FAILED": "no authority that is trusted here has signed its certificate: see root_certificates",
    "WRONG_VERSION_NUMBER": "it answers in plaintext, and this client insists on TLS",
}
"""Words of gRPC and its TLS library, and their meaning for the caller. The first entry that fits counts."""

_HUNG_UP = ("Socket closed", "Connection reset by peer")
"""Words of gRPC if the other end closes a connection at once, as a TLS port does when it is sent plaintext, or is not
shown a certificate that it accepts."""

_EXPECTS_TLS = "it closed the connection, which was plaintext: if it expects TLS, give root_certificates"
_EXPECTS_CERTIFICATE = (
    "it closed the connection during the handshake: if it asks devices for certificates, give one in credentials that "
    "one of its authorities has signed and that is valid there"
)


_PASSING = ("certificate has expired", "certificate is not yet valid")
"""Words for reasons that the coordinator's operator, or the device's clock, may do away with."""


def temporary(details: str) -> bool:
    """Returns True if gRPC's text names no reason that is likely to last until the app or its network changes."""
    reason = next((words for words in _REASONS if words in details), None)
    return reason is None or reason in _PASSING


def explained(name: str, details: str, plaintext: bool) -> str:
    """Returns the text of an error.

    Args:
        name: the coordinator's name.
        details: the text of gRPC.
        plaintext: the call was sent without TLS.
    """
    reason = next((meaning for words, meaning in _REASONS.items() if words in details), None)
    if reason is None and any(words in details for words in _HUNG_UP):
        reason = _EXPECTS_TLS if plaintext else _EXPECTS_CERTIFICATE
    return f"cannot reach {name}: {reason or 'is the server running, and is this its address?'} ({details})"
