"""Errors of the bundle builder. Every text says what is wrong, where, and what would be right.

* ExportError
  + UnknownModelError: no recommender has this name
  + ItemsError: the list of items cannot be a catalogue
  + FeaturesError: a file of items' features cannot be used
  + PlanError: a plan file cannot be read, or what it says cannot be run
  + BundleError: a folder that cannot be used
    - NotABundleError: the folder holds no bundle
    - TargetError: a bundle cannot be written to the folder
    - DamagedBundleError: a blob is missing or does not match its hash, or the manifest cannot be run
  + ReleaseError: a bundle cannot be signed for this population, sequence number or time
  + KeyFileError: a file holds no key of the kind that is needed
  + VerificationError: the bundle is whole, but its parts contradict each other or PyTorch, or it is not signed
"""


class ExportError(Exception):
    """Root of the builder's errors."""


class UnknownModelError(ExportError):
    """No recommender has this name."""


class ItemsError(ExportError):
    """The list of items is empty, repeats an item or cannot be read."""


class FeaturesError(ExportError):
    """A file of items' features cannot be read, or says nothing of the items that a bundle goes on from."""


class PlanError(ExportError):
    """A plan file cannot be read, or what it says cannot be run."""


class BundleError(ExportError):
    """A folder cannot be used as a bundle."""


class NotABundleError(BundleError):
    """The folder holds no bundle."""


class TargetError(BundleError):
    """A bundle cannot be written to the folder, whose content is left as it was."""


class DamagedBundleError(BundleError):
    """A blob is missing or does not match its hash, or the manifest is malformed or of another version."""


class ReleaseError(ExportError):
    """A bundle cannot be signed for this population, sequence number or time."""


class KeyFileError(ExportError):
    """A file holds no key of the kind that is needed."""


class VerificationError(ExportError):
    """The bundle is whole, but its parts contradict each other or PyTorch, or it is not signed as it should be."""
