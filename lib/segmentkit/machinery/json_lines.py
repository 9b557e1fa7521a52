"""JSON lines: one object a line, its top-level keys as columns of text; what is nested stays JSON text."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segmentkit.errors import DataError
from segmentkit.machinery.encodings import as_utf8
from segmentkit.machinery.headers import distinct_names
from segmentkit.machinery.opened import Opened, first_line, keep, named, quoted, set_aside

_MOST_KEYS = 1000
_MEND = "mend the line in the file, or export it again as JSON lines: one object a line"


def read_json(connection: Any, path: Path, file: str, options: Mapping[str, Any]) -> Opened:
    """Open JSON lines, or an array of objects; a line that is no JSON object is set aside with its number.

    Every key of any row is a column, so a key that is absent from the first rows is there all the same.

    Raises:
        DataError: no line is a JSON object, an array is broken, or there are more than 1,000 keys.
    """
    clean, notes = as_utf8(path, file, str(options.get("encoding", "")))
    with clean.open("rb") as content:
        is_array = content.read(2**16).lstrip().startswith(b"[")
    how = "read_json_objects({}, format = 'array')" if is_array else "read_ndjson_objects({}, ignore_errors = true)"
    call = how.format(quoted(clean.as_posix()))
    try:
        lines = keep(connection, f"SELECT row_number() OVER () AS row_number, json FROM {call}")
    except Exception as error:
        raise DataError(
            f"{file} cannot be read as JSON: {first_line(error)}; export it again as JSON lines: one object a line"
        ) from None
    source = named(lines.get_name())
    broken = connection.raw_sql(
        f"SELECT row_number, json IS NULL FROM {source} "
        "WHERE coalesce(json_type(json), '') <> 'OBJECT' ORDER BY row_number"
    ).fetchall()
    rules = {True: "unreadable: the line is not whole JSON", False: "unreadable: the line is no JSON object"}
    unreadable = set_aside((number, rules[no_json], "", "", _MEND) for number, no_json in broken)
    keys = _keys(connection, source, file)
    names, more = distinct_names(file, keys, number=bool(options.get("number_duplicates", False)))
    paths = ", ".join(quoted("/" + key.replace("~", "~0").replace("/", "~1")) for key in keys)
    columns = ", ".join(f"texts[{place}] AS {named(name)}" for place, name in enumerate(names, 1))
    extracted = f"SELECT row_number, json_extract_string(json, [{paths}]) AS texts FROM {source}"
    only_objects = "WHERE json_type(json) = 'OBJECT'"
    table = keep(connection, f"SELECT row_number, {columns} FROM ({extracted} {only_objects})")
    array = ("a JSON array instead of lines: its elements are the rows",) if is_array else ()
    return Opened(file, table, unreadable, (*notes, *array, *more), path)


def _keys(connection: Any, source: str, file: str) -> list[str]:
    """Every top-level key, by first appearance."""
    found = connection.raw_sql(
        "SELECT key FROM (SELECT row_number, unnest(json_keys(json)) AS key, "
        f"generate_subscripts(json_keys(json), 1) AS place FROM {source} WHERE json_type(json) = 'OBJECT') "
        "GROUP BY key ORDER BY min((row_number, place))"
    ).fetchall()
    if not found:
        raise DataError(f"{file}: no line of it is a JSON object; export it as JSON lines: one object a line")
    if len(found) > _MOST_KEYS:
        raise DataError(
            f"{file}: its objects have {len(found):,} different keys; allowed: {_MOST_KEYS:,}; "
            "keys look like data here: export one object a row"
        )
    return [key for (key,) in found]
