"""File names from names that users choose, such as attributes and methods."""

import re


def file_name(text: str) -> str:
    """Replaces each character that does not belong in a file name by a dash."""
    return re.sub(r"[^\w.-]", "-", text)
