"""`source new`: files in, a source out that loads and gives the right money, with nothing settled that is open."""

import argparse
import json
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from column_hits import OTHER_SHOPS, made
from segmentkit.analysis.audit import check_tables
from segmentkit.analysis.column_guess import read_columns
from segmentkit.analysis.column_lines import propose
from segmentkit.errors import ParameterError
from segmentkit.machinery import data_commands, proposing
from segmentkit.machinery.paths import project_root
from segmentkit.machinery.reading import read_source
from segmentkit.machinery.runs import connect
from segmentkit.machinery.sources import load_source

FORMATS = project_root() / "tests" / "formats"
FACTS = ("--currency", "EUR", "--time-zone", "Europe/Berlin", "--basis", "a test")
DAY = ("--extracted-on", "2025-12-31")
SEMICOLON = "Client;Receipt;Date;Total\nC1;R1;31.12.2024;1.250,50\nC2;R2;01.11.2024;12,00\nC1;R3;02.11.2024;3,10\n"


def run(*words: str, answers: list[str] | None = None) -> int:
    """The command as typed; answers stand for a person at a terminal."""
    parser = argparse.ArgumentParser()
    data_commands.source_parser(parser.add_subparsers(), lambda options: 0)
    given: Iterator[str] = iter(answers or [])
    return proposing.propose_source(
        proposing.read_order(parser.parse_args(["source", "new", *words])),
        lambda sample, words, stated: propose(read_columns(sample, words), stated),
        (lambda question: next(given)) if answers is not None else None,
    )


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], str]:
    def write_file(name: str, text: str) -> str:
        (tmp_path / name).write_text(text, encoding="utf-8")
        return str(tmp_path / name)

    return write_file


def content(tmp_path: Path, name: str = "my_source.toml") -> dict[str, Any]:
    return tomllib.loads((tmp_path / name).read_text(encoding="utf-8"))


def checked(path: Path) -> dict[str, Any]:
    return check_tables(read_source(load_source(str(path)), connect()))


def test_a_plain_file_takes_at_most_twelve_lines(write, tmp_path: Path) -> None:
    assert run(write("orders.csv", SEMICOLON), *FACTS) == 0
    lines = (tmp_path / "my_source.toml").read_text(encoding="utf-8").splitlines()
    assert len([line for line in lines if line and not line.startswith("#")]) <= 12
    table = content(tmp_path)["transactions"]
    assert (table["decimal"], table["date_format"], table["amount"]) == (",", "%d.%m.%Y", "Total")
    assert checked(tmp_path / "my_source.toml")["transactions"].money("analysed") == pytest.approx(1265.60)


def test_without_facts_it_writes_questions_and_exits_2(write, tmp_path: Path, capsys) -> None:
    assert run(write("orders.csv", SEMICOLON)) == 2
    asked = [key for key, value in content(tmp_path).items() if value == "?"]
    assert asked == ["currency", "time_zone", "analysis_basis"]
    assert 'line 2: time_zone = "?"' in capsys.readouterr().out
    with pytest.raises(ParameterError, match="time_zone"):
        load_source(str(tmp_path / "my_source.toml"))


def test_an_open_line_says_what_to_choose_between(write, tmp_path: Path) -> None:
    orders = write("orders.csv", SEMICOLON.replace("31.12.2024", "03/04/2024").replace(".11.", "/11/"))
    assert run(orders, *FACTS) == 2
    line = next(t for t in (tmp_path / "my_source.toml").read_text(encoding="utf-8").splitlines() if '= "?"' in t)
    assert line.startswith("date_format")
    assert "3 April 2024" in line
    assert "4 March 2024" in line


