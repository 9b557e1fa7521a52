"""The draw by lot: arms exact inside each segment, the same again from the same seed, unrelated between campaigns."""

import hashlib
from collections.abc import Hashable, Mapping, Sequence
from datetime import date

import numpy as np
import pandas as pd

from segmentkit.errors import DataError, ParameterError

HELD_BACK = "held back"


def shares_of(arms: Sequence[str], treated_share: float) -> dict[str, float]:
    """Designed shares: the arms share the treated evenly, the rest is held back.

    Raises:
        ParameterError: no arm, one without a name, one twice, or one called as those held back.
    """
    names = [arm.strip() for arm in arms]
    if not names or not all(names) or len(set(names) | {HELD_BACK}) != len(names) + 1:
        raise ParameterError(f"next_arms == {list(arms)}; give each treated arm a name of its own, not {HELD_BACK!r}")
    return {HELD_BACK: 1 - treated_share} | dict.fromkeys(names, treated_share / len(names))


def assign(
    customers: pd.DataFrame, shares: Mapping[str, float], *, campaign_id: str, seed: int, day: date
) -> pd.DataFrame:
    """Draw the arms by lot inside each segment.

    Customers are sorted by a keyed hash of campaign, day and customer (BLAKE2b, keyed by the seed) and cut at the
    designed shares. What does not divide evenly goes to the arms furthest behind over the segments so far, in drawn
    order: many small segments do not starve a small arm. The order of rows does not matter. Other campaigns, and the
    same on another day, are drawn afresh, or the same customers would be held back month after month.

    Args:
        customers: ``customer_id, segment_key``; customers without a segment are the stratum ``none``.
        shares: designed share of each arm; one arm must be ``held back``.
        campaign_id: name of the campaign.
        seed: the same seed gives the same draw.
        day: day of the draw; another day is another draw.

    Returns:
        The assignments table, sorted by customer: ``campaign_id, customer_id, arm, designed_share, stratum,
        assigned_at``. In each segment every arm is less than one customer away from its designed share.

    Raises:
        ParameterError: shares that are not above 0 or do not add up to 1, or nobody held back.
        DataError: no customers, a customer twice, one without id, or an arm that nobody falls to.
    """
    _check_draw(customers, shares)
    table = customers[["customer_id"]].assign(stratum=customers["segment_key"].fillna("none").astype("str"))
    table["turn"] = [_turn(seed, campaign_id, f"{day}", "customer", name) for name in table["customer_id"]]
    table = table.sort_values(["stratum", "turn", "customer_id"], ignore_index=True)
    sizes = table.groupby("stratum").size()
    arms = sorted(shares, key=lambda arm: _turn(seed, campaign_id, f"{day}", "arm", arm))
    order = sorted(sizes.index, key=lambda key: _turn(seed, campaign_id, f"{day}", "segment", key))
    counts = _counts(sizes[order], np.array([shares[arm] for arm in arms]))
    table["arm"] = np.concatenate([np.repeat(arms, counts[key]) for key in sizes.index])
    if empty := sorted(set(arms) - set(table["arm"])):
        raise DataError(f"customers in {empty} == 0 of {len(table):,}; every arm needs some; widen its share")
    table["designed_share"] = table["arm"].map(dict(shares))
    table = table.assign(campaign_id=campaign_id, assigned_at=pd.Timestamp(day))
    columns = ["campaign_id", "customer_id", "arm", "designed_share", "stratum", "assigned_at"]
    return table.sort_values("customer_id", ignore_index=True)[columns]


def _turn(seed: int, *what: str) -> int:
    text = "\0".join(what).encode()
    return int.from_bytes(hashlib.blake2b(text, key=str(seed).encode(), digest_size=8).digest(), "big")


def _counts(sizes: pd.Series, shares: np.ndarray) -> dict[Hashable, np.ndarray]:
    """Customers of each arm per segment: the whole part of the design, then one more for the arms furthest behind."""
    behind, counts = np.zeros(len(shares)), {}
    for key, size in sizes.items():
        exact = size * shares
        whole = np.floor(exact + 1e-9).astype(int)
        behind += exact - whole
        order = np.argsort(-np.where(exact - whole > 1e-9, behind.round(9), -np.inf), kind="stable")
        more = np.isin(np.arange(len(shares)), order[: size - whole.sum()])
        counts[key] = whole + more
        behind -= more
    return counts


def _check_draw(customers: pd.DataFrame, shares: Mapping[str, float]) -> None:
    fits = abs(sum(shares.values()) - 1) <= 1e-9 and all(0 < share < 1 for share in shares.values())
    if HELD_BACK not in shares or not fits:
        raise ParameterError(
            f"shares == {dict(shares)}; each must be above 0, all must add up to 1, and one arm must be {HELD_BACK!r}, "
            "without which no effect can be measured; mend the shares"
        )
    ids = customers["customer_id"]
    if customers.empty or ids.isna().any() or ids.duplicated().any():
        raise DataError(
            f"customers == {len(ids):,}, without id == {ids.isna().sum():,}, seen twice == {ids.duplicated().sum():,}; "
            "a draw needs customers, each with an id and once; mend the segments table"
        )


def draw_sentence(assignments: pd.DataFrame) -> str:
    """Who was drawn into what, and which segments are too small to have everybody in every arm."""
    counts = pd.crosstab(assignments["stratum"], assignments["arm"])
    shares = assignments.groupby("arm")["designed_share"].first()
    drawn = ", ".join(f"{arm} {n:,} (designed {shares[arm]:.1%})" for arm, n in counts.sum().items())
    small = [f"{key} ({n.sum():,} customers)" for key, n in counts.iterrows() if (n == 0).any()]
    empty = f" Too small to have somebody in every arm: {', '.join(small)}; they cannot be read alone." if small else ""
    return f"Drawn by lot inside {len(counts)} segments: {drawn}.{empty}"
