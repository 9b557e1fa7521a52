"""What the columns of an unknown file mean, read from their names and values, with the reason and open questions.

Every meaning takes at most one column: the assignment with the best total (Kuhn, 1955, by scipy) decides. What money
or dates leave open is asked, never chosen: see ``column_lines``.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from segmentkit.analysis.column_words import BESIDE, FILLS, NEEDS, OF_NOBODY, RESULTS, fit
from segmentkit.analysis.sensitive import group_of
from segmentkit.analysis.value_kinds import Values

LEAST = 0.5
QUESTION = re.compile(r".*\?$|Q[_.]?\d+([_.].*)?|(\S+\s+){4,}\S+")


@dataclass(frozen=True)
class Meaning:
    """What one column is.

    Attributes:
        header: its name in the file.
        role: ``column`` (of a shared table), ``key``, ``attribute``, ``item``, ``identifier``, ``sensitive``,
            ``beside`` (known and not read, such as a tax) or ``unknown``.
        what: ``table.column``, a key's kind, a basis, an item's kind, or words.
        reason: why, in words.
        score: from 0 to 1, how sure.
        levels: of an item whose answers belong to a known scale, in its order.
    """

    header: str
    role: str
    what: str
    reason: str
    score: float
    levels: tuple[str, ...] = ()

    @property
    def sure(self) -> str:
        """How sure, in a word."""
        return "sure" if self.score >= 0.9 else "likely" if self.score >= 0.7 else "look at it"


@dataclass(frozen=True)
class Columns:
    """A sample of a file and what its columns are.

    Attributes:
        table: the shared table that the file fills; empty where none fits.
        values: of each column.
        meanings: of each column, in the order of the file.
        scores: by header, how well each word for a meaning fits.
        sample: the rows themselves, text.
        filled: the file's column for each shared column.
    """

    table: str
    values: dict[str, Values]
    meanings: dict[str, Meaning]
    scores: dict[str, dict[str, float]]
    sample: pd.DataFrame
    filled: dict[str, str]

    def header(self, column: str) -> str:
        """The file's column for a shared column; empty if there is none."""
        return self.filled.get(column, "")

    def nameless(self, column: str) -> list[str]:
        """Columns without a known word whose values could be this one."""
        return _nameless(self.meanings, self.values).get(column, [])

    def rivals(self, least: float, *words: str) -> list[str]:
        """Columns that one of these words fits, best first."""
        fits = {header: max(scores[word] for word in words) for header, scores in self.scores.items()}
        return sorted((h for h, score in fits.items() if score >= least), key=lambda h: -fits[h])

    def having(self, role: str, what: str = "") -> list[str]:
        """Columns of a role, in the order of the file."""
        return [m.header for m in self.meanings.values() if m.role == role and what in ("", m.what)]


def read_columns(sample: pd.DataFrame, words: Mapping[str, Any], table: str = "") -> Columns:
    """Say what every column of a sample means.

    Args:
        sample: rows spread over the file, a few thousand at most; ``row_number`` and ``file`` are no columns of it.
        words: names of every meaning: ``meanings`` (kinds of values, names), ``keys``, ``identifiers``, ``bases``,
            ``others``.
        table: the shared table, where it is known.
    """
    sample = sample.drop(columns=["row_number", "file"], errors="ignore")
    values = {str(name): Values.of(sample[name]) for name in sample.columns}
    scores = {name: _scores(name, found, words) for name, found in values.items()}
    apart = {name: _apart(name, found, words, scores[name]) for name, found in values.items()}
    assigned = {one: _assign(one, scores, apart) for one in FILLS}
    table = table or _table(values, scores, apart, assigned)
    filled = _completed(table, assigned[table], apart, values) if table else {}
    meanings = _once_each(apart)
    for column, h in filled.items():
        if apart[h].what not in ("email", "phone"):
            meanings[h] = _shared(table, column, h, values[h], scores[h])
    if table in RESULTS:
        meanings |= _of_other_results(table, meanings, values, scores)
    if table == "survey":
        # where questions are in words or numbered, what is not is about the questionnaire
        asked = sum(bool(QUESTION.fullmatch(h)) for h in values) >= 3
        items = [h for h, m in meanings.items() if _may_be_item(m, values[h], asked)]
        meanings |= {h: _item(h, values[h], words) for h in items}
    return Columns(table, values, meanings, scores, sample.rename(columns=str), filled)


