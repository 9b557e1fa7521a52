"""A strict reader of the files that leave, written from formats.json alone.

It knows nothing of the code that writes. Every breach of a platform's format is an AssertionError that says what and
where.
Limits are taken from the text of formats.json; where that text is silent, the stricter reading counts.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

Formats = Mapping[str, Any]
FIELD = re.compile(r'(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n|\n|\Z)')
PHONE = re.compile(r"\+[1-9]\d{6,14}")
UNSEEN = r"\x00-\x1f\x7f-\x9f\xad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff"  # nobody typed these
EMAIL = re.compile(rf'[^@\s,;<>"{UNSEEN}]+@[^@\s,;<>"{UNSEEN}]+\.[^@\s,;<>"{UNSEEN}]+')
DATE = re.compile(r"\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}:\d{2}(Z|[+-]\d{2}:\d{2})?)?")
HASH = re.compile(r"[0-9a-f]{64}")
TAG = re.compile(r"<[/!?A-Za-z]")
NO_VALUES = {"nan", "None", "<NA>", "NaT"}
HASHES_OF_NOTHING = {hashlib.sha256(text.encode()).hexdigest() for text in ("", "nan", "none", "nat", "<na>")}


def megabytes(text: str) -> int:
    """The first size in a text such as "<10 MB per file (any row count)", in bytes of the decimal megabyte."""
    found = re.search(r"(\d+) MB", text)
    assert found, f"no size in {text!r}"
    return int(found[1]) * 1_000_000


def parse(
    file: Path, *, most_bytes: int | None = None, byte_order_mark: bool = False, ends: str = "\r\n"
) -> pd.DataFrame:
    """A comma-separated file of RFC 4180 as text cells, "" where a cell is blank; columns may repeat a name.

    Args:
        file: The file.
        most_bytes: The size it must stay below.
        byte_order_mark: Whether one is allowed.
        ends: Line ends allowed: "\\n" (only that), or "\\r\\n" (either, but one kind in a file).
    """
    data = file.read_bytes()
    assert most_bytes is None or len(data) < most_bytes, f"{file.name} has {len(data):,} bytes, limit {most_bytes:,}"
    text = data.decode("utf-8")
    assert byte_order_mark or not text.startswith("\ufeff"), f"{file.name} begins with a byte order mark"
    text = text.removeprefix("\ufeff")
    assert "\0" not in text, f"{file.name} holds a NUL"
    rows, row, used, place = [], [], set(), 0
    for found in FIELD.finditer(text):
        assert found.start() == place, f"{file.name}: a stray quote or line end near {text[place : place + 40]!r}"
        place = found.end()
        quoted, bare, end = found.groups()
        row.append(bare if quoted is None else quoted.replace('""', '"'))
        if end != ",":
            if found.group() or len(row) > 1:
                rows.append(row)
                used.add(end)
            row = []
        if place == len(text) and end != ",":
            break
    assert place == len(text), f"{file.name}: unreadable from {text[place : place + 40]!r}"
    used.discard("")
    assert used in ({"\n"}, {ends}), f"{file.name} has line ends {sorted(used)}"
    assert len(rows) > 1, f"{file.name} has a header and nobody below it"
    ragged = [number for number, cells in enumerate(rows, 1) if len(cells) != len(rows[0])]
    assert not ragged, f"{file.name}: record {ragged[0]} has {len(rows[ragged[0] - 1])} cells, not {len(rows[0])}"
    table = pd.DataFrame(rows[1:], columns=rows[0], dtype=object)
    marks = {cell for cells in rows[1:] for cell in cells} & NO_VALUES
    assert not marks, f"{file.name}: the mark of a missing value was written as text, {marks}"
    assert not any(all(not cell for cell in cells) for cells in rows[1:]), f"{file.name} has an empty record"
    return table


def header(
    file: Path, table: pd.DataFrame, allowed: list[str], required: list[str], repeat: tuple[str, ...] = ()
) -> None:
    """The names are those allowed, letter for letter, and those required are there."""
    names = list(table.columns)
    others = [name for name in names if name not in allowed]
    assert not others, f"{file.name}: columns {others} are in no format; allowed are {allowed}"
    lacking = [name for name in required if name not in names]
    assert not lacking, f"{file.name}: columns {lacking} are needed and not there"
    twice = {name for name in names if names.count(name) > 1} - set(repeat)
    assert not twice, f"{file.name}: columns {twice} stand there twice"


def cells(table: pd.DataFrame, name: str) -> list[str]:
    """The filled cells of a column, over all its repetitions; none where it is not there."""
    columns = [place for place, known in enumerate(table.columns) if known == name]
    return [cell for place in columns for cell in table.iloc[:, place] if cell]


def every(file: Path, table: pd.DataFrame, name: str, pattern: re.Pattern[str], what: str) -> None:
    """Each filled cell of a column has the form."""
    wrong = [cell for cell in cells(table, name) if not pattern.fullmatch(cell)]
    assert not wrong, f"{file.name}: {name} {wrong[0]!r} is not {what} ({len(wrong)} such cells)"


def filled(file: Path, table: pd.DataFrame, *names: str) -> None:
    """No cell of these columns is blank."""
    for name in names:
        assert len(cells(table, name)) == len(table), f"{file.name}: {name} is blank in some record"


def unique(file: Path, values: list[str], what: str) -> None:
    """No value comes twice, whatever its letters' case and the spaces around it."""
    plain = pd.Series([value.strip().lower() for value in values], dtype=object)
    assert not plain.duplicated().any(), f"{file.name}: {what} {plain[plain.duplicated()].iloc[0]!r} comes twice"


