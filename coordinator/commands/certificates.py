"""`fedau2-coordinator certificates`: makes a private authority, and certificates for a coordinator and its operators.

It is for trying out and for small installations: the authority's key lies in a file. An organisation with an authority
of its own gives certificates of that to `serve`.
"""

import argparse
import re
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from coordinator.commands.credentials import AUTHORITY, CERTIFICATE, KEY
from coordinator.errors import SettingError
from coordinator.grpc.operators import LOCAL, Role
from fedau2 import files

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

_DAYS = 365
_ROLES = "roles.toml"
_REPLICAS = "replicas"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")

Pair = tuple["EllipticCurvePrivateKey", "x509.Certificate"]


def add_certificates(parser: argparse.ArgumentParser) -> None:
    """Adds the command's flags."""
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder of the authority and of all it signs"
    )
    parser.add_argument(
        "--host",
        action="append",
        default=[],
        metavar="NAME",
        help="host name or address of the coordinator; repeatable",
    )
    parser.add_argument(
        "--replicas",
        metavar="NAME",
        help="any host name, for the certificate that several coordinators of one ledger show each other",
    )
    parser.add_argument(
        "--operator",
        action="append",
        default=[],
        metavar="NAME=ROLE",
        type=_operator,
        help=f"an operator's name and role ({', '.join(role.name.lower() for role in Role)}); repeatable",
    )
    parser.set_defaults(run=_certificates)


def _operator(text: str) -> tuple[str, str]:
    name, _, role = text.partition("=")
    if not _NAME.fullmatch(name) or name == LOCAL or role.upper() not in Role.__members__:
        roles = ", ".join(member.name.lower() for member in Role)
        raise argparse.ArgumentTypeError(
            f"{text!r} is not NAME=ROLE: a name has letters, digits, - and _ and is not {LOCAL!r}, and the roles are "
            f"{roles}"
        )
    return name, role.lower()


def _certificates(args: argparse.Namespace) -> int:
    if find_spec("cryptography") is None:
        raise SettingError("certificates are made by a package that is missing: pip install 'fedau2[signed]'")
    if not args.host and not args.operator and not args.replicas:
        raise SettingError("name at least one --host or --operator, or --replicas")
    for host in (*args.host, *([args.replicas] if args.replicas else [])):
        _host(host)  # before anything is written
    names = [name for name, _ in args.operator]
    if len(set(names)) < len(names):
        raise SettingError("an operator is named twice: each has one role")
    taken = [args.out / "operators" / name for name, _ in args.operator if (args.out / "operators" / name).exists()]
    if taken:
        raise SettingError(f"{taken[0]} exists: remove it to make a new certificate for this operator")
    authority = _authority(args.out)
    if args.host:
        _issue(authority, args.out / "coordinator", "coordinator", args.host)
    if args.replicas:
        _issue(authority, args.out / _REPLICAS, _REPLICAS, [args.replicas])
    for name, role in args.operator:
        _issue(authority, args.out / "operators" / name, name, [])
        _enter(args.out / _ROLES, name, role)
    print("\n".join(_advice(args.out, bool(args.host), bool(args.replicas), [name for name, _ in args.operator])))
    return 0


def _advice(out: Path, coordinator: bool, replicas: bool, names: list[str]) -> list[str]:
    lines = [f"{out / AUTHORITY}: the authority; keep {out / KEY} where nobody else can read it"]
    if coordinator:
        own = out / "coordinator"
        lines.append(
            f"serve: --admin-tls-certificate {own / CERTIFICATE} --admin-tls-key {own / KEY} "
            f"--admin-tls-client-ca {out / AUTHORITY} --admin-roles {out / _ROLES}"
        )
    if replicas:
        own = out / _REPLICAS
        lines.append(
            f"serve with --replica: --replica-tls-certificate {own / CERTIFICATE} --replica-tls-key {own / KEY} "
            f"--replica-tls-client-ca {out / AUTHORITY}"
        )
    return lines + [f"{name}: --credentials {out / 'operators' / name}" for name in names]


def _authority(out: Path) -> Pair:
    """Reads the authority of a folder, or makes it."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    certificate, key = out / AUTHORITY, out / KEY
    if certificate.exists() or key.exists():
        try:
            private = load_pem_private_key(key.read_bytes(), None)
            public = x509.load_pem_x509_certificate(certificate.read_bytes())
        except (OSError, ValueError, TypeError) as error:
            raise SettingError(f"the authority in {out} cannot be used: {error}") from error
        if not isinstance(private, ec.EllipticCurvePrivateKey) or private.public_key() != public.public_key():
            raise SettingError(f"{key} is not the key of {certificate}")
        return private, public
    private = ec.generate_private_key(ec.SECP256R1())
    made = private, _certificate(None, private, "FedAU2 coordinator's authority", [])
    _write(out, *made, AUTHORITY)
    return made


def _issue(authority: Pair, folder: Path, name: str, hosts: list[str]) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding

    key = ec.generate_private_key(ec.SECP256R1())
    _write(folder, key, _certificate(authority, key, name, hosts), CERTIFICATE)
    files.write(folder / AUTHORITY, authority[1].public_bytes(Encoding.PEM))


def _certificate(
    authority: Pair | None, key: "EllipticCurvePrivateKey", name: str, hosts: list[str]
) -> "x509.Certificate":
    """Makes a certificate: of a server if it has hosts, of an authority if it has no authority, else of a client.

    That of several coordinators is one of both, because they call each other.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer, issuer = (key, subject) if authority is None else (authority[0], authority[1].subject)
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=_DAYS * (10 if authority is None else 1)))
        .add_extension(x509.BasicConstraints(ca=authority is None, path_length=None), critical=True)
    )
    if authority is not None:
        server, client = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
        purposes = [server, client] if name == _REPLICAS else [server if hosts else client]
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    if hosts:
        builder = builder.add_extension(x509.SubjectAlternativeName([_host(host) for host in hosts]), critical=False)
    return builder.sign(signer, SHA256())


def _host(text: str) -> "x509.GeneralName":
    from cryptography import x509

    try:
        return x509.IPAddress(ip_address(text))
    except ValueError:
        pass
    try:
        return x509.DNSName(text)
    except ValueError as error:
        raise SettingError(f"{text!r} is not a host: write a name with letters beyond ASCII as xn--...") from error


def _write(folder: Path, key: "EllipticCurvePrivateKey", certificate: "x509.Certificate", name: str) -> None:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    files.write(folder / KEY, secret, files.PRIVATE)
    files.write(folder / name, certificate.public_bytes(Encoding.PEM))


def _enter(path: Path, name: str, role: str) -> None:
    """Enters an operator's role, in place of the one that the operator had."""
    lines = path.read_text("utf-8").splitlines(keepends=True) if path.exists() else []
    others = [line for line in lines if line.partition("=")[0].strip().strip("\"'") != name]
    files.write(path, "".join([*others, f'{name} = "{role}"\n']).encode())