def _completed(
    table: str, assigned: dict[str, str], apart: dict[str, Meaning], values: dict[str, Values]
) -> dict[str, str]:
    """Assigned columns, and the next best for a customer without id and a product without number."""
    filled = dict(assigned)
    if "customer_id" in FILLS[table] and "customer_id" not in filled and table != "survey":
        # without ids of its own a file's customers are told apart by the first address of each
        kinds = {m.what: h for h, m in reversed(apart.items()) if m.role == "key" and values[h].texts}
        best = next((kinds[kind] for kind in ("other", "email", "phone") if kind in kinds), "")
        filled |= {"customer_id": best} if best else {}
    if table == "transactions" and "product_id" not in filled:
        named = next((h for h, m in apart.items() if m.what == "product name"), "")
        filled |= {"product_id": named} if named else {}
    return filled


def _once_each(apart: dict[str, Meaning]) -> dict[str, Meaning]:
    """One key of each kind, the best; a second e-mail or phone is not read."""
    kinds: dict[str, Meaning] = {}
    for meaning in apart.values():
        if meaning.role == "key" and meaning.score > (kinds[meaning.what].score if meaning.what in kinds else 0):
            kinds[meaning.what] = meaning
    return {
        h: m
        if m.role != "key" or kinds[m.what] is m
        else Meaning(h, "identifier", f"another {m.what}", m.reason, m.score)
        for h, m in apart.items()
    }


def _of_other_results(
    table: str, meanings: dict[str, Meaning], values: dict[str, Values], scores: dict[str, dict[str, float]]
) -> dict[str, Meaning]:
    """One file of campaign results may hold the lottery, the contacts and the answers side by side."""
    found = {}
    for header, meaning in meanings.items():
        events = {"opened": "contacts.event", "clicked": "contacts.event", "delivered": "contacts.event"}
        what = (events | {"converted": "responses.outcome"}).get(meaning.what)
        best = [(_best(t, c, header, scores), t, c) for t in RESULTS if t != table for c in FILLS[t]]
        score, other, column = max(best)
        if what:
            found[header] = Meaning(header, "column", what, meaning.reason, meaning.score)
        elif meaning.role in ("unknown", "attribute") and score >= 0.6:
            found[header] = _shared(other, column, header, values[header], scores[header])
    return found


def _scores(name: str, values: Values, words: Mapping[str, Any]) -> dict[str, float]:
    """How well name and values fit each meaning."""
    found = {}
    for meaning, spec in words["meanings"].items():
        kinds = spec["kinds"].split()
        fine = values.kind in kinds or (values.moments and "moments" in kinds)
        # an id may be all letters, yet then it may be a name, too
        doubtful = values.kind == "empty" or (values.kind == "text" and "code integer" in spec["kinds"])
        found[meaning] = fit(name, spec["names"]) * (0.7 if doubtful else 1.0 if fine else 0.15)
    return found


