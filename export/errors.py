"""Errors of the bundle builder. Each text says what was wrong, where, and what would be right.

* ExportError
  + UnknownModelError: no recommender has this name
  + ItemsError: the list of items cannot be a catalogue
  + PlanError: a plan file cannot be read, or what it says cannot be run
  + BundleError: a folder that cannot be used
    - NotABundleError: no bundle is there
    - TargetError: a bundle cannot be written there
    - DamagedBundleError: a blob is missing or is not what its hash says, or the manifest cannot be run
  + KeyFileError: a file holds no key of the kind that is needed
  + VerificationError: the bundle is whole, but its parts contradict each other or PyTorch, or it is not signed
"""


class ExportError(Exception):
    """Root of the builder's errors."""


class UnknownModelError(ExportError):
    """No recommender has this name."""


class ItemsError(ExportError):
    """The list of items is empty, repeats an item or cannot be read."""


class PlanError(ExportError):
    """A plan file cannot be read, or what it says cannot be run."""


class BundleError(ExportError):
    """A folder cannot be used as a bundle."""


class NotABundleError(BundleError):
    """The folder holds no bundle."""


class TargetError(BundleError):
    """A bundle cannot be written there; what is there is left as it was."""


class DamagedBundleError(BundleError):
    """A blob is missing or is not what its hash says, or the manifest is malformed or of another version."""


class KeyFileError(ExportError):
    """A file holds no key of the kind that is needed."""


class VerificationError(ExportError):
    """The bundle is whole, but its parts contradict each other or PyTorch, or it is not signed as it should be."""
