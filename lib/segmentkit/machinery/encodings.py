"""Encodings: a byte order mark decides, then what is stated, then UTF-8; nothing is read in a guessed one."""

import codecs
import shutil
from pathlib import Path

from segmentkit.errors import DataError
from segmentkit.machinery.opened import scratch_file

_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_CANDIDATES = ("cp1252", "cp1250", "cp1251", "mac_roman", "shift_jis", "gb18030")
_START, _CHUNK = 2**16, 2**22
_FEW = 3
_CONTROL = bytes({*range(32)} - {*b"\t\n\r\x0b\x0c\x1b"})
_CONTROL_ALLOWED = 8


def as_utf8(path: Path, file: str, stated: str = "") -> tuple[Path, tuple[str, ...]]:
    """The file itself if it is UTF-8 without a mark, else a copy that is; and notes on what was done.

    Bytes that are no text in the encoding stay as they are, so that the engine sets their line aside.

    Raises:
        DataError: an unknown encoding, or a file whose first lines are not text in it.
    """
    with path.open("rb") as content:
        start = content.read(_START)
    mark = next((mark for mark in _MARKS if start.startswith(mark)), b"")
    encoding = _known(file, _MARKS.get(mark, stated or "utf-8"))
    if encoding in ("utf-8", "utf-8-sig"):
        _refuse_other_encodings(file, start.removeprefix(codecs.BOM_UTF8))
    if encoding == "utf-8":
        return path, ()
    notes = (f"read as {encoding}",) if encoding != "utf-8-sig" else ()
    return _copy(path, file, encoding), (*notes, *(("byte order mark removed",) if mark else ()))


def _known(file: str, encoding: str) -> str:
    try:
        name = codecs.lookup(encoding).name
    except LookupError:
        raise DataError(f"{file}: encoding == {encoding!r} is unknown; state e.g. utf-8 or latin-1") from None
    return "utf-8" if name == "ascii" else name


def _copy(path: Path, file: str, encoding: str) -> Path:
    copy = scratch_file(path.suffix)
    if encoding == "utf-8-sig":
        with path.open("rb") as content, copy.open("wb") as target:
            content.seek(len(codecs.BOM_UTF8))
            shutil.copyfileobj(content, target, _CHUNK)
        return copy
    keep = "surrogatepass" if encoding.startswith(("utf-16", "utf-32")) else "surrogateescape"
    decoder = codecs.getincrementaldecoder(encoding)(keep)
    try:
        with path.open("rb") as content, copy.open("wb") as target:
            while chunk := content.read(_CHUNK):
                target.write(decoder.decode(chunk).encode("utf-8", keep))
            target.write(decoder.decode(b"", final=True).encode("utf-8", keep))
    except UnicodeError as error:
        raise DataError(f"{file} is not text in {encoding}: {error}; state its encoding, or export it again") from None
    return copy


def _refuse_other_encodings(file: str, start: bytes) -> None:
    """One odd line among many is set aside later; here the file as a whole is in another encoding."""
    if start.count(b"\0") * 3 > len(start):
        order = "utf-16-le" if start[1:2] == b"\0" else "utf-16-be"
        raise DataError(f'{file} is not text in utf-8: every other byte is zero; state encoding = "{order}"')
    odd = len(start) - len(start.translate(None, _CONTROL))
    if odd > max(_CONTROL_ALLOWED, len(start) // 10):
        raise DataError(f"{file} holds binary data, no text; export it again as .csv, or name it by its real ending")
    # the last line may be cut in the middle of a character
    lines = start.split(b"\n")[:-1] if len(start) == _START else start.split(b"\n")
    telling = [line for line in lines if not line.isascii()]
    wrong = [line for line in telling if not _fits(line, "utf-8")]
    header_wrong = bool(wrong) and wrong[0] is next((line for line in lines if line.strip()), b"")
    if header_wrong or (len(wrong) >= _FEW and 2 * len(wrong) > len(telling)):
        raise DataError(f"{file} is not text in utf-8; {_suggested(wrong)}")


def _fits(text: bytes, encoding: str) -> bool:
    try:
        text.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _suggested(lines: list[bytes]) -> str:
    """Encodings that would fit, each with the first letters it would read: nobody's name, yet enough to choose."""
    fitting, wrong = [], b"\n".join(lines)
    for encoding in _CANDIDATES:
        if _fits(wrong, encoding):
            letters = dict.fromkeys(letter for letter in wrong.decode(encoding) if not letter.isascii())
            fitting.append(f"{encoding} (reads {' '.join(list(letters)[:3])})")
    return "state encoding in the source, one of " + ", ".join(fitting or ["latin-1"])
