"""The deck: a workbook, slides and one page to mail. Groups only, never a row of a customer."""

import base64
import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from openpyxl import Workbook
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE, Cell
from openpyxl.styles import Alignment, Font
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.worksheet import Worksheet
from PIL import Image

from segmentkit.errors import DataError, PrivacyStop
from segmentkit.machinery.files import replacing, write_text
from segmentkit.machinery.report import STOPS, render_alone

FORMULA = re.compile("[\\s\\u200b\\ufeff]*[=+\\-@\\t\\r\\n＝＋－＠]")
NARROWEST, WIDEST = 9, 60
PICTURE = (1000, 1400)
MOST_BYTES = 2_000_000
STATUSES = {
    "measured": "Measured: added up from the data themselves.",
    "estimated": "Estimated: from a lottery or a model, with its interval.",
    "stated": "Stated: somebody wrote it down for these segments.",
    "assumed": "Assumed: a parameter somebody set for this run.",
    "hypothesis": "Hypothesis: plausible and untested; a test decides.",
    "no evidence": "No evidence: the data say nothing of it.",
}


@dataclass(frozen=True)
class About:
    """What every part of a deck says of itself.

    Attributes:
        run: name of the run.
        date: when it was made.
        source: name of the source.
        notes: what a reader must know before any figure: simulated, generated data, not identified.
    """

    run: str
    date: str
    source: str
    notes: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """Source, run and date in one line."""
        return f"{self.source} · run {self.run} · {self.date}"


def write(
    folder: Path,
    about: About,
    *,
    scorecard: pd.DataFrame,
    bridge: pd.DataFrame,
    playbook: pd.DataFrame,
    slides: Sequence[tuple[str, bytes]],
    page: str,
) -> list[Path]:
    """Write ``deck/`` of a run: ``summary.xlsx``, ``slides/NN_name.png`` and ``summary.html``; an older deck goes.

    Args:
        folder: of the run.
        about: what every part says of itself.
        scorecard: one row a segment.
        bridge: the money bridge, ``step, amount``.
        playbook: ``segment_key, element, claim, status, value, low, high, customers, figure``.
        slides: name and PNG, in order.
        page: from ``summary_page``.

    Returns:
        The files.

    Raises:
        PrivacyStop: a table has rows of customers.
    """
    sheets = {"Scorecard": scorecard, "Money bridge": bridge, "Playbook": playbook}
    _check_groups(sheets)
    deck = folder / "deck"
    for old in (deck / "slides").glob("*.png"):
        old.unlink()
    with replacing(deck / "summary.xlsx") as temporary:
        workbook(about, sheets).save(temporary)
    paths = [deck / "slides" / f"{number:02}_{name}.png" for number, (name, _) in enumerate(slides, start=1)]
    for path, (_, content) in zip(paths, slides, strict=True):
        with replacing(path) as temporary:
            temporary.write_bytes(content)
    write_text(deck / "summary.html", page)
    return [deck / "summary.xlsx", *paths, deck / "summary.html"]


def _check_groups(tables: Mapping[str, pd.DataFrame]) -> None:
    for name, table in tables.items():
        if "customer_id" in table.columns:
            raise PrivacyStop(
                f"{name}: column == 'customer_id'; a deck holds groups, never a customer; sum it up by segment"
            )


def summary_page(
    about: About,
    *,
    title: str,
    supported: Sequence[str],
    scorecard: pd.DataFrame,
    bridge: pd.DataFrame,
    playbook: pd.DataFrame,
    names: Mapping[str, str],
    figures: Sequence[tuple[str, bytes, str]],
    not_told: Sequence[str] = (),
) -> str:
    """The page to mail, as one HTML file without scripts and without anything to fetch.

    Args:
        about: what it says of itself.
        title: the finding in a sentence.
        supported: what the data support, a paragraph each.
        scorecard: one row a segment.
        bridge: the money bridge.
        playbook: claims by segment.
        names: of the segments, by key.
        figures: name, PNG and alt text; made smaller where they are larger than a page.
        not_told: what else these figures do not tell, a paragraph each.

    Raises:
        PrivacyStop: a table has rows of customers.
        DataError: the page is larger than a mail should carry.
    """
    _check_groups({"scorecard": scorecard, "bridge": bridge, "playbook": playbook})
    claims = playbook.groupby("segment_key", sort=False)
    page = render_alone(
        "summary.html.j2",
        about=about,
        title=title,
        supported=supported,
        tables={"The segments": _table(scorecard), "From the ledger to the segments": _table(bridge)},
        playbook=[(key, names.get(str(key), ""), rows.to_dict("records")) for key, rows in claims],
        statuses=[told for status, told in STATUSES.items() if status in set(playbook["status"])],
        figures=[(name, _encoded(picture), alt) for name, picture, alt in figures],
        not_told=not_told,
        stops=STOPS,
    )
    if (size := len(page.encode())) >= MOST_BYTES:
        raise DataError(f"summary.html == {size:,} bytes; below {MOST_BYTES:,} to be mailed; give fewer figures")
    return page


