"""Bad inputs through notebook 01's pipeline and the command line, and its sums under random tables."""

import re
from pathlib import Path
from typing import Any

import pytest

from bad_inputs import INPUTS, Bad, collected
from segmentkit.errors import exit_code_of
from segmentkit.machinery import unpacking
from segmentkit.machinery.runs import connect

IDENTIFIERS = re.compile(r"ann\d*@example|170 12345")


@pytest.fixture(scope="module")
def connection() -> Any:
    return connect()


def test_there_are_many_inputs_of_many_kinds() -> None:
    assert len(INPUTS) >= 80
    assert len({bad.kind for bad in INPUTS}) >= 25
    assert len({(bad.kind, bad.what) for bad in INPUTS}) == len(INPUTS)


@pytest.mark.parametrize("bad", INPUTS, ids=lambda bad: f"{bad.kind}: {bad.what}")
def test_the_answer_says_what_and_where_and_how_to_mend(
    bad: Bad, tmp_path: Path, connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(unpacking.LIMIT_VARIABLE, "4")
    answer = collected(bad, tmp_path, connection)
    assert answer.error == bad.error, answer.message
    assert [part for part in bad.says if part not in answer.message] == [], answer.message
    if bad.error:
        assert ";" in answer.message
        assert exit_code_of(bad.error) == {"ParameterError": 2, "AuditError": 5, "PrivacyStop": 6}.get(bad.error, 1)
    failed = answer.quarantined
    if not bad.error:
        assert dict(zip(failed["row_number"], failed["rule"], strict=True)) == bad.lost
        assert failed["file"].ne("").all()
        assert failed["mend"].str.len().gt(5).all()
        assert bad.warns in [check.check for check in answer.warnings] + [""]
    if len(failed) and not bad.error:
        first = failed.iloc[0]
        assert bad.shown in (None, first["value"])
        assert bad.mend in first["mend"]
    for one in answer.tables.values():
        assert one.rows_read == one.rows_kept + len(one.quarantined) + int(one.left_out["rows"].sum())
        if not bad.error:
            assert len(one.kept.execute()) == one.rows_kept
            assert not IDENTIFIERS.search(one.kept.execute().to_string())
    assert not IDENTIFIERS.search(answer.message + failed.to_string())
