"""One part of a source as SQL: the file's columns under the shared table's names, in one writing."""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from segmentkit.contracts import ADDRESSES, TABLES, Formats
from segmentkit.errors import DataError
from segmentkit.machinery import ready_maps
from segmentkit.machinery.sources import Part

NUMBERS = {"money", "number", "numeric"}
# what stands around a number's digits: blanks, marks of thousands, the sign of a currency
_BLANKS, _SIGN = "[ \u00a0\u202f]*", r"([A-Z]{1,3}|[A-Z]{0,2}\p{Sc}|zł)?"
_COMMA = (
    rf"[+-]?{_BLANKS}{_SIGN}{_BLANKS}[+-]?(\d*|\d{{1,3}}([. ''’\x{{a0}}\x{{202f}}]\d{{3}})+)(,\d+)?{_BLANKS}{_SIGN}"
)
_OFFSET = r":\d\d(\.\d+)?\s*([+-]\d\d|Z)(:?\d\d)?$"
# rows of one file that several parts read are told apart by their copy
_COPIES = 1_000_000
SqlColumn = str | Mapping[str, str]


class NotInFile(DataError):
    """A file of a known format lacks a column that one shared table needs."""


@dataclass(frozen=True)
class Selected:
    """SQL over one file, and the file's columns that it takes and leaves."""

    query: str
    used: tuple[str, ...]
    unused: tuple[str, ...]


def select(
    name: str,
    part: Part,
    file: str,
    base: str,
    schema: Mapping[str, Any],
    formats: Formats | None,
    system: str,
    place: int,
    numbered_alike: str = "",
) -> Selected:
    """The rows of one file for one shared table.

    Args:
        name: the shared table.
        part: what the source says of it.
        file: for messages, and the column ``file``.
        base: view or table of the engine that holds the file, ``row_number`` among its columns.
        schema: its columns and their types.
        formats: how the file writes numbers and times, where they are to be brought to one writing; None leaves them.
        system: whose ids these are, where identities are to be resolved.
        place: of the part in the source, by which rows of one customer are joined.

    Raises:
        NotInFile: the file of a known format lacks what this table needs.
        DataError: the file lacks a column.
    """
    own = [column for column in schema if column != "row_number"]
    known = _known(part, file, own)
    wanted = _wanted(name, part, file, own, known)
    for column in {"order_id", "line_id"} & set(wanted) if numbered_alike else ():
        wanted[column] = f"{_text(numbered_alike + ':')} || trim(CAST({wanted[column]} AS VARCHAR))"
    kinds = {column.name: column.kind for column in (ADDRESSES if name == ADDRESSES.name else TABLES[name]).columns}
    kinds |= {item.name: item.kind for item in part.items}
    columns = [
        f"{value if formats is None else _standard(value, kinds.get(column, 'text'), formats)} AS {_name(column)}"
        for column, value in wanted.items()
    ]
    beside = _beside(part, file, system)
    if formats is not None or part.rows:
        # SQL may make several rows of one row of the file
        copy = "row_number() OVER (PARTITION BY row_number)" if part.rows else "1"
        beside.append(f"{place * _COPIES} + {copy} AS copy")
    if name == "customers":
        given = f"{wanted['customer_id']} IS NOT NULL" if "customer_id" in wanted else "false"
        beside += [f"{place} AS part", f"({given}) AS own_id"]
    rows = re.sub(r"AS_TIME\((\w+)\)", lambda found: _moment(found[1], formats or Formats()), part.rows)
    query = (
        f'WITH file AS (SELECT {_whole(part, file, known, schema)} FROM "{base}"), '
        f"rows_of AS ({rows or 'SELECT * FROM file'}) "
        f"SELECT row_number, {', '.join([*beside, *columns])} FROM rows_of"
    )
    taken = " ".join([part.rows, *wanted.values(), *part.leave_out.values(), part.returns])
    spelt = {column: header for header, column in known.items()}
    used = tuple(column for column in own if _occurs(spelt.get(column, column), taken))
    return Selected(query, used, tuple(column for column in own if column not in used))


def _occurs(column: str, text: str) -> bool:
    bare = re.sub(r"\"[^\"]*\"|'[^']*'", " ", text)
    return _name(column) in text or bool(re.search(rf"(?<!\w){re.escape(column)}(?!\w)", bare))


def _known(part: Part, file: str, own: list[str]) -> dict[str, str]:
    """Headers of the ready map, and how this file spells them."""
    if not part.format:
        return {}
    form = ready_maps.load(part.format)
    known = form.canonical(own)
    if missing := [header for header in form.needs if header not in known]:
        raise DataError(
            f"{file} has no column {missing[0]!r}, which every file of the format {part.format} has; it has: "
            f"{', '.join(own)}; export it again whole, or see what it is: python -m segmentkit source new {file}"
        )
    return known


