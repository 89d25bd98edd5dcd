"""Errors of the wire package.

* WireError
  + BlobError: bytes do not match their hash or size
  + ManifestError: this version cannot run a manifest
  + ContributionError: an upload does not fit its manifest
  + AddressError: an address can be neither called nor served on
  + BlindSignatureError: a key, a blinded message or a blind signature is not what it must be
  + CertificateError: a certificate or its key cannot be used
  + KeySetError: the file of an identity provider's keys cannot be used
  + TokenError: a token is not accepted
  + UnknownMethodError: no method of the service takes a message
  + IdentityError: a certificate, a key or a log is not what it must be
"""


class WireError(ValueError):
    """Root of the errors for malformed messages and blobs; the text says what is wrong."""


class BlobError(WireError):
    """A blob's size or SHA-256 differs from what was declared, or it cannot be read."""


class ManifestError(WireError):
    """A manifest is malformed, contradicts itself or has another format version."""


class ContributionError(WireError):
    """A contribution does not fit the manifest: name, dtype, shape, row, or a value that is not finite or too large."""


class AddressError(WireError):
    """An address cannot be called, or cannot be served on."""


class BlindSignatureError(WireError):
    """A key, a blinded message or a blind signature is not what it must be."""


class CertificateError(WireError):
    """A certificate, its private key or a list of authorities cannot be used; the text never quotes them."""


class KeySetError(WireError):
    """The file of an identity provider's keys (JWKS) cannot be read, or has no key that can be used."""


class TokenError(WireError):
    """A token is not accepted; the text never quotes it."""


class UnknownMethodError(WireError):
    """No method of the service takes a message of this class."""


class IdentityError(WireError):
    """A device's certificate, a round's key or an unmasker's log is malformed, not signed, or contradicts another."""