def formula_free(file: Path, table: pd.DataFrame, formats: Formats, *, phones: tuple[str, ...] = ()) -> None:
    """No cell that a spreadsheet would run; a telephone number +... in a column of phones is none."""
    starts = tuple(formats["csv_injection"]["starts"])
    for place, name in enumerate(table.columns):
        wrong = [
            cell
            for cell in table.iloc[:, place]
            if cell.startswith(starts) and not (name in phones and PHONE.fullmatch(cell))
        ]
        assert not wrong, f"{file.name}: {name} {wrong[0]!r} begins as a formula does"
        assert not name.startswith(starts), f"{file.name}: the column name {name!r} begins as a formula does"


def hashed(file: Path, table: pd.DataFrame, *names: str) -> None:
    """Each filled cell is a lower-case SHA-256 in hex, and not that of nothing."""
    for name in names:
        every(file, table, name, HASH, "64 lower-case hex digits")
        assert not HASHES_OF_NOTHING & set(cells(table, name)), f"{file.name}: {name} has the hash of no value"


def hubspot_contacts(file: Path, formats: Formats) -> pd.DataFrame:
    rule = formats["outbound"]["hubspot_contacts"]
    table = parse(file, most_bytes=megabytes(rule["limits"]["free"]))
    allowed = [*rule["required_one_of"], *rule["recommended"], *rule["custom"]]
    header(file, table, list(dict.fromkeys(allowed)), rule["custom"])
    assert set(table.columns) & set(rule["required_one_of"]), f"{file.name} has nothing that names a contact"
    most_rows = int(re.search(r"([\d,]+) rows per file", rule["limits"]["starter+"])[1].replace(",", ""))
    assert len(table) < most_rows, f"{file.name} has {len(table):,} records, fewer than {most_rows:,} may be"
    assert table.shape[1] < 1000, f"{file.name} has {table.shape[1]:,} columns, fewer than 1,000 may be"
    identity = "Record ID" if "Record ID" in table and "Email" not in table else "Email"
    filled(file, table, identity, "Segment", "Segment run ID", "Segment date")
    unique(file, cells(table, identity), identity)
    if "Record ID" in table and identity != "Record ID":
        unique(file, cells(table, "Record ID"), "Record ID")
    every(file, table, "Email", EMAIL, "an e-mail address")
    every(file, table, "Segment date", DATE, "an ISO date")
    formula_free(file, table, formats)
    return table


def salesforce_bulk_v2(file: Path, formats: Formats) -> pd.DataFrame:
    rule = formats["outbound"]["salesforce_bulk_v2"]
    table = parse(file, most_bytes=megabytes(rule["limits"]) + 1, ends="\n")
    names = list(table.columns)
    wanted = rule["columns_update"] if "Id" in names else rule["columns_upsert"]
    header(file, table, wanted, wanted)
    assert names[0] == wanted[0], f"{file.name}: {names} is not {wanted}"
    filled(file, table, wanted[0], "Segment__c", "Segment_Run_Id__c", "Segment_Date__c")
    plain = pd.Series(cells(table, wanted[0]))
    assert not plain.duplicated().any(), f"{file.name}: {wanted[0]} comes twice"
    every(file, table, "Id", re.compile(r"[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?"), "an id of 15 or 18 characters")
    every(file, table, "Segment_Date__c", re.compile(r"\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}:\d{2}Z)?"), "yyyy-MM-dd")
    padded = [cell for name in names for cell in cells(table, name) if cell != cell.strip()]
    assert not padded, f"{file.name}: {padded[0]!r} keeps its spaces"
    formula_free(file, table, formats)
    return table


