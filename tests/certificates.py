"""Makes certificates for tests, right ones and wrong ones."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import NameOID

LOCAL = ("localhost", "127.0.0.1")


def make(since=-1, until=1, names=LOCAL, authority=None, purpose=None, signs=False):
    """Makes a key and a certificate, which an authority signs.

    Args:
        since, until: days from now between which it is valid.
        names: host names and addresses of its subjectAltName; none: it has no such part.
        authority: key and certificate of the authority, as this function returns them; None: the certificate's own.
        purpose: the only one that the certificate may be used for; None: any.
        signs: it says that it is an authority.

    Returns:
        Key and certificate, as PEM.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    number = x509.random_serial_number()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"localhost {number}")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(
        subject_name=subject,
        issuer_name=subject if authority is None else x509.load_pem_x509_certificate(authority[1]).subject,
        public_key=key.public_key(),
        serial_number=number,
        not_valid_before=now + timedelta(since),
        not_valid_after=now + timedelta(until),
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
    if purpose is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    if signs:
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    signer = key if authority is None else load_pem_private_key(authority[0], None)
    certificate = builder.sign(signer, SHA256())
    return pem(key), certificate.public_bytes(Encoding.PEM)


def pem(key, encryption=None):
    """Writes a private key as PEM, encrypted if told how."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())


def _general(name):
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)
