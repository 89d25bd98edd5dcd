"""Ends with status 0 if a server of this container is healthy, and with 1 and a reason if it is not.

`health.py unix:PATH` asks for /healthz on a socket. `health.py tls:HOST:PORT` begins a TLS connection. It checks no
certificate, because it calls its own container.
"""

import http.client
import socket
import ssl
import sys

_TIMEOUT = 4.0


def main(address: str) -> None:
    """Returns if the server at an address is healthy.

    Raises:
        OSError: it is not.
    """
    kind, _, place = address.partition(":")
    (_ask if kind == "unix" else _shake_hands)(place)


def _ask(path: str) -> None:
    connection = http.client.HTTPConnection("localhost")
    with socket.socket(socket.AF_UNIX) as connection.sock:
        connection.sock.settimeout(_TIMEOUT)
        connection.sock.connect(path)
        connection.request("GET", "/healthz")
        response = connection.getresponse()
        text = response.read().decode().strip()
        if response.status != 200:
            raise OSError(f"{response.status} {text}")


def _shake_hands(place: str) -> None:
    host, _, port = place.rpartition(":")
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with socket.create_connection((host, int(port)), _TIMEOUT) as connection:
        context.wrap_socket(connection).close()


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except OSError as error:
        sys.exit(f"{sys.argv[1]} is not healthy: {error}")