def marketo_bulk_lead(file: Path, formats: Formats) -> pd.DataFrame:
    rule = formats["outbound"]["marketo_bulk_lead"]
    table = parse(file, most_bytes=megabytes(rule["limits"]))
    header(file, table, rule["columns"], ["email", "segmentName", "segmentRunId"])
    filled(file, table, "email", "segmentName", "segmentRunId")
    unique(file, cells(table, "email"), "email")
    every(file, table, "email", EMAIL, "an e-mail address")
    formula_free(file, table, formats)
    return table


def klaviyo_profiles(file: Path, formats: Formats) -> pd.DataFrame:
    rule = formats["outbound"]["klaviyo_profiles"]
    table = parse(file, most_bytes=megabytes(rule["limits"]))
    columns = [name for name in rule["columns"] if "Consent" not in name]
    header(file, table, [*columns, "Email Address"], ["Segment", "Segment Run ID"])
    first = table.columns[0]
    assert first in {"Email", "Email Address", "Phone Number"}, f"{file.name}: the first column is {first!r}"
    assert not {"Email", "Email Address"} <= set(table.columns), f"{file.name} has two columns of e-mails"
    blank = pd.Series("", index=table.index)
    email = table.get("Email", table.get("Email Address", blank))
    phone = table.get("Phone Number", blank)
    assert ((email != "") | (phone != "")).all(), f"{file.name}: a record has neither e-mail nor phone"
    unique(file, [value for value in email if value], "e-mail")
    unique(file, [value for value in phone if value], "phone")
    every(file, table, "Email", EMAIL, "an e-mail address")
    every(file, table, "Email Address", EMAIL, "an e-mail address")
    every(file, table, "Phone Number", PHONE, "an E.164 phone number")
    filled(file, table, "Segment", "Segment Run ID")
    formula_free(file, table, formats, phones=("Phone Number",))
    return table


def braze_attributes(file: Path, formats: Formats) -> pd.DataFrame:
    rule = formats["outbound"]["braze_attributes"]
    table = parse(file, most_bytes=megabytes(rule["limits"]))
    aliases = rule["alternative_id"]
    alias = bool(set(aliases) & set(table.columns))
    ids = aliases if alias else ["external_id"]
    assert not (alias and "external_id" in table), f"{file.name} mixes external_id and alias"
    header(file, table, [*ids, "segment_name", "segment_run_id"], ids)
    filled(file, table, *table.columns)
    assert not table.duplicated(ids).any(), f"{file.name}: an id comes twice"
    tags = [cell for name in table for cell in table[name] if TAG.search(cell)]
    assert not tags, f"{file.name}: HTML in {tags[0]!r}"
    formula_free(file, table, formats)
    return table


def google_customer_match(file: Path, formats: Formats) -> pd.DataFrame:
    rule = formats["outbound"]["google_customer_match"]
    table = parse(file)
    names = list(table.columns)
    if "User ID" in names or "Mobile Device ID" in names:
        assert len(names) == 1, f"{file.name}: {names} mixes kinds of id"
        return table
    header(file, table, rule["header_english_only"], [], repeat=("Email", "Phone", "Zip"))
    address = rule["address_match_needs"]
    some = set(address) & set(names)
    assert not some or some == set(address), f"{file.name}: an address match needs {address}, not {sorted(some)}"
    hashed(file, table, "Email", "Phone", "First Name", "Last Name")
    every(file, table, "Country", re.compile(r"[A-Z]{2}"), "a plain ISO country")
    assert not any(HASH.fullmatch(cell) for cell in cells(table, "Zip")), f"{file.name}: Zip must not be hashed"
    full = table[address].ne("").all(axis=1) if some else pd.Series(False, index=table.index)
    named = [place for place, name in enumerate(names) if name in {"Email", "Phone"}]
    assert (table.iloc[:, named].ne("").any(axis=1) | full).all(), f"{file.name}: nothing in a record can be matched"
    assert not table.duplicated().any(), f"{file.name}: a person stands there twice"
    formula_free(file, table, formats)
    return table


def meta_custom_audience(file: Path, formats: Formats) -> pd.DataFrame:
    rule = formats["outbound"]["meta_custom_audience"]
    table = parse(file)
    header(file, table, rule["header"], [], repeat=("email", "phone"))
    names = list(table.columns)
    assert max(names.count("email"), names.count("phone")) <= 3, f"{file.name} has more than 3 columns of a kind"
    assert "uid" not in names, f"{file.name}: internal customer codes must go"
    assert set(names) & {"email", "phone", "madid", "fn"}, f"{file.name} has nothing to match by"
    hashed(
        file, table, *(name for name in ("email", "phone", "fn", "ln", "ct", "st", "country", "zip") if name in names)
    )
    fewest = int(re.search(r"under (\d+) people", rule["min"])[1])
    assert len(table) >= fewest, f"{file.name} has {len(table)} people; lists under {fewest} are to be avoided"
    assert not table.duplicated().any(), f"{file.name}: a person stands there twice"
    formula_free(file, table, formats)
    return table