def _whole(part: Part, file: str, known: Mapping[str, str], schema: Mapping[str, Any]) -> str:
    """Every column of the file: known headers by their known names, absent ones as nulls, nested ones as JSON."""
    if not part.format and not part.rows:
        return "*"
    headers = ready_maps.load(part.format).known if part.format else ()
    changed = {column for header, column in known.items() if column != header}
    nested = [column for column, kind in schema.items() if kind.is_nested()]
    taken = [f"EXCLUDE ({', '.join(map(_name, sorted(changed | set(nested))))})"] if changed | set(nested) else []
    columns = [" ".join(["*", *taken]), f"{_text(file)} AS file_name"]
    spelt = {column: header for header, column in known.items()}
    for column in sorted(changed | set(nested)):
        value = f"to_json({_name(column)})::VARCHAR" if column in nested else _name(column)
        columns.append(f"{value} AS {_name(spelt.get(column, column))}")
    columns += [f"NULL::VARCHAR AS {_name(header)}" for header in headers if header not in known]
    # what the star of a header such as "Amount spent (*)" stands for is a column too
    for header in (one for one in headers if "*" in one):
        before, _, after = header.partition("*")
        stands = known[header][len(before) : len(known[header]) - len(after)] if header in known else ""
        columns.append(f"nullif({_text(stands)}, '') AS {_name(f'{header}: *')}")
    return ", ".join(columns)


def _wanted(name: str, part: Part, file: str, own: list[str], known: Mapping[str, str]) -> dict[str, str]:
    """SQL by output column; of a ready map only what the file has."""
    required = (ADDRESSES if name == ADDRESSES.name else TABLES[name]).required
    headers = set(ready_maps.load(part.format).known) if part.format else set()
    there = [] if part.rows else [*own, *headers, *(f"{header}: *" for header in headers if "*" in header)]
    wanted = {}
    for column, value in (dict(part.columns) | {f"key_{kind}": value for kind, value in part.keys.items()}).items():
        text = _sql(file, there, column, value)
        taken = {header for header in headers if _occurs(header, text)}
        if taken and not taken & set(known):
            if column not in required or (column == "customer_id" and part.keys):
                continue
            if not re.search(r"(?i)coalesce\([^()]*, *'[^']*'\)", text):
                raise NotInFile(f"{file} has none of {', '.join(sorted(taken))}, from which {column} is taken")
        wanted[column] = text
    return wanted


def _sql(file: str, columns: list[str], name: str, value: SqlColumn) -> str:
    if not isinstance(value, str):
        return f"({value['expr']})"
    if columns and value not in columns:
        near = difflib.get_close_matches(value, columns, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else "it has: " + ", ".join(columns)
        if len(columns) == 1:
            hint = f"its header is read as one column, {columns[0]!r}: state what parts the columns, delimiter = ..."
        raise DataError(f"{file} has no column {value!r} for {name}; {hint}")
    return _name(value)


def _beside(part: Part, file: str, system: str) -> list[str]:
    """Columns that no shared table has: the file, why a row is left out, whether it is a return, whose id it is."""
    columns = [f"{_text(file)} AS file"]
    if part.leave_out:
        cases = " ".join(f"WHEN ({when}) THEN {_text(why)}" for why, when in part.leave_out.items())
        columns.append(f"CASE {cases} END AS left_out")
    if part.returns:
        columns.append(f"coalesce(({part.returns}), false) AS is_return")
    return [*columns, f"{_text(system)} AS system"] if system else columns


def _standard(value: str, kind: str, formats: Formats) -> str:
    """A value in one writing: times as ISO text in the business's zone, numbers with a dot.

    What the file does not hold as text needs no reading. A text that does not fit the stated writing gets that writing
    in front, between two unit separators: no other writing is read into it, and its mend can name the stated one.
    """
    text, typed = f"trim(CAST({value} AS VARCHAR))", f"typeof({value}) <> 'VARCHAR'"
    if kind in NUMBERS and formats.decimal == ",":
        fits = f"regexp_full_match({text}, '{_COMMA}')"
        plain = f"replace(replace({text}, '.', ''), ',', '.')"
        return f"CASE WHEN {typed} THEN {text} WHEN {fits} THEN {plain} ELSE {_marked(',', text)} END"
    if kind != "time" or not (formats.date_format or formats.timestamps_in != "local"):
        return text
    written = f"strftime({_moment(value, formats)}, '%Y-%m-%d %H:%M:%S.%f')"
    # a time with its own offset says more than the source
    stays = f"regexp_matches({text}, '{_OFFSET}')" + (f" AND {typed}" if formats.date_format else "")
    marked = _marked(formats.date_format, text)
    return f"CASE WHEN {text} = '' THEN NULL WHEN {stays} THEN {text} ELSE coalesce({written}, {marked}) END"


def _moment(value: str, formats: Formats) -> str:
    """A time as the engine's timestamp in the business's zone; missing where it cannot be read."""
    text = f"trim(CAST({value} AS VARCHAR))"
    here, there = _text(formats.time_zone), _text(formats.timestamps_in)
    local = (
        "{}" if formats.timestamps_in in ("local", formats.time_zone) else f"timezone({here}, timezone({there}, {{}}))"
    )
    moment = local.format(f"try_cast({text} AS TIMESTAMP)")
    if not formats.date_format:
        return moment
    # with an offset in its format, a text is an instant
    stated = f"timezone({here}, {{}})" if re.search("%[zZ]", formats.date_format) else local
    parsed = stated.format(f"try_strptime({text}, {_text(formats.date_format)})")
    return f"CASE WHEN typeof({value}) = 'VARCHAR' THEN {parsed} ELSE {moment} END"


def _marked(writing: str, text: str) -> str:
    return f"chr(31) || {_text(writing)} || chr(31) || {text}"


def _name(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
