"""The types of settings: each is read from a text, and raises ValueError if the text cannot be one."""

from pathlib import Path


def seconds(text: str) -> float:
    """Reads a time of less than a day, in seconds."""
    seconds = float(text)
    if not 0 <= seconds < 86400:
        raise ValueError(text)
    return seconds


def mebibytes(text: str) -> int:
    """Reads a size in MiB, at least 1."""
    mebibytes = int(text)
    if mebibytes < 1:
        raise ValueError(text)
    return mebibytes


def kept(text: str) -> int:
    """Reads a number of kept models, 1 to 1000."""
    number = int(text)
    if not 1 <= number <= 1000:
        raise ValueError(text)
    return number


def absolute(text: str) -> Path:
    """Reads an absolute path."""
    path = Path(text)
    if not path.is_absolute():  # a word such as "off" must not be taken for a folder to record into
        raise ValueError(text)
    return path


def level(text: str) -> str:
    """Reads the name of a log level."""
    if text.upper() not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise ValueError(text)
    return text.upper()
