"""Names of files that are made of names that people chose."""

import re


def file_name(text: str) -> str:
    """Replaces every character that a file's name should not have by a dash."""
    return re.sub(r"[^\w.-]", "-", text)
