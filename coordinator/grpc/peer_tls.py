"""TLS between the coordinators of one ledger: each shows a certificate for the same host, and so knows the others."""

from collections.abc import Callable

import grpc

from coordinator.errors import ForbiddenError
from coordinator.grpc.status import Context
from coordinator.grpc.tls import Tls
from fedau2.wire import certificates

_NAMES = "x509_subject_alternative_name"


def host(tls: Tls) -> str:
    """Returns the first host that the certificate names. The certificates of all coordinators name it.

    Raises:
        SettingError: the files cannot be read, or cannot be used together now.
    """
    tls.check()
    chain, key = tls.certificate.read_bytes(), tls.key.read_bytes()
    named = certificates.identity(chain, key, (str(tls.certificate), str(tls.key))).decoded["subjectAltName"]
    return str(named[0][1])


def credentials(tls: Tls) -> grpc.ChannelCredentials:
    """Makes the credentials of a connection to the leader.

    Raises:
        SettingError: as `host`.
    """
    tls.check()
    assert tls.client_authorities is not None  # checked
    authorities = tls.client_authorities.read_bytes()
    return grpc.ssl_channel_credentials(authorities, tls.key.read_bytes(), tls.certificate.read_bytes())


def expecting(tls: Tls | None) -> Callable[[Context], None]:
    """Makes the check that a caller is a coordinator. Operators and devices may have certificates of one authority.

    Args:
        tls: the files of this coordinator; None: only this machine can call.
    """
    if tls is None:
        return lambda context: None
    expected = host(tls).encode()

    def check(context: Context) -> None:
        if expected not in (context.auth_context() or {}).get(_NAMES, []):
            raise ForbiddenError("this address is for the other coordinators of the ledger alone")

    return check