def test_a_person_is_asked_by_number(write, tmp_path: Path, capsys) -> None:
    orders = write("orders.csv", SEMICOLON.replace("31.12.2024", "03/04/2024").replace(".11.", "/11/"))
    assert run(orders, answers=["2", "EUR", "Europe/Berlin", "legitimate interest"]) == 0
    assert content(tmp_path)["transactions"]["date_format"] == "%m/%d/%Y"
    assert content(tmp_path)["analysis_basis"] == "legitimate interest"
    assert "1  03/04/2024 is 3 April 2024" in capsys.readouterr().out


def test_the_command_line_answers_too(write, tmp_path: Path) -> None:
    orders = write("orders.csv", SEMICOLON.replace("31.12.2024", "03/04/2024").replace(".11.", "/11/"))
    assert run(orders, *FACTS, "--date-format", "%d/%m/%Y", "--column", "channel=web") == 0
    assert content(tmp_path)["transactions"]["date_format"] == "%d/%m/%Y"


def test_a_choice_of_money_is_taken_by_number(write, tmp_path: Path) -> None:
    text = "Customer ID,Order ID,Date,Subtotal,Total\nC1,A,2024-01-31,10.00,11.90\nC1,B,2024-02-28,20.00,23.80\n"
    assert run(write("orders.csv", text), *FACTS) == 2
    (tmp_path / "my_source.toml").unlink()
    assert run(write("orders.csv", text), *FACTS, "--column", "amount=Total") == 0
    assert checked(tmp_path / "my_source.toml")["transactions"].money("analysed") == pytest.approx(35.70)


def test_it_never_overwrites(write, tmp_path: Path) -> None:
    orders = write("orders.csv", SEMICOLON)
    (tmp_path / "my_source.toml").write_text("mine", encoding="utf-8")
    with pytest.raises(ParameterError, match="never overwritten"):
        run(orders, *FACTS)
    assert (tmp_path / "my_source.toml").read_text(encoding="utf-8") == "mine"


def test_where_it_cannot_write_it_says_so_before_it_asks(write, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="--out"):
        run(write("orders.csv", SEMICOLON), "--out", str(tmp_path / "nowhere" / "x.toml"), answers=[])


@pytest.mark.parametrize("name", ["plain_orders", "customer_level"])
def test_fixtures_without_a_map_give_their_rows_and_money(name: str, tmp_path: Path) -> None:
    truth = json.loads((FORMATS / name / "truth.json").read_text(encoding="utf-8"))
    (file,) = truth["files"]
    assert run(str(FORMATS / name / file), *FACTS, "--out", str(tmp_path / "x.toml")) == 0
    for table, kept in checked(tmp_path / "x.toml").items():
        if table == "consents":
            continue
        assert kept.rows_kept == truth["tables"][table]["kept"]
        if "amount" in truth["tables"][table]:
            assert f"{kept.money('analysed'):.2f}" == truth["tables"][table]["amount"]


def test_a_file_that_fits_no_table_is_said_and_not_passed_over(write, tmp_path: Path, capsys) -> None:
    assert run(write("odd.csv", "colour,weight\nred,4\nblue,7\n"), *FACTS) == 2
    assert "fits no shared table" in capsys.readouterr().out


def test_two_orders_of_dates_in_one_ready_format_are_asked(tmp_path: Path) -> None:
    assert run(str(FORMATS / "social_posts" / "social_posts.csv"), *FACTS, "--out", str(tmp_path / "x.toml")) == 2
    assert '"?"' in (tmp_path / "x.toml").read_text(encoding="utf-8")


READY = sorted(path.parent.name for path in FORMATS.glob("*/truth.json"))


@pytest.mark.parametrize("name", [n for n in READY if n not in ("plain_orders", "customer_level")])
def test_ready_formats_are_recognised(name: str, tmp_path: Path) -> None:
    files = json.loads((FORMATS / name / "truth.json").read_text(encoding="utf-8"))["mapping"]
    # the one export in an encoding that a reader must be told
    told = ["--encoding", "cp1252"] if name == "salesforce_contacts" else []
    run(str(FORMATS / name / next(iter(files))), *FACTS, *told, "--out", str(tmp_path / "x.toml"))
    found = content(tmp_path, "x.toml")
    ready = [line if isinstance(line, str) else line["format"] for line in found.get("files", {}).values()]
    assert name in (*ready, found.get("survey", {}).get("format"))