def _apart(name: str, values: Values, words: Mapping[str, Any], scores: dict[str, float]) -> Meaning:
    """What a column is if it fills no shared column."""
    sensitive = group_of(name) or (fit(name, words["others"]["special category"]) >= LEAST and "special category")
    if sensitive:
        return Meaning(name, "sensitive", str(sensitive).partition(":")[0], "the name may reveal it", 1.0)
    text = values.kind in ("text", "empty")
    found = [_by_values(name, values)]
    for kind, spec in words["keys"].items():
        fine = 1.0 if values.kind in (*spec["kinds"].split(), "empty") else 0.15
        found.append(("key", kind, fit(name, spec["names"]) * fine * (0.9 if kind == "other" else 1.0)))
    for what, names in words["identifiers"].items():
        # an order may be called Name and a count Notes; people and remarks are text
        fine = 1.0 if text or "person" not in what or "place" in what else 0.15
        found.append(("identifier", what, fit(name, names) * fine * (1.0 if "text" not in what or text else 0.6)))
    found += [("beside", meaning.replace("_", " "), scores[meaning]) for meaning in BESIDE]
    found += [("attribute", basis, fit(name, names) * 0.97) for basis, names in words["bases"].items()]
    found.append(("beside", "not about a customer", fit(name, words["others"]["says nothing about a customer"]) * 0.96))
    role, what, score = max(found, key=lambda one: one[2])
    if score < LEAST:
        return Meaning(name, "unknown", "not used", f"no known word fits; its values are {_told(values)}", score)
    said = "its values are " + _told(values) if score == found[0][2] else f"the name says {what}"
    return Meaning(name, role, what, said, score)


def _by_values(name: str, values: Values) -> tuple[str, str, float]:
    """What the values alone say."""
    if values.kind in ("email", "ip"):
        return ("key", "email", 0.98) if values.kind == "email" else ("identifier", "network address", 0.98)
    if values.kind == "phone":
        return "key", "phone", 0.7
    names = values.kind == "text" and values.people >= 0.8 and values.distinct >= 0.5 and len(values.counts) > 5
    return ("identifier", "name of a person", 0.55) if names else ("unknown", "", 0.0)


def _assign(table: str, scores: dict[str, dict[str, float]], apart: dict[str, Meaning]) -> dict[str, str]:
    """Shared columns of one table to headers, each at most once, by the best total over what they are otherwise."""
    headers, columns = list(scores), FILLS[table]
    fits = np.array([[max(scores[h][w] * k for w, k in ws.items()) for ws in columns.values()] for h in headers])
    other = np.array([0.0 if apart[h].role == "unknown" else apart[h].score for h in headers])
    blocked = np.array([apart[h].role in ("sensitive",) or apart[h].what in ("email", "phone") for h in headers])
    # a tie goes to the shared column, and to the column that stands first in the file
    gain = fits - other[:, None] + 0.06 - 1e-6 * np.arange(len(headers))[:, None]
    gain = np.where((fits >= LEAST) & (gain > 0) & ~blocked[:, None], gain + fits, 0.0)
    rows, places = linear_sum_assignment(gain, maximize=True)
    names = list(columns)
    return {names[j]: headers[i] for i, j in zip(rows, places, strict=True) if gain[i, j] > 0}


def _table(
    values: dict[str, Values],
    scores: dict[str, dict[str, float]],
    apart: dict[str, Meaning],
    assigned: dict[str, dict[str, str]],
) -> str:
    """The table that the file fills best; empty if it fills none."""
    keyed = any(m.role == "key" and m.what in ("email", "phone") for m in apart.values())
    items = sum(bool(QUESTION.fullmatch(h)) for h in values)
    marks = {}
    for table, needs in NEEDS.items():
        filled = assigned[table]
        best = {c: _best(table, c, h, scores) for c, h in filled.items()}
        best |= {w: max((s[w] for s in scores.values()), default=0.0) for w in BESIDE if w not in best}
        best["customer_id"] = max(best.get("customer_id", 0.0), 0.8 if keyed else 0.0)
        if table == "transactions":
            best |= {c: max(best.get(c, 0.0), LEAST) for c in _nameless(apart, values)}
        best["item"] = min(items, 4) / 2 if items > 1 else 0.0
        found = [max(best.get(name, 0.0) for name in need.split("|")) for need in needs]
        if min(found) < LEAST or (table in OF_NOBODY and best["customer_id"] >= 0.75):
            continue
        known = set("|".join(needs).split("|"))
        marks[table] = sum(found) + 0.3 * sum(v for n, v in best.items() if n in filled and n not in known)
        marks[table] += _by_rows(table, _completed(table, filled, apart, values), apart, values)
        seen = max(s[word] for s in scores.values() for word in ("impressions", "reach"))
        marks[table] -= 2 * (seen >= 0.8 and table in ("campaigns", "acquisition_costs"))
    return max(marks, key=lambda table: marks[table], default="")


