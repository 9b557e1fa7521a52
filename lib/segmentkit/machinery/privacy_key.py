"""The privacy key: 32 random bytes in the user's own folder, never with the project, that pseudonyms are made by."""

import argparse
import os
import re
import secrets
import stat
from pathlib import Path

from segmentkit.errors import ParameterError, PrivacyStop
from segmentkit.machinery.paths import project_root
from segmentkit.pseudonyms import fingerprint

KEY_BYTES = 32
NEW = "python -m segmentkit key new"


def key_command(options: argparse.Namespace) -> int:
    """Make a key, or say where it is; the key itself is never printed.

    Raises:
        ParameterError: there is a key already, and ``--replace`` was not said.
        PrivacyStop: the place is inside the project, or the key cannot be used.
    """
    path = _outside(options.path or key_path())
    if options.action == "show":
        print(f"{path}\nfingerprint {fingerprint(_read(path))}")
        return 0
    if aside := _put_aside(path, options.replace):
        print(f"the key there was now lies at {aside}; pseudonyms made by it cannot be matched without it")
    _write(path, secrets.token_bytes(KEY_BYTES))
    print(f'{path}\nKeep a copy where only you can read it. In the source\'s TOML:\nkey = "{fingerprint(_read(path))}"')
    if path != key_path():
        print(f"It is used once the environment says so: SEGMENTKIT_KEY_FILE={path}")
    return 0


def key_path() -> Path:
    """Where the key is looked for: ``SEGMENTKIT_KEY_FILE``, or ``segmentkit/key`` in the user's config folder."""
    if stated := os.environ.get("SEGMENTKIT_KEY_FILE"):
        # a relative path counts from the project, which is refused: kernels start in other places than commands
        return project_root() / Path(stated).expanduser()
    own = os.environ.get("APPDATA") if os.name == "nt" else ""
    return (Path(own) if own else Path.home() / ".config") / "segmentkit" / "key"


def load_key(expected_fingerprint: str, source_name: str) -> bytes:
    """The key that a source was set up with.

    Args:
        expected_fingerprint: the source's ``key``.
        source_name: for the message.

    Raises:
        PrivacyStop: the source states none, or the key is absent, another one, or cannot be used.
    """
    path = _outside(key_path())
    if not expected_fingerprint:
        line = f'add key = "{fingerprint(_read(path))}"' if path.is_file() else f"{NEW} makes one and prints the line"
        raise PrivacyStop(
            f"source {source_name}: key == ''; with e-mails, phones or several systems it needs the fingerprint of the "
            f"privacy key; {line}, at the top of its TOML"
        )
    found = fingerprint(secret := _read(path))
    if found != expected_fingerprint:
        aside = _aside(path, expected_fingerprint)
        place = f"it lies at {aside}" if aside.is_file() else "restore its file"
        raise PrivacyStop(
            f"privacy key == {found} in {path}; source {source_name} has {expected_fingerprint}; by another "
            "key customers get other ids, and months cannot be compared; name the old key in SEGMENTKIT_KEY_FILE "
            f'({place}), or begin anew: write key = "{found}" into the TOML, as python -m segmentkit key show prints, '
            "and run without --like"
        )
    return secret


def fingerprint_here() -> str:
    """Fingerprint of the key in use; empty where there is none that can be used."""
    try:
        return fingerprint(_read(_outside(key_path())))
    except PrivacyStop:
        return ""


def find_key(wanted: str) -> bytes | None:
    """The key of a fingerprint, in use or put aside; None where it is not here.

    Raises:
        PrivacyStop: it is here and cannot be used.
    """
    path = _outside(key_path())
    for place in (path, _aside(path, wanted)):
        if place.is_file() and fingerprint(secret := _read(place)) == wanted:
            return secret
    return None


def _aside(path: Path, mark: str) -> Path:
    return path.with_name(f"{path.name}-{mark}")


def _outside(path: Path) -> Path:
    if path.resolve().is_relative_to(project_root().resolve()):
        raise PrivacyStop(
            f"privacy key == {path}; it must not lie inside the project, which is copied and shared; move it to your "
            "own folder and name it in SEGMENTKIT_KEY_FILE"
        )
    return path


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise PrivacyStop(
            f"privacy key == {path}, which is not there; pseudonyms are made by it alone; {NEW} makes one, or restore "
            "its file, or name its place in SEGMENTKIT_KEY_FILE"
        )
    mode = stat.S_IMODE(path.stat().st_mode)
    if os.name != "nt" and mode & 0o077:
        raise PrivacyStop(f"mode of {path} == {mode:04o}; others may read the privacy key; chmod 600 {path}")
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise PrivacyStop(
            f"privacy key == {path}, which cannot be read ({type(error).__name__}); it must be text of "
            f"{2 * KEY_BYTES} hexadecimal digits; restore its file"
        ) from None
    if not re.fullmatch(f"[0-9a-fA-F]{{{2 * KEY_BYTES}}}", text):
        raise PrivacyStop(
            f"privacy key in {path} == {len(text)} characters; it must be {2 * KEY_BYTES} hexadecimal digits; restore "
            f"its file, or take it away and make another: {NEW}"
        )
    return bytes.fromhex(text)


def _put_aside(path: Path, replace: bool) -> Path | None:
    if not path.is_file():
        return None
    if not replace:
        raise ParameterError(
            f"{path} exists; nothing was changed; without that key no customer of an earlier run can be matched or "
            "forgotten by e-mail or phone; --replace keeps it beside the new one, its fingerprint in the name"
        )
    aside = _aside(path, fingerprint(_read(path)))
    path.replace(aside)
    return aside


def _write(path: Path, secret: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # the mode is there from the first byte on, and a file that another process has just made is not written over
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
        file.write(f"{secret.hex()}\n")
        file.flush()
        os.fsync(file.fileno())