def test_a_survey_of_a_ready_format_gets_its_questions(tmp_path: Path) -> None:
    run(str(FORMATS / "qualtrics" / "qualtrics.csv"), *FACTS, "--out", str(tmp_path / "x.toml"))
    items = content(tmp_path, "x.toml")["survey"]["items"]
    assert items["Q1"]["levels"][0] == "Strongly disagree"
    assert items["Q8"] == "numeric"


@pytest.mark.parametrize("template", ["orders", "customers", "campaigns"])
def test_templates_leave_nothing_open(template: str, tmp_path: Path) -> None:
    path = project_root() / "data" / "templates" / f"{template}.csv"
    assert run(str(path), *FACTS, *DAY, "--out", str(tmp_path / "x.toml")) == 0
    section = content(tmp_path, "x.toml")[{"orders": "transactions"}.get(template, template)]
    read = set(section) - {"path", "attributes"} | set(section.get("attributes", {}))
    assert read == set(pd.read_csv(path).columns)


@pytest.mark.parametrize("name", OTHER_SHOPS)
def test_every_proposal_can_be_written_and_read_back(name: str, tmp_path: Path, capsys) -> None:
    table, _ = made(name)
    table.to_csv(tmp_path / "file.csv", index=False)
    answers = [
        "--column",
        "amount=1",
        "--column",
        "leave_out=2",
        *(["--column", "channel=linkedin"] if "linkedin" in name else []),
        *(DAY if "typeform" in name else []),
    ]
    run(str(tmp_path / "file.csv"), *FACTS, "--currency", {"stripe charges": "USD"}.get(name, "EUR"), *answers)
    out = capsys.readouterr().out
    for secret in ("@example", "Meyer", "Castro", "+49 30 23"):
        assert secret not in out + (tmp_path / "my_source.toml").read_text(encoding="utf-8")
    source = load_source(str(tmp_path / "my_source.toml")) if "key" not in content(tmp_path) else None
    if source and not source.needs_key:
        assert all(one.rows_kept == one.rows_read for one in checked(tmp_path / "my_source.toml").values())


def test_several_files_join_by_their_addresses_only_with_a_key(write, tmp_path: Path) -> None:
    orders = write("orders.csv", "Email,Order ID,Date,Total\na@b.de,1,2024-01-31,5.00\na@b.de,2,2024-02-28,6.00\n")
    people = write("people.csv", "Customer ID,Email,City\n1,a@b.de,Ulm\n2,c@b.de,Bonn\n")
    assert run(orders, people, *FACTS, "--key", "0a1b2c3d") == 0
    found = content(tmp_path)
    assert (found["identifiers"], found["key"]) == ("direct", "0a1b2c3d")
    assert found["customers"]["keys"] == {"email": "Email"}


def test_whose_ids_two_files_have_is_asked_where_identities_are_joined(write, tmp_path: Path) -> None:
    days = [f"C{i % 9},c{i % 9}@b.de,{i},2024-01-{i + 1:02},{i}.50" for i in range(28)]
    orders = write("orders.csv", "\n".join(["Customer ID,Email,Order ID,Date,Total", *days]))
    people = write("people.csv", "\n".join(["Customer ID,Email,City", *(f"C{i},c{i}@b.de,Ulm" for i in range(12))]))
    assert run(orders, people, *FACTS, "--key", "0a1b2c3d") == 2
    assert (content(tmp_path)["transactions"]["system"], content(tmp_path)["customers"]["system"]) == ("?", "?")
    named = ("--column", "system=shop", "--out", str(tmp_path / "two.toml"))
    assert run(orders, people, *FACTS, "--key", "0a1b2c3d", *named) == 0
    assert load_source(str(tmp_path / "two.toml")).systems == ["shop"]


