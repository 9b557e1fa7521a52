"""The privacy key: made once, kept outside the project, and never another one without a word."""

import os
import re
from argparse import ArgumentParser
from pathlib import Path

import pytest

from segmentkit.errors import ParameterError, PrivacyStop
from segmentkit.machinery import data_commands, privacy_key
from segmentkit.machinery.paths import project_root
from segmentkit.pseudonyms import fingerprint


@pytest.fixture
def key_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEGMENTKIT_KEY_FILE", str(tmp_path / "own" / "key"))
    return tmp_path / "own" / "key"


def key(*words: str) -> int:
    parser = ArgumentParser()
    data_commands.key_parser(parser.add_subparsers())
    options = parser.parse_args(["key", *words])
    return int(options.command(options))


def test_a_key_is_made_shown_by_its_fingerprint_and_never_printed(
    key_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert key("new") == key("show") == 0
    told, text = capsys.readouterr().out, key_file.read_text(encoding="utf-8").strip()
    mark = fingerprint(bytes.fromhex(text))
    assert re.fullmatch("[0-9a-f]{64}", text)
    assert f'key = "{mark}"' in told
    assert f"{key_file}\nfingerprint {mark}" in told
    assert text not in told
    assert privacy_key.load_key(mark, "shop") == bytes.fromhex(text)
    if os.name != "nt":
        assert key_file.stat().st_mode & 0o777 == 0o600


def test_two_keys_differ(tmp_path: Path, key_file: Path) -> None:
    key("new")
    key("new", "--path", str(tmp_path / "other"))
    assert key_file.read_text(encoding="utf-8") != (tmp_path / "other").read_text(encoding="utf-8")


def test_a_key_is_not_written_over_and_a_replaced_one_stays_beside_it(key_file: Path) -> None:
    key("new")
    first = bytes.fromhex(key_file.read_text(encoding="utf-8"))
    mark = fingerprint(first)
    with pytest.raises(ParameterError, match=r"nothing was changed; .* --replace"):
        key("new")
    assert privacy_key.load_key(mark, "shop") == first
    key("new", "--replace")
    with pytest.raises(PrivacyStop, match=rf"has {mark}; .*key-{mark}.*--like") as caught:
        privacy_key.load_key(mark, "shop")
    assert fingerprint(bytes.fromhex(key_file.read_text(encoding="utf-8"))) in str(caught.value)
    assert privacy_key.find_key(mark) == first
    assert privacy_key.find_key("00000000") is None


def test_without_a_key_the_message_has_the_place_and_the_command(key_file: Path) -> None:
    with pytest.raises(PrivacyStop, match=rf"{re.escape(str(key_file))}.*python -m segmentkit key new"):
        privacy_key.load_key("a1b2c3d4", "shop")
    with pytest.raises(PrivacyStop, match=r"source shop: key == ''.*key new"):
        privacy_key.load_key("", "shop")


def test_a_source_that_states_no_key_is_given_the_line(key_file: Path) -> None:
    key("new")
    mark = fingerprint(bytes.fromhex(key_file.read_text(encoding="utf-8")))
    with pytest.raises(PrivacyStop, match=f'add key = "{mark}"'):
        privacy_key.load_key("", "shop")


@pytest.mark.parametrize("content", [b"", b"abc123", b"g" * 64, b"a" * 66, b"\xff\xfe" * 32])
def test_what_is_no_key_is_refused(key_file: Path, content: bytes) -> None:
    key("new")
    key_file.write_bytes(content)
    with pytest.raises(PrivacyStop, match="64 hexadecimal digits") as caught:
        privacy_key.load_key("a1b2c3d4", "shop")
    assert caught.value.exit_code == 6
    assert "abc123" not in str(caught.value)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such mode")
def test_a_key_that_others_may_read_is_refused(key_file: Path) -> None:
    key("new")
    key_file.chmod(0o640)
    with pytest.raises(PrivacyStop, match=r"== 0640; .*chmod 600"):
        privacy_key.load_key("a1b2c3d4", "shop")


@pytest.mark.parametrize("path", ["data/key", "../{name}/outputs/key"])
def test_a_key_inside_the_project_is_refused(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.setenv("SEGMENTKIT_KEY_FILE", path.format(name=project_root().name))
    with pytest.raises(PrivacyStop, match="must not lie inside the project"):
        key("new")
    with pytest.raises(PrivacyStop, match="must not lie inside the project"):
        privacy_key.load_key("a1b2c3d4", "shop")


def test_it_is_looked_for_in_the_users_own_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEGMENTKIT_KEY_FILE", raising=False)
    assert privacy_key.key_path().parts[-2:] == ("segmentkit", "key")
    assert not privacy_key.key_path().is_relative_to(project_root())