def _table(table: pd.DataFrame) -> dict[str, Any]:
    table = table.convert_dtypes()
    numeric = [pd.api.types.is_numeric_dtype(table[name]) for name in table.columns]
    rows = [[_told(name, value) for name, value in row.items()] for row in table.to_dict("records")]
    return {"heads": [str(name).replace("_", " ") for name in table.columns], "numeric": numeric, "rows": rows}


def _told(column: str, value: Any) -> str:
    """A figure as a page shows it."""
    value = _bare(value)
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if not isinstance(value, float):
        return str(value)
    return f"{value:.1%}" if _is_share(column) else f"{value:,.2f}"


def _is_share(column: str) -> bool:
    return "share" in column.split("_") or column.endswith("_rate")


def _bare(value: Any) -> Any:
    """A plain value; None where there is none."""
    value = value.item() if hasattr(value, "item") else value
    if value is None or value is pd.NaT or value is pd.NA or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value if isinstance(value, bool | int | float) else str(value)


def _encoded(picture: bytes) -> str:
    """A picture no larger than a page, for a data URI."""
    opened, buffer = Image.open(io.BytesIO(picture)), io.BytesIO()
    opened.thumbnail(PICTURE)
    # flat colours: a palette of 256 is not seen, and halves the mail
    opened.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(buffer, format="PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


def workbook(about: About, sheets: Mapping[str, pd.DataFrame]) -> Workbook:
    """A workbook for people: every sheet says first what it is, figures are numbers, and text never is a formula."""
    made = Workbook()
    made.remove(made.worksheets[0])
    for name, table in sheets.items():
        _fill(made.create_sheet(name), about, table)
    return made


def _fill(sheet: Worksheet, about: About, table: pd.DataFrame) -> None:
    for row, text in enumerate((about.line, *about.notes), start=1):
        _set(sheet.cell(row, 1), "", text).font = Font(bold=row == 1, italic=row > 1)
    # counts that a gap has turned into fractions are counts again
    head, table = len(about.notes) + 3, table.convert_dtypes()
    for place, column in enumerate(map(str, table.columns), start=1):
        cell = _set(sheet.cell(head, place), "", column.replace("_", " "))
        cell.font, cell.alignment = Font(bold=True), Alignment(wrap_text=True, vertical="bottom")
        for row, value in enumerate(table[column], start=head + 1):
            filled = _set(sheet.cell(row, place), column, value)
            filled.alignment = Alignment(wrap_text=isinstance(filled.value, str), vertical="top")
        longest = max(map(len, [*column.split("_"), *(_told(column, value) for value in table[column])]))
        sheet.column_dimensions[get_column_letter(place)].width = min(max(longest + 2, NARROWEST), WIDEST)
    sheet.freeze_panes = sheet.cell(head + 1, 1)


def _set(cell: Cell, column: str, value: Any) -> Cell:
    """Fill a cell: text as text, a number as a number with the format that suits it."""
    value = _bare(value)
    if isinstance(value, str):
        cell.value, cell.data_type = for_people(value), "s"
        return cell
    cell.value = value
    if isinstance(value, float):
        cell.number_format = "0.0%" if _is_share(column) else "0.000" if 0 < abs(value) < 1 else "#,##0.00"
    elif isinstance(value, int) and not isinstance(value, bool):
        cell.number_format = "#,##0"
    return cell


def for_people(text: str) -> str:
    """Text that no spreadsheet takes for a formula, without signs that no workbook can hold."""
    text = ILLEGAL_CHARACTERS_RE.sub("", text)
    return f"'{text}" if FORMULA.match(text) else text
