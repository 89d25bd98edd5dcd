"""TLS between the coordinators of one ledger: each shows a certificate for the same host, and so knows the others."""

import ssl
from collections.abc import Callable
from contextlib import suppress

import grpc

from coordinator.errors import ForbiddenError, SettingError
from coordinator.grpc.status import Context
from coordinator.grpc.tls import Shown, Tls
from fedau2.wire import certificates

_NAMES = "x509_subject_alternative_name"

_FILES = ("replica_tls_certificate", "replica_tls_key")

_FLIGHTS = 3
"""Times that each end of a handshake is asked to go on; TLS 1.3 needs two."""


def host(shown: Shown) -> str:
    """Returns the first host that a certificate names. The certificates of all coordinators name it."""
    named = certificates.identity(shown.chain, shown.key, _FILES).decoded["subjectAltName"]
    return str(named[0][1])


def check(tls: Tls) -> None:
    """Returns if a coordinator with these files would let in another one that has them too.

    Raises:
        SettingError: it would not, or the files cannot be read, or cannot be used together now.
    """
    name = host(tls.renewed.newest())
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    server.verify_mode = ssl.CERT_REQUIRED
    for context in (server, client):
        context.load_cert_chain(tls.certificate, tls.key)
        context.load_verify_locations(tls.client_authorities)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = client.wrap_bio(back, there, server_hostname=name), server.wrap_bio(there, back, server_side=True)
    try:
        for _ in range(_FLIGHTS):
            for end in ends:
                with suppress(ssl.SSLWantReadError):
                    end.do_handshake()
    except ssl.SSLError as error:
        raise SettingError(
            f"replica_tls_certificate {tls.certificate} would not be accepted by another coordinator: {error.reason}. "
            "It must be for servers and clients, and signed by replica_tls_client_ca"
        ) from error


def credentials(shown: Shown) -> grpc.ChannelCredentials:
    """Makes the credentials of a connection to the leader."""
    return grpc.ssl_channel_credentials(shown.authorities, shown.key, shown.chain)


def expecting(tls: Tls | None) -> Callable[[Context], None]:
    """Makes the check that a caller is a coordinator. Operators and devices may have certificates of one authority.

    Args:
        tls: the files of this coordinator; None: only this machine can call.

    Raises:
        SettingError: the files cannot be read, or cannot be used together now.
    """
    if tls is None:
        return lambda context: None
    expected = host(tls.renewed.newest()).encode()

    def check(context: Context) -> None:
        if expected not in (context.auth_context() or {}).get(_NAMES, []):
            raise ForbiddenError("this address is for the other coordinators of the ledger alone")

    return check
