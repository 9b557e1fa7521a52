"""Business criteria: is each segment large, sound, distinct, uniform and reachable, and does it last?

Knock-out criteria come first (Dolnicar, Gruen and Leisch 2018, Market Segmentation Analysis, step 2): a segment that
fails one is not ranked, however attractive it looks.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment
from statsmodels.stats.proportion import proportion_confint

from segmentkit.analysis.clustering import smallest_allowed
from segmentkit.analysis.later import ALL, Later
from segmentkit.analysis.looks import Compared
from segmentkit.analysis.stability import DOUBTFUL, SOUND, Stability, segment_word
from segmentkit.errors import ParameterError

PERCENT = ("share", "share_of_sales", "reached_share")
DECIMALS = {"stability": 2, "sales_per_customer": 2}
REACH_PERCENT = ("reached_share", "opened_share", "clicked_share", "consent_share")
CRITERIA_PERCENT = ("homogeneity", "precision", "recall", "retention", "growth", "base_growth")
CRITERIA_DECIMALS = {"distinctness": 1, "sales_per_customer": 2}
OUTBOUND = ("delivery", "impression", "open", "click")
HALVED = 2.65
NOT_STATED = "not stated"
LASTING = "segment_key key_then customers shared retention retention_low retention_high growth growth_low growth_high"
LASTING_PERCENT = (*LASTING.split()[3:], "base_growth")
CLEAR = ["retention", "growth", "clear_growth", "base_growth"]


def check(
    features: pd.DataFrame,
    segments: pd.DataFrame,
    profiles: pd.DataFrame,
    measured: Stability,
    contacts: pd.DataFrame,
    *,
    keys: Sequence[str],
    size_floor_share: float,
    size_floor: int,
    rest: str | None = None,
) -> pd.DataFrame:
    """One row a segment, in the order of ``keys``, which is that of the stabilities; some may have no customers now.

    ``rest`` is the key of those in no group, where the method leaves some over. Features without ``monetary``, as of a
    survey alone, leave sales missing.

    Returns:
        ``segment_key, customers, share, share_of_sales, sales_per_customer, large_enough, stability, word, markers,
        reached_share`` (customers with any outbound contact; missing where the source has none), ``fails`` (in words;
        empty is good) and ``knocked_out`` (those of the fails that rule it out; doubtful membership does not).
    """
    sales = features[["customer_id"]].assign(monetary=features.get("monetary", float("nan")))
    joined = segments.merge(sales, on="customer_id", validate="1:1")
    sent = contacts[contacts["event"].isin(OUTBOUND)]
    joined["reached"] = joined["customer_id"].isin(sent["customer_id"])
    table = joined.groupby("segment_key").agg(
        customers=("customer_id", "size"), sales=("monetary", "sum"), reached_share=("reached", "mean")
    )
    table = table.reindex(keys).rename_axis("segment_key").reset_index()
    table = table.fillna({"customers": 0, "sales": 0.0}).astype({"customers": "int64"})
    table["share"] = table["customers"] / len(joined)
    table["share_of_sales"] = table["sales"] / table["sales"].sum()
    table["sales_per_customer"] = table["sales"] / table["customers"].where(table["customers"] > 0)
    table["large_enough"] = table["customers"] >= smallest_allowed(len(joined), size_floor_share, size_floor)
    table["stability"] = measured.per_segment
    table["word"] = [segment_word(value) for value in measured.per_segment]
    markers = profiles.groupby("segment_key")["marker"].sum()
    table["markers"] = table["segment_key"].map(markers).fillna(0).astype("int64")
    if sent.empty:
        table["reached_share"] = float("nan")
    if "monetary" not in features:
        table["sales_per_customer"] = float("nan")
    table["knocked_out"] = [_knocked_out(row, rest) for row in table.to_dict("records")]
    doubtful = table["stability"].between(DOUBTFUL, SOUND, inclusive="left") & (table["customers"] > 0)
    table["fails"] = _together(table["knocked_out"], doubtful.map({True: "membership doubtful", False: ""}))
    order = "segment_key customers share share_of_sales sales_per_customer large_enough stability word markers"
    return table[[*order.split(), "reached_share", "fails", "knocked_out"]]


def _knocked_out(row: Mapping[str, Any], rest: str | None) -> str:
    if not row["customers"]:
        return "no customers now"
    reasons = {
        "those in no group": row["segment_key"] == rest,
        "too small": not row["large_enough"],
        "not found again": row["stability"] < DOUBTFUL,
        "nothing sets it apart": row["markers"] == 0,
        "no channel has reached it": row["reached_share"] == 0,
    }
    return ", ".join(reason for reason, applies in reasons.items() if applies)


def _together(one: pd.Series, two: pd.Series) -> list[str]:
    return [", ".join(filter(None, pair)) for pair in zip(one, two, strict=True)]


def stability_sentence(checks: pd.DataFrame) -> str:
    """Every segment's stability in words and numbers."""
    parts = [f"{row.segment_key} {row.stability:.2f} ({row.word})" for row in checks.itertuples()]
    return "Stability of each segment: " + ", ".join(parts) + "."