def test_names_are_read_when_asked_for_only(write, tmp_path: Path) -> None:
    people = write("people.csv", "Customer ID,First Name,Email,City\n1,Anna,a@b.de,Ulm\n2,Ben,c@b.de,Bonn\n")
    assert run(people, *FACTS, *DAY) == 0
    assert "addresses" not in content(tmp_path)
    assert run(people, *FACTS, *DAY, "--addresses", "--out", str(tmp_path / "two.toml")) == 0
    assert content(tmp_path, "two.toml")["addresses"]["first_name"] == "First Name"


def test_title_lines_above_the_header_are_counted_and_the_file_is_read(write, tmp_path: Path) -> None:
    assert run(write("orders.csv", f"Sales of shop North\nas of 31.12.2024\n\n{SEMICOLON}"), *FACTS) == 0
    assert content(tmp_path)["transactions"]["skip_rows"] == 2
    assert checked(tmp_path / "my_source.toml")["transactions"].money("analysed") == pytest.approx(1265.60)


def test_a_stated_encoding_is_for_files_that_are_not_utf8(write, tmp_path: Path) -> None:
    orders = write("orders.csv", SEMICOLON.replace("C1", "Käufer1").replace("C2", "Käufer2"))
    (tmp_path / "list.csv").write_bytes("Kundennummer;Ort;Straße\nC1;Köln;Weg 1\nC2;Lübeck;Weg 2\n".encode("cp1252"))
    assert run(orders, str(tmp_path / "list.csv"), *FACTS, "--encoding", "cp1252") == 0
    found = content(tmp_path)
    assert ("encoding" in found["transactions"], found["customers"]["encoding"]) == (False, "cp1252")


@pytest.mark.parametrize("header", ["amount_cents", "Total"])
def test_whole_amounts_that_may_be_cents_are_asked_for(header: str, write, tmp_path: Path) -> None:
    rows = "".join(f"C{n % 7},R{n},2024-01-{n % 28 + 1:02d},{1003 + 37 * n}\n" for n in range(60))
    orders = write("orders.csv", f"Customer ID,Order ID,Date,{header}\n{rows}")
    assert run(orders, *FACTS) == 2
    (tmp_path / "my_source.toml").unlink()
    assert run(orders, *FACTS, "--column", "amount=2") == 0
    total = sum(1003 + 37 * n for n in range(60)) / 100
    assert checked(tmp_path / "my_source.toml")["transactions"].money("analysed") == pytest.approx(total)


def test_ids_of_two_systems_that_share_none_are_kept_apart(write, tmp_path: Path) -> None:
    orders = write("orders.csv", "E-mail,Order ID,Date,Total\na@x.org,R1,2024-01-31,1.50\nb@x.org,R2,2024-02-28,2.25\n")
    crm = write("CRM list.csv", "CRM ID,E-mail,City,Newsletter\nH1,a@x.org,Gent,yes\nH2,b@x.org,Lyon,no\n")
    answers = write(
        "answers.csv", "Response ID,E-mail,Do you like it?,And this?,And that?\nR7,a@x.org,5,1,2\nR8,b@x.org,4,2,1\n"
    )
    run(orders, crm, answers, *FACTS, "--key", "0" * 8)
    found = content(tmp_path)
    systems = [found[table].get("system") for table in ("transactions", "customers", "consents", "survey")]
    assert systems == [None, "of_crm_list", "of_crm_list", "of_answers"]


def test_the_day_of_the_export_is_asked_where_no_table_tells_it(write, tmp_path: Path) -> None:
    crm = write("crm.csv", "Customer ID,City\nH1,Gent\nH2,Lyon\n")
    assert run(crm, *FACTS) == 2
    (tmp_path / "my_source.toml").unlink()
    assert run(crm, *FACTS, *DAY) == 0
    assert content(tmp_path)["extracted_on"] == "2025-12-31"