def _nameless(apart: dict[str, Meaning], values: dict[str, Values]) -> dict[str, list[str]]:
    """Columns without a known word whose values could be a returning customer's id, or the day of a purchase."""
    unknown = [h for h, m in apart.items() if m.role == "unknown"]
    ids = [h for h in unknown if values[h].kind in ("code", "integer") and 0 < values[h].distinct < 0.8]
    found = {"customer_id": [h for h in ids if len(values[h].counts) >= 10]}
    found["ordered_at"] = [h for h in unknown if values[h].kind == "date"]
    return {column: headers for column, headers in found.items() if headers}


def _by_rows(table: str, filled: dict[str, str], apart: dict[str, Meaning], values: dict[str, Values]) -> float:
    """What it says of the table that customers come once, or come back."""
    if "customer_id" not in filled:
        return 0.0
    once = values[filled["customer_id"]].distinct > 0.97
    described = sum(m.role == "attribute" for m in apart.values())
    if table == "customers":
        return 0.2 * min(described, 5) if once else -0.5
    return -1.0 if once and table in ("transactions", "contacts", "consents") else 0.0


def _best(table: str, column: str, header: str, scores: dict[str, dict[str, float]]) -> float:
    return max(scores[header][word] * weight for word, weight in FILLS[table][column].items())


def _shared(table: str, column: str, header: str, values: Values, scores: dict[str, float]) -> Meaning:
    score = max(scores[word] * weight for word, weight in FILLS[table][column].items())
    word = max(FILLS[table][column], key=lambda w: scores[w] * FILLS[table][column][w]).replace("_", " ")
    said = f"the name says {word}" if score >= LEAST else "the only id of a customer here"
    repeats = f", {values.rows / len(values.counts):.1f} rows each" if column.endswith("_id") and values.counts else ""
    return Meaning(header, "column", f"{table}.{column}", f"{said}; {_told(values)}{repeats}", max(score, 0.6))


def _told(values: Values) -> str:
    """The kind of the values in words, and how many are there."""
    words = {"code": "codes", "text": "text", "flag": "yes or no", "integer": "whole numbers", "number": "numbers"}
    words |= {"date": "dates", "email": "e-mail addresses", "phone": "phone numbers", "currency": "currency codes"}
    if values.kind == "empty":
        return "all blank"
    unit = f" (times in {values.moments})" if values.moments and values.kind == "integer" else ""
    return f"{words.get(values.kind, values.kind)}{unit} in {len(values.texts):,} of {values.rows:,} rows"


def _may_be_item(meaning: Meaning, values: Values, asked: bool) -> bool:
    text = meaning.what.startswith("free text")
    if (meaning.role in ("column", "key", "sensitive", "identifier") and not text) or values.kind in ("empty", "date"):
        return False
    question = text or bool(QUESTION.fullmatch(meaning.header))
    return question or (not asked and (meaning.role == "unknown" or meaning.score < 0.8))


def _item(header: str, values: Values, words: Mapping[str, Any]) -> Meaning:
    given = {text.lower(): text for text in values.counts}
    scales = [[level.strip() for level in scale.split(";")] for scale in words["scales"]["levels"]]
    scale = next((scale for scale in scales if len(given) > 1 and set(given) <= set(scale)), [])
    levels = tuple(given[level] for level in scale if level in given)
    wordy = sum(map(len, values.texts)) > 40 * len(values.texts) or re.search(r"open.ended|own words", header, re.I)
    if values.kind == "flag" or (len(given) == 1 and values.filled < 1):
        kind = "binary"
    elif levels or (values.kind == "integer" and len(given) <= 11):
        kind = "ordinal"
    elif values.kind in ("integer", "number"):
        kind = "numeric"
    else:
        kind = "nominal" if len(given) <= 12 and values.distinct <= 0.5 and not wordy else "open"
    reason = f"{_told(values)}, {len(given):,} different"
    return Meaning(header, "item", kind, reason, 0.8, levels)