def shape(values: np.ndarray, labels: np.ndarray, keys: Sequence[str]) -> pd.DataFrame:
    """How far each segment lies from the nearest other, and how alike its customers are, in the clustered values.

    Args:
        values: customers by columns, as they were clustered.
        labels: segment of each customer, 0 for the first of ``keys``.
        keys: all segments; those without customers get missing figures.

    Returns:
        ``segment_key, nearest`` (another segment), ``distinctness`` (smallest distance between its centre and another,
        in pooled standard deviations along the line that joins them: Ashman, Bird and Zepf 1994), ``homogeneity`` (1
        less its mean squared distance to its own centre over that of all customers to theirs; 1 is all alike).
    """
    parts = {key: values[labels == index] for index, key in enumerate(keys) if (labels == index).any()}
    total = float(values.var(axis=0).sum())
    rows = []
    for key in keys:
        apart = {other: _apart(parts[key], parts[other]) for other in parts if other != key and key in parts}
        nearest = min(apart, key=lambda other: apart[other], default="")
        alike = 1 - float(parts[key].var(axis=0).sum()) / total if key in parts and total else np.nan
        rows.append((key, nearest, apart.get(nearest, np.nan), alike))
    return pd.DataFrame(rows, columns=["segment_key", "nearest", "distinctness", "homogeneity"])


def _apart(one: np.ndarray, two: np.ndarray) -> float:
    between = one.mean(axis=0) - two.mean(axis=0)
    length = float(np.linalg.norm(between))
    spread = np.sqrt(((one @ between).var() + (two @ between).var()) / 2) / length if length else 0.0
    return length / spread if spread else np.inf if length else 0.0


def shape_sentence(table: pd.DataFrame) -> str:
    """The segment that stands apart least, beside what a cut through one crowd gives."""
    known = table.dropna(subset="distinctness")
    if known.empty:
        return "One segment: there is no other to be distinct from."
    least = known.loc[known["distinctness"].idxmin()]
    return (
        f"Least distinct is {least['segment_key']}, {least['distinctness']:.1f} standard deviations from "
        f"{least['nearest']}; one normal crowd cut in its middle gives {HALVED} too, so such a distance is no proof of "
        "separate groups."
    )


def reach(
    segments: pd.DataFrame,
    contacts: pd.DataFrame,
    customers: pd.DataFrame,
    consent: Sequence[str] = (),
    consented: Mapping[str, Collection[str]] | None = None,
) -> pd.DataFrame:
    """Which channels have reached which share of each segment, and with what consent.

    Args:
        segments: ``customer_id, segment_key``.
        contacts: the shared table; visits and mentions are no contacts.
        customers: may hold flags of consent, true or 1 where it was given.
        consent: a channel and the column with its flag, each ``email may_email``; a channel without one has consent
            ``not stated``.
        consented: customers with consent by channel, as ``audience.allowed`` finds them in the table of consents.

    Returns:
        ``segment_key, channel, customers, reached, reached_share``, ``opened_share`` and ``clicked_share`` (of those
        reached; missing where the channel records none), ``consent`` and ``consent_share`` (flag set; not known counts
        as not given).

    Raises:
        ParameterError: not ``CHANNEL COLUMN``, or no such column.
    """
    ids = segments["customer_id"]
    flags = {name: ids.isin(list(own)).set_axis(ids) for name, own in (consented or {}).items()}
    for text in consent:
        channel, _, column = text.strip().rpartition(" ")
        if not channel or column not in customers.columns:
            known = ", ".join(customers.columns)
            raise ParameterError(f"consent_columns holds {text!r}; write a channel and a column of customers ({known})")
        flags[channel] = customers.set_index("customer_id")[column]
    sent = contacts[contacts["event"].isin(OUTBOUND)]
    by_event = {key: set(own["customer_id"]) for key, own in sent.groupby(["channel", "event"])}
    rows = []
    for key, own in segments.groupby("segment_key")["customer_id"]:
        for channel in sorted({*sent["channel"].dropna(), *flags}):
            given = own.map(flags[channel]).eq(True) if channel in flags else None
            rows.append((key, channel, *_steps(own, channel, by_event), *_consent(given)))
    columns = "segment_key channel customers reached reached_share opened_share clicked_share consent consent_share"
    return pd.DataFrame(rows, columns=columns.split())


def _steps(own: pd.Series, channel: str, by_event: Mapping[tuple[str, str], set[str]]) -> tuple[float, ...]:
    found = {event: own.isin(by_event.get((channel, event), set())) for event in OUTBOUND}
    reached = int(np.logical_or.reduce(list(found.values())).sum())
    shares = [
        int(found[event].sum()) / reached if reached and (channel, event) in by_event else np.nan
        for event in ("open", "click")
    ]
    return len(own), reached, reached / len(own), *shares


