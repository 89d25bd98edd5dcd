"""Decodes text files, and refuses bytes that are not text in the encoding that was named."""

import codecs
from collections.abc import Iterable, Iterator

from simulator.errors import DatasetFormatError

_WIDE = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""Encodings of wide letters by their byte order mark, the longest first."""

_BINARY = {b"PK\x03\x04": "a zip archive or an Excel workbook", b"PAR1": "a Parquet file", b"\x1f\x8b": "a gzip file"}
_LONGEST_MARK = 4


def transcode(pieces: Iterable[bytes], name: str, encoding: str) -> Iterator[bytes]:
    """Yields the content of a text file in UTF-8, without a byte order mark.

    Args:
        pieces: the content, in pieces that may end anywhere.
        name: the file's name, for errors.
        encoding: its encoding, as Python names it.

    Raises:
        DatasetFormatError: the bytes are not text in this encoding; the text names the line and the remedy.
    """
    decoder, line, start = codecs.getincrementaldecoder(encoding)(), 1, b""
    for number, (piece, last) in enumerate(_with_long_start(pieces)):
        if number == 0:
            start = piece[:_LONGEST_MARK]
            _expect_text(start, name, encoding)
        state = decoder.getstate()
        try:
            text = decoder.decode(piece, last)
            data = text.encode()
        except UnicodeError as error:
            decoder.setstate(state)
            where = line + _newlines_before_error(decoder, piece)
            raise DatasetFormatError(
                f"{name}, line {where}: the bytes are not {encoding}: {_remedy(start, encoding)}"
            ) from error
        if "\0" in text:
            where = line + text.count("\n", 0, text.index("\0"))
            raise DatasetFormatError(f"{name}, line {where}: a NUL byte is not text: {_remedy(start, encoding)}")
        line += text.count("\n")
        yield data.removeprefix(codecs.BOM_UTF8) if number == 0 else data


def _with_long_start(pieces: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Yields the pieces, the first long enough for any byte order mark, and whether each is the last."""
    held = b""
    started = False
    for piece in pieces:
        if started or len(held) >= _LONGEST_MARK:
            yield held, False
            started, held = True, piece
        else:
            held += piece
    yield held, True


def _expect_text(start: bytes, name: str, encoding: str) -> None:
    for mark, kind in _BINARY.items():
        if start.startswith(mark):
            raise DatasetFormatError(f"{name} is {kind}, not a text file")
    if start.startswith(codecs.BOM_UTF8) and encoding != "utf-8":
        raise DatasetFormatError(f"{name} begins with the mark of UTF-8, and {encoding} was named: name utf-8")
    if _wide(start) and not encoding.startswith(("utf-16", "utf-32")):
        raise DatasetFormatError(f"{name}, line 1: the bytes are not {encoding}: {_remedy(start, encoding)}")


def _wide(start: bytes) -> str:
    """Returns the encoding of wide letters that a file begins in; empty if it does not look so."""
    if marked := next((encoding for mark, encoding in _WIDE.items() if start.startswith(mark)), ""):
        return marked
    by_zeros = {".000": "utf-32-le", "000.": "utf-32-be", ".0.0": "utf-16-le", "0.0.": "utf-16-be"}
    return by_zeros.get("".join("." if byte else "0" for byte in start), "")


def _remedy(start: bytes, encoding: str) -> str:
    wide = _wide(start)
    if wide and wide != encoding:
        return f"they look like {wide.upper()}; name it with --encoding {wide}, or save the file as UTF-8"
    if encoding == "utf-8":
        return "name the encoding, for example --encoding latin-1 or cp1252, or save the file as UTF-8"
    return "name another encoding with --encoding, or save the file as UTF-8"


def _newlines_before_error(decoder: codecs.IncrementalDecoder, data: bytes) -> int:
    """Counts the newlines before the first byte that cannot be decoded."""
    newlines = 0
    try:
        for part in data.splitlines(keepends=True):
            newlines += decoder.decode(part).count("\n")
    except UnicodeError:
        pass
    return newlines