def mailchimp_audience(file: Path, formats: Formats) -> pd.DataFrame:
    rule = formats["outbound"]["mailchimp_audience"]
    table = parse(file)
    header(file, table, rule["columns"], ["Email Address", "Tags"])
    filled(file, table, "Email Address", "Tags")
    unique(file, cells(table, "Email Address"), "e-mail")
    every(file, table, "Email Address", EMAIL, "an e-mail address")
    assert not any(not tag.strip() for cell in table["Tags"] for tag in cell.split(",")), (
        f"{file.name} has an empty tag"
    )
    formula_free(file, table, formats)
    return table


def generic_audience(file: Path, formats: Formats) -> pd.DataFrame:
    rule = formats["outbound"]["generic_audience"]
    table = parse(file, byte_order_mark=True)
    documented = len(rule["columns"])
    header(file, table, [*rule["columns"], *OWN_COLUMNS], rule["columns"])
    assert list(table.columns[:documented]) == rule["columns"], f"{file.name}: {list(table.columns)} is not in order"
    filled(file, table, "customer_id", "segment_id", "assigned_at", "run_id")
    plain = table["customer_id"]
    assert not plain.duplicated().any(), f"{file.name}: customer {plain[plain.duplicated()].iloc[0]!r} comes twice"
    every(file, table, "assigned_at", DATE, "an ISO date")
    every(file, table, "confidence", re.compile(r"0|1|[01]?\.\d+"), "a share")
    for name in ("control_group", "consent_email", "consent_ads"):
        every(file, table, name, re.compile("true|false|yes|no"), "true or false")
    assert not set(table["control_group"]) & {"true", "yes"}, f"{file.name} holds the control group"
    formula_free(file, table, formats)
    return table


# formats.json has no contact details in the plain list; the kit's own file for people has them behind its columns
OWN_COLUMNS = ["arm", "offer", "email", "phone", "first_name", "last_name", "country", "postcode"]
READERS: dict[str, Callable[[Path, Formats], pd.DataFrame]] = {
    "hubspot_contacts": hubspot_contacts,
    "salesforce_bulk_v2": salesforce_bulk_v2,
    "marketo_bulk_lead": marketo_bulk_lead,
    "klaviyo_profiles": klaviyo_profiles,
    "braze_attributes": braze_attributes,
    "google_customer_match": google_customer_match,
    "meta_custom_audience": meta_custom_audience,
    "mailchimp_audience": mailchimp_audience,
    "generic_audience": generic_audience,
}
RUN_COLUMNS = ("Segment run ID", "Segment_Run_Id__c", "segmentRunId", "Segment Run ID", "segment_run_id", "run_id")
DATE_COLUMNS = ("Segment date", "Segment_Date__c", "assigned_at")


def read(
    platform: str, place: Path, formats: Formats, *, run: str, on: str, secret: tuple[str, ...] = ()
) -> pd.DataFrame:
    """A platform's file, or all of its folder's, read by the rules; one more column ``file``.

    Args:
        platform: A key of ``formats["outbound"]``.
        place: A file or a folder; of a folder every ``*.csv`` is read.
        formats: The content of formats.json.
        run: The run's id that each file must carry, in a column or in its name.
        on: The ISO date each file must carry.
        secret: Words (segment names, keys) that may not be in the name of a Meta list.
    """
    files = sorted(place.glob("*.csv")) if place.is_dir() else [place]
    assert files, f"{place} has no file"
    tables = []
    for file in files:
        assert re.fullmatch(r"\w[\w.-]*\.csv", file.name), f"{file.name!r} is no plain file name"
        table = READERS[platform](file, formats)
        carried(file, table, RUN_COLUMNS, run)
        carried(file, table, DATE_COLUMNS, on)
        if platform == "meta_custom_audience":
            told = [
                word
                for word in secret
                if re.search(rf"(?<![a-z0-9]){re.escape(word.lower())}(?![a-z0-9])", file.stem.lower())
            ]
            assert not told, f"the list's name {file.name} tells {told}"
        tables.append(table.assign(file=file.name))
    together = pd.concat(tables, ignore_index=True)
    return together


def carried(file: Path, table: pd.DataFrame, columns: tuple[str, ...], value: str) -> None:
    """Every record, or the file's name, has the run's id (the arm may follow) or the date; no column has another."""
    known = [name for name in columns if name in table]
    for name in known:
        wrong = [cell for cell in table[name] if cell.split("T")[0] != value and not cell.startswith(f"{value} ")]
        assert not wrong, f"{file.name}: {name} is {wrong[0]!r}, not {value!r}"
    alike = value in file.name or value.replace("-", "") in file.name
    assert known or alike, f"{file.name} has {value!r} neither in a column nor in its name"
