"""The output scan finds what is planted in every kind of file, and nothing in what only looks like it."""

import base64
import json
import random
from collections import Counter
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from openpyxl import Workbook

from segmentkit.errors import PrivacyStop
from segmentkit.machinery.output_scan import check_outputs, known, scan

PLANTED = {
    "anna.schmidt@example.com": "e-mail addresses",
    "o'brien+news@mail.example.co.uk": "e-mail addresses",
    "jürgen@müller.de": "e-mail addresses",
    "+49 30 901820": "phone numbers",
    "+447700900123": "phone numbers",
    "0041 44 668 18 00": "phone numbers",
    "(212) 555-0123": "phone numbers",
    "4539 1488 0343 6467": "card numbers",
    "371449635398431": "card numbers",
    "DE89 3704 0044 0532 0130 00": "bank accounts",
    "GB82WEST12345698765432": "bank accounts",
}
HARMLESS = [
    "2026-11-22T18:27:05+00:00",
    "31-12-2025",
    "1,234,567.89 EUR, 12 345 678 and +1,500,000",
    "0.4539148803436467",
    "c289a19cc603149c839652bd0e0858968b2cefa09443b3d2151f34fe2a7354af",
    "4006381333931",
    "0041190468831",
    "5123456789012 1700000000000000",
    "c1a2b3c4d5e6f7a8b9c0d k1a2b3c4d5e6f7a8b9c0d",
    "shop-20261122-082038",
    "@media print, c***@e***.com, name@, pandas==3.1.1 @ lib",
    "M12.5 340.2L55 12 345 678 90",
]


def write(folder: Path, name: str, *texts: str) -> None:
    """The texts as lines, cells or values of a file of that kind, from the second line or third cell on."""
    path, text = folder / name, "\n".join(texts)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pd.DataFrame({"customer_id": "c1", "why": ["nearby", *texts, None]}).to_parquet(path)
    elif path.suffix == ".xlsx":
        book = Workbook()
        for row, value in enumerate(texts, 3):
            book.worksheets[0][f"B{row}"] = value
        book.save(path)
    elif path.suffix == ".ipynb":
        cell = nbformat.v4.new_code_cell("x", outputs=[nbformat.v4.new_output("stream", text=f"first\n{text}\n")])
        path.write_text(nbformat.writes(nbformat.v4.new_notebook(cells=[cell])), encoding="utf-8")
    elif path.suffix in {".json", ".jsonl"}:
        path.write_text(json.dumps({"told": f"first\n{text}"}, ensure_ascii=False) + "\n", encoding="utf-8")
    elif path.suffix in {".html", ".svg"}:
        path.write_text(f"<style>a{{}}</style>\n<p title='x'>{text}</p>\n", encoding="utf-8")
    else:
        path.write_text(f"first\nsecond: {text}\n", encoding="utf-8")


KINDS = [
    "report/index.html", "notebooks/01.ipynb", "metrics.json", "log.jsonl", "parameters.yaml", "deck/table.csv",
    "deck/notes.md", "notes.txt", "deck/figure.svg", "deck/summary.xlsx", "tables/survey.parquet",
    "quarantine/customers.parquet", "kernel.log",
]  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_every_planted_identifier_is_found_in_every_kind_of_file(tmp_path: Path, name: str) -> None:
    write(tmp_path, name, *PLANTED)
    counted: Counter[str] = Counter()
    for found in scan(tmp_path):
        counted[found.kind] += found.count
        assert found.file == name
        assert not any(text in str(found) for text in PLANTED)
    assert counted == Counter(PLANTED.values())


@pytest.mark.parametrize("text", PLANTED)
def test_each_planted_identifier_is_found_alone_and_as_its_kind(tmp_path: Path, text: str) -> None:
    write(tmp_path, "notes.txt", text)
    write(tmp_path, "tables/survey.parquet", text)
    kind = PLANTED[text]
    assert [(one.kind, one.count, one.masked[:2]) for one in scan(tmp_path)] == [(kind, 1, text[:2])] * 2


@pytest.mark.parametrize("name", KINDS)
def test_what_only_looks_like_one_is_passed(tmp_path: Path, name: str) -> None:
    write(tmp_path, name, *HARMLESS)
    assert [scan(tmp_path, country) for country in ("", "DE", "US")] == [[], [], []]


@pytest.mark.parametrize(
    ("name", "place"),
    [("notes.txt", "line 2"), ("report/a.html", "line 2"), ("a.xlsx", "Sheet!B3"), ("tables/a.parquet", "column why")],
)
def test_a_finding_has_its_place(tmp_path: Path, name: str, place: str) -> None:
    write(tmp_path, name, "anna@example.com, Bob@example.com" if place != "column why" else "anna@example.com")
    (found,) = scan(tmp_path)
    assert (found.place, found.count, found.masked) == (place, 1 + (place != "column why"), "an… (16 characters)")


