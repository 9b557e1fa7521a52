"""Archives: unpacked into a private folder, within limits that are checked while unpacking."""

import fnmatch
import gzip
import os
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from segmentkit.errors import DataError, EnvironmentFault, ParameterError
from segmentkit.machinery.opened import scratch_file

LIMIT_VARIABLE = "SEGMENTKIT_MAX_UNPACKED_GB"
_CHUNK = 2**22
_GIGABYTE = 10**9
_ENCRYPTED = 0x1
_OF_THE_SYSTEM = ("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini")
_BROKEN = (gzip.BadGzipFile, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)


def unpack_gzip(path: Path) -> Path:
    """The content of a ``.gz`` file as a file with the inner suffix.

    Raises:
        DataError: it is no gzip file, is cut off, or would unpack to more than the limit.
    """
    target = scratch_file(Path(path.stem).suffix.lower())
    with gzip.open(path) as content:
        _copy(path.name, content, target, limit_bytes())
    return target


def unpack_zip(path: Path, pattern: str = "") -> Iterator[tuple[str, Path]]:
    """Name and unpacked copy of every file in a zip archive, or of those whose name fits ``pattern``; one at a time.

    Raises:
        DataError: it is no zip archive, is encrypted, leads outside itself, is too large, or nothing in it fits.
    """
    with _opened(path) as archive:
        members = [one for one in archive.infolist() if not one.is_dir() and not _of_the_system(one.filename)]
        for member in members:
            _refuse_unsafe(path.name, member)
        within_limit(path.name, sum(member.file_size for member in members))
        wanted = [one for one in members if fnmatch.fnmatch(PurePosixPath(one.filename).name, pattern or "*")]
        if not wanted:
            there = ", ".join(sorted(member.filename for member in members)) or "nothing"
            raise DataError(f"{path.name} holds no file {pattern or '*'}; it holds: {there}; mend `path`")
        for member in sorted(wanted, key=lambda one: one.filename):
            target = scratch_file("".join(PurePosixPath(member.filename).suffixes[-2:]).lower())
            with _member(path.name, archive, member) as content:
                _copy(f"{path.name}/{member.filename}", content, target, limit_bytes())
            yield member.filename, target


def within_limit(name: str, size: int) -> None:
    """Refuse an archive (a workbook is one too) that states a size over the limit.

    Raises:
        DataError: it does.
    """
    if size > limit_bytes():
        raise DataError(
            f"{name} would unpack to {size / _GIGABYTE:,.3g} GB or more; allowed: {limit_bytes() / _GIGABYTE:,g} GB; "
            f"unpack it yourself and look, or raise the environment variable {LIMIT_VARIABLE}"
        )


def limit_bytes() -> int:
    """The most that one archive may unpack to, in bytes: 20 GB, or what the environment variable states in GB.

    Raises:
        ParameterError: it states no positive number.
    """
    stated = os.environ.get(LIMIT_VARIABLE, "20")
    try:
        limit = float(stated)
    except ValueError:
        limit = 0.0
    if not 0 < limit < 1e6:
        raise ParameterError(f"{LIMIT_VARIABLE} == {stated!r}; it must be a number of GB above 0, e.g. 20; mend it")
    return int(limit * _GIGABYTE)


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(f"{path.name} is no whole zip archive: {error}; download or copy it again") from None


def _member(name: str, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> IO[bytes]:
    try:
        return archive.open(member)
    except _BROKEN as error:
        raise DataError(f"{name}/{member.filename} cannot be unpacked: {error}; unpack it yourself") from None


def _of_the_system(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return bool(parts) and (parts[0] in _OF_THE_SYSTEM or parts[-1] in _OF_THE_SYSTEM or parts[-1].startswith("._"))


def _refuse_unsafe(name: str, member: zipfile.ZipInfo) -> None:
    # the name is not used to write, but an archive that tries to lead outside is not one to trust
    parts = member.filename.replace("\\", "/").split("/")
    if ".." in parts or member.filename.startswith(("/", "\\")) or parts[0].endswith(":"):
        raise DataError(f"{name} holds {member.filename!r}, a path that leaves the archive; do not trust this file")
    if member.flag_bits & _ENCRYPTED:
        raise DataError(
            f"{name}/{member.filename} is encrypted; a password has no place in a source: unpack it yourself into a "
            "folder that only you can read, and name the file"
        )


def _copy(name: str, content: IO[bytes] | gzip.GzipFile, target: Path, limit: int) -> None:
    written = 0
    try:
        with target.open("wb") as copy:
            while chunk := content.read(_CHUNK):
                written += len(chunk)
                within_limit(name, written)
                _refuse_full_disk(name, target, len(chunk))
                copy.write(chunk)
    except BaseException as error:
        target.unlink(missing_ok=True)
        if isinstance(error, _BROKEN):
            raise DataError(f"{name} cannot be unpacked: {error or 'it is cut off'}; copy it again") from None
        raise


def _refuse_full_disk(name: str, target: Path, size: int) -> None:
    free = shutil.disk_usage(target.parent).free
    if free < size + _GIGABYTE:
        raise EnvironmentFault(
            f"{name}: {free / _GIGABYTE:,.1f} GB are free in {target.parent.parent}; 1 GB must stay free while "
            "unpacking; make room, or set the environment variable TMPDIR to a folder on a larger disk"
        )
