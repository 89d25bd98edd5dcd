"""Errors of the wire package.

* WireError
  + BlobError: bytes that are not what their hash or size says
  + ManifestError: a manifest that this version cannot run
  + ContributionError: an upload that does not fit its manifest
  + UnknownMethodError: a message that no method of the service takes
"""


class WireError(ValueError):
    """Root of the errors that malformed messages and blobs raise; the text says what was wrong."""


class BlobError(WireError):
    """A blob's size or SHA-256 differs from what was declared, or it cannot be read."""


class ManifestError(WireError):
    """A manifest is malformed, contradicts itself or has another format version."""


class ContributionError(WireError):
    """A contribution does not fit the manifest: name, dtype, shape, row, or a value that is not finite or too large."""


class UnknownMethodError(WireError):
    """No method of the service takes a message of this class."""
