"""A text file as bytes: where its blank lines and its footer are, how many lines it has, and how they end.

Fast enough to look at every byte of a large file: what the engine says it has read is held against these counts.
"""

import mmap
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from segmentkit.machinery.opened import scratch_file

LONG_LINE = 2_000_000
_BLOCK = 2**24
_BLANK_ROW = re.compile(rb"(?<=\n)[ \t,;|\"]*\r?\n|(?<=\r)[ \t,;|\"]*\r(?!\n)")


@contextmanager
def _mapped(path: Path) -> Iterator[mmap.mmap]:
    with path.open("rb") as content, mmap.mmap(content.fileno(), 0, access=mmap.ACCESS_READ) as data:
        yield data


def holds(path: Path, text: bytes) -> bool:
    """Whether the file holds these bytes."""
    with _mapped(path) as data:
        return next(_found(data, text), -1) >= 0


def count_lines(path: Path) -> int:
    """Physical lines, those within quotes and blank ones too; a last line need not end."""
    with _mapped(path) as data:
        end = _line_end(data)
        return _count(data, end, 0, len(data)) + (data[-1:] != end)


def has_long_line(path: Path) -> bool:
    """Whether a line is longer than the engine takes, 2 MB."""
    with _mapped(path) as data:
        end, place = _line_end(data), 0
        while len(data) - place > LONG_LINE:
            found = data.rfind(end, place, place + LONG_LINE)
            if found < 0:
                return True
            place = found + 1
        return False


def blank_lines(path: Path, begin: int) -> "np.ndarray[Any, np.dtype[np.int64]]":
    """Where blank lines outside quotes begin, from the header's first byte on."""
    with _mapped(path) as data:
        ends = (b"\n\n", b"\n\r\n", b"\r\r")
        places = sorted(place + 1 for text in ends for place in _found(data, text) if place >= begin)
        return np.fromiter(_outside_quotes(data, places), dtype="int64")


def line_ends(path: Path) -> str:
    """What is wrong with its line ends, if they are of several kinds."""
    with _mapped(path) as data:
        pairs = sum(1 for _ in _found(data, b"\r\n"))
        unix, old = (_count(data, end, 0, len(data)) - pairs for end in (b"\n", b"\r"))
    kinds = {"of Windows (CR LF)": pairs, "of Unix (LF)": unix, "of old Macs (CR)": old}
    found = [f"{count:,} {kind}" for kind, count in kinds.items() if count]
    return f"its line ends are mixed: {', '.join(found)}" if len(found) > 1 else ""


def without_footer(path: Path, footer: bool | str) -> tuple[Path, tuple[str, ...]]:
    """A copy up to the first wholly blank line, or up to the line that begins with the text given; and a note."""
    if not footer:
        return path, ()
    marker = re.compile(rb"(?<=[\r\n])\"?" + re.escape(footer.encode())) if isinstance(footer, str) else _BLANK_ROW
    with _mapped(path) as data:
        end = next(_outside_quotes(data, (match.start() for match in marker.finditer(data))), len(data))
        dropped = sum(1 for line in data[end:].splitlines() if line.strip(b' \t,;|"'))
        if not dropped:
            return path, ()
        copy = scratch_file(".csv")
        with copy.open("wb") as target:
            target.writelines(data[begin : min(begin + _BLOCK, end)] for begin in range(0, end, _BLOCK))
    where = "after the blank row" if footer is True else f"from the line that begins with {footer!r}"
    return copy, (f"dropped {dropped:,} footer lines {where}",)


def _line_end(data: mmap.mmap) -> bytes:
    return b"\n" if data.find(b"\n") >= 0 else b"\r"


def _found(data: mmap.mmap, text: bytes) -> Iterator[int]:
    for begin, end in _windows(data, 0, len(data)):
        place = data.find(text, begin, end + len(text) - 1)
        while place >= 0:
            yield place
            place = data.find(text, place + 1, end + len(text) - 1)


def _outside_quotes(data: mmap.mmap, places: Iterable[int]) -> Iterator[int]:
    """Those places that have an even number of quotes before them."""
    quotes = last = 0
    for place in places:
        quotes += _count(data, b'"', last, place)
        last = place
        if quotes % 2 == 0:
            yield place


def _count(data: mmap.mmap, byte: bytes, begin: int, end: int) -> int:
    return sum(data[start:stop].count(byte) for start, stop in _windows(data, begin, end))


def _windows(data: mmap.mmap, begin: int, end: int) -> Iterator[tuple[int, int]]:
    """Pieces of the file, each let go of after it was looked at: a large file must not fill the memory."""
    for start in range(begin, end, _BLOCK):
        stop = min(start + _BLOCK, end)
        yield start, stop
        if hasattr(data, "madvise"):
            page = start - start % mmap.PAGESIZE
            data.madvise(mmap.MADV_DONTNEED, page, stop - page)