def test_national_numbers_are_found_by_the_country_of_the_source(tmp_path: Path) -> None:
    write(tmp_path, "notes.md", "call 030 901820 or (030) 90 18 20")
    write(tmp_path, "tables/calls.parquet", "030 / 901820")
    assert scan(tmp_path) == []
    assert [(one.kind, one.count) for one in scan(tmp_path, "de")] == [("phone numbers", 2), ("phone numbers", 1)]


def test_a_number_is_found_with_other_digits_behind_it(tmp_path: Path) -> None:
    write(tmp_path, "notes.md", "+49 30 901820 12 33 40 50 60", "030 901820 77 12 33 40")
    assert [one.count for one in scan(tmp_path, "DE")] == [2]


def test_a_column_of_bare_national_numbers_is_found_and_one_of_order_numbers_is_not(tmp_path: Path) -> None:
    (tmp_path / "tables").mkdir()
    draw = random.Random(7)
    orders = [f"{draw.randrange(10**9, 10**10)}" for _ in range(500)]
    phones = [f"0151{draw.randrange(10**7, 10**8)}" for _ in range(500)]
    abroad = [f"49151{draw.randrange(10**7, 10**8)}" for _ in range(500)]
    table = pd.DataFrame({"order_id": orders, "customer_id": phones, "mobile_number": abroad, "phone_model": "X200"})
    table.to_parquet(tmp_path / "tables" / "transactions.parquet")
    assert [one.place for one in scan(tmp_path, "DE")] == ["column customer_id", "column mobile_number"]
    assert [one.place for one in scan(tmp_path)] == ["column mobile_number"]


def test_rows_are_counted_and_files_that_leave_and_pictures_are_not_looked_at(tmp_path: Path) -> None:
    mails = [f"a{i % 20}@example.com" for i in range(1000)]
    (tmp_path / "tables").mkdir()
    pd.DataFrame({"note": mails}).to_parquet(tmp_path / "tables" / "notes.parquet")
    write(tmp_path, "exports/next/mailchimp/list.csv", "anna@example.com")
    write(tmp_path, "figures/a.png", "anna@example.com")
    assert [(one.file, one.count) for one in scan(tmp_path)] == [("tables/notes.parquet", 1000)]


def test_a_picture_as_text_hides_nothing_behind_it(tmp_path: Path) -> None:
    picture = base64.b64encode(random.Random(7).randbytes(200_000)).decode()
    write(tmp_path, "report/a.html", f'<img src="data:image/png;base64,{picture}">')
    assert scan(tmp_path, "DE") == []
    write(tmp_path, "report/a.html", f'<img src="data:image/png;base64,{picture}"> anna@example.com')
    assert len(scan(tmp_path)) == 1


def test_the_report_stops_with_every_place_and_no_value(tmp_path: Path) -> None:
    (tmp_path / "source.json").write_text('{"facts": {"country": "DE"}}', encoding="utf-8")
    check_outputs(tmp_path)
    write(tmp_path, "tables/survey.parquet", "030 901820")
    write(tmp_path, "metrics.json", "anna@example.com")
    with pytest.raises(
        PrivacyStop, match=r"metrics.json line 1: 1 e-mail.*survey.parquet column why: 1 phone"
    ) as caught:
        check_outputs(tmp_path)
    assert caught.value.exit_code == 6
    assert "anna@example.com" not in str(caught.value)
    assert "901820" not in str(caught.value)


WRITTEN = {
    "anna.schmidt@example.com": "ANNA.Schmidt@Example.com",
    "Anna Schmidt": "SCHMIDT, Anna",
    "Ben Smith": "ben_smith",
    "+49 30 901820 55": "030/90 18 20-55",
    "Zoë Müller": "Zoe\u0308  MÜLLER",
}


@pytest.mark.parametrize("name", KINDS)
def test_known_identifiers_are_found_in_any_writing(tmp_path: Path, name: str) -> None:
    write(tmp_path, name, *WRITTEN.values())
    others = ["Peter Pan", "+49 30 111222 33", "peter@example.com"]
    found = known(tmp_path, [*WRITTEN, *others])
    assert len(found) == len(WRITTEN)
    assert all(one.startswith(f"{name}: ") for one in found)
    assert not any(value in one for one in found for value in WRITTEN)


def test_known_identifiers_are_whole_words(tmp_path: Path) -> None:
    write(tmp_path, "notes.txt", "Annabel Schmidtke, joanna.schmidt@example.community, 30901820551")
    assert known(tmp_path, ["Anna Schmidt", "anna.schmidt@example.com", "+49 30 90182055"]) == []