def _consent(given: pd.Series | None) -> tuple[str, float]:
    return (NOT_STATED, np.nan) if given is None else ("stated", float(given.mean()))


def reach_sentence(table: pd.DataFrame) -> str:
    """The best channel of every segment and its share, and what is known of consent."""
    if table.empty:
        return "Which channels reach the segments is not known: the source has no contacts."
    best = table.loc[table.groupby("segment_key")["reached_share"].idxmax()]
    parts = [f"{row.segment_key} {row.reached_share:.0%} by {row.channel}" for row in best.itertuples()]
    silent = sorted(table.loc[table["consent"] == NOT_STATED, "channel"].unique())
    told = f" Consent is not stated for {', '.join(silent)}: having been reached is no consent." if silent else ""
    return f"Reached at least once: {'; '.join(parts)}.{told}"


def lasting(pair: Compared, read: Later, segments: pd.DataFrame, *, confidence: float) -> pd.DataFrame:
    """Retention and growth of segments frozen at the middle of the days, under today's keys.

    Growth is what goes beyond regression to the mean: a segment picked for a bad first half rises with no cause, and
    the same cut made backwards shows by how much.

    Args:
        pair: the rehearsal: segments cut in the first half of the days.
        read: the second half, from ``later.read`` of that pair.
        segments: ``customer_id, segment_key`` of today.
        confidence: of Wilson's interval of the retention; that of the growth is as ``read`` made it.

    Returns:
        ``segment_key`` (the segment of today that shares most customers, each once), ``key_then, customers, shared``
        (share of its customers who are there), ``retention`` (bought in the second half) and ``growth`` with their
        intervals, ``base_growth`` of all customers together.
    """
    then, growth = pair.before.segments, read.segments.set_index("segment_key")
    both = then[["customer_id", "segment_key"]].merge(segments, on="customer_id", suffixes=("_then", ""))
    shared = pd.crosstab(both["segment_key_then"], both["segment_key"])
    kept = then["customer_id"].isin(pair.now.segments["customer_id"]).groupby(then["segment_key"]).agg(["sum", "size"])
    rows = []
    for row, column in zip(*linear_sum_assignment(-shared.to_numpy()), strict=True):
        key, (stayed, of) = shared.index[row], kept.loc[shared.index[row]]
        interval = proportion_confint(stayed, of, alpha=1 - confidence, method="wilson")
        figures = (stayed / of, *interval, *growth.loc[key, ["beyond", "beyond_low", "beyond_high"]])
        rows.append((shared.columns[column], key, of, shared.iloc[row, column] / of, *figures))
    table = pd.DataFrame(rows, columns=LASTING.split()).sort_values("segment_key", ignore_index=True)
    return table.assign(base_growth=growth.loc[ALL, "beyond"])


def lasting_sentence(table: pd.DataFrame | None) -> str:
    """Who stayed, and who grew otherwise than regression to the mean makes them."""
    if table is None:
        return "Retention and growth are not known: these days cannot be halved."
    kept = [f"{row.segment_key} {row.retention:.0%}" for row in table.itertuples()]
    moved = table[(table["growth_low"] > 0) | (table["growth_high"] < 0)]
    grew = [
        f"{m.segment_key} {m.growth:+.1%} ({m.growth_low:+.1%} to {m.growth_high:+.1%})" for m in moved.itertuples()
    ]
    return (
        f"Of the customers as cut in the first half of the days, these bought in the second: {', '.join(kept)}. Beyond "
        f"regression to the mean, sales of all moved by {table['base_growth'].iloc[0]:+.1%}, and clearly those of "
        f"{', '.join(grew) or 'no segment'}. The letters are today's, by shared customers: from "
        f"{table['shared'].min():.0%} to {table['shared'].max():.0%} of a segment then are in it now."
    )


def _clear(lasting: pd.DataFrame | None) -> pd.DataFrame | None:
    if lasting is None:
        return None
    clear = (lasting["growth_low"] > 0) | (lasting["growth_high"] < 0)
    return lasting.assign(clear_growth=lasting["growth"].where(clear | lasting["growth"].isna(), 0.0))


def criteria(
    checks: pd.DataFrame, shapes: pd.DataFrame, recognised: pd.DataFrame | None, lasting: pd.DataFrame | None
) -> pd.DataFrame:
    """Every criterion of every segment in one table; what is not known is missing.

    ``clear_growth`` is the growth where its interval leaves 0 out, else 0.

    Args:
        checks: from ``check``.
        shapes: from ``shape``.
        recognised: of a typing tool, or None.
        lasting: from ``lasting``, or None.
    """
    table = checks.merge(shapes, how="left", on="segment_key", validate="1:1")
    for part, names in ((recognised, ["precision", "recall", "f1"]), (_clear(lasting), CLEAR)):
        own = pd.DataFrame(columns=["segment_key", *names]) if part is None else part.dropna(subset="segment_key")
        known = own.set_index("segment_key")[names]
        table = table.join(known.astype(float), on="segment_key", validate="1:1")
    return table
