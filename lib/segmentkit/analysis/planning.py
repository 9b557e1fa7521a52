"""Planning a test before it runs: who can tell an effect worth acting on, how long it takes, and the draw by lot."""

import hashlib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import ibis
import numpy as np
import pandas as pd
from scipy import stats

from segmentkit.analysis.campaigns import spend
from segmentkit.analysis.experiments import FEWEST_BUYERS
from segmentkit.analysis.features import Window
from segmentkit.errors import DataError, ParameterError

HELD_BACK = "held back"
# twice what a reading asks for: of 20 expected buyers fewer than 10 come in one test of 200
BUYERS_PLANNED = 2 * FEWEST_BUYERS
LENGTHS = (14, 28, 42, 56, 84, 112, 182)
CAN, TOGETHER, HALF, NEVER = "can tell", "only together with others", "only half and half", "can never tell"
PERCENT = ("conversion", "detectable_conversion", "detectable_share", "detectable_half")
DECIMALS = {"sales_per_customer": 2, "detectable_sales": 2, "worth_sales": 2, "needed": 0}


@dataclass(frozen=True)
class Plan:
    """What a test can find, before any result is seen: the table, and the arguments, of ``power_table``."""

    table: pd.DataFrame
    days: int
    treated_share: float
    confidence: float
    power: float
    worth_share: float

    def keys(self, word: str) -> list[str]:
        """Segments of which ``can_tell`` says this."""
        own = self.table[(self.table["can_tell"] == word) & (self.table["segment_key"] != "all")]
        return own["segment_key"].tolist()

    @property
    def title(self) -> str:
        """The finding, for a figure."""
        able, worth = len(self.keys(CAN)), _percent(self.worth_share)
        whole = "; all together can" if self.table["can_tell"].iloc[-1] == CAN else ""
        return f"{able or 'None'} of {len(self.table) - 1} segments can tell an effect of {worth} of sales alone{whole}"

    @property
    def sentence(self) -> str:
        """The plan in words, with what it assumes."""
        row, worth = self.table.iloc[-1], _percent(self.worth_share)
        told = "; ".join(f"{word}: {', '.join(keys)}" for word in (CAN, TOGETHER, HALF) if (keys := self.keys(word)))
        found = f"{_percent(row['detectable_share'])} of mean sales or more is found {self.power:.0%} of the time"
        whole = "too few buyers to find any effect" if np.isnan(row["detectable_share"]) else f"an effect of {found}"
        return (
            f"Plan for {self.days} days: {row['treated']:,} of {row['customers']:,} customers reached, "
            f"{row['control']:,} held back. Over all of them: {whole}; worth acting on is {worth}. "
            f"By segment, {told or 'none can tell'}. Assumed: customers buy as in the {self.days} days before, "
            "and the effect is the same share of everybody's sales."
        )

    @property
    def warning(self) -> str:
        """What the plan cannot do, and what Holm's correction over several segments asks for on top."""
        segments, never, worth = len(self.table) - 1, self.keys(NEVER), _percent(self.worth_share)
        lost = (
            f"Warning: {', '.join(never)} can never tell an effect of {worth} in {self.days} days, "
            "even with every customer of the segment in the test, half and half: seeing no difference there will not "
            "mean that there is none."
        )
        strict = _reach(1 - (1 - self.confidence) / segments, self.power) / _reach(self.confidence, self.power) - 1
        holm = f" Each figure is for one segment read alone; among {segments}, Holm asks for about {strict:.0%} more."
        return (lost if never else "Every segment can tell, if need be half and half.") + holm * (segments > 1)


def power_table(
    history: pd.DataFrame, *, days: int, treated_share: float, confidence: float, power: float, worth_share: float
) -> Plan:
    """What a test by lot among these customers can find, per segment and overall.

    The effect is a lift: the same share of every reached customer's sales, so that their spread grows with it. It is
    the smallest s with s * mean = (z of confidence + z of power) * sd * sqrt((1 + s)^2 / treated + 1 / control), the
    normal form of Welch's test. Conversion: two proportions by the arcsine effect size (Cohen 1988, chapter 6). Every
    row is planned at the stated confidence on its own; ``Plan.warning`` has the price of Holm's correction.

    Args:
        history: ``customer_id, segment_key, sales, orders`` and, where measured, ``visits``, one row a customer, over
            as many days as the test will run; 0 for those who bought nothing. Segments made from these same days make
            the base of recent buyers too high: take older ones. With several arms: one arm and the held back only.
        days: how many days that is.
        treated_share: share of the customers to be reached, between 0 and 1.
        confidence: of the test.
        power: chance to find an effect of the detectable size.
        worth_share: smallest effect worth acting on, as a share of mean sales.

    Returns:
        Per segment, ``all`` last: customers, treated, control, ``conversion`` and ``sales_per_customer`` before; the
        smallest detectable rise in conversion (a share: .01 is one percentage point) and in sales (money, and as a
        share of the mean), missing below 20 expected buyers on the smaller side, or where no lift is large enough;
        ``worth_sales`` (money); ``needed`` (customers for an effect worth acting on); ``detectable_half`` (share, with
        every customer in the test, half and half); ``can_tell``: ``can tell``; ``only together with others``: alone
        only half and half, but ``all`` as planned; ``only half and half``: not even ``all`` as planned; ``can never
        tell``: not even half and half. With visits, ``visited`` and ``detectable_visits`` as for conversion.

    Raises:
        ParameterError: a share, confidence or power outside 0 and 1, or nothing worth acting on.
        DataError: no customers, a customer twice, or a figure or segment missing.
    """
    for name, value in {"treated_share": treated_share, "confidence": confidence, "power": power}.items():
        if not 0 < value < 1:
            raise ParameterError(f"{name} == {value}; it must lie between 0 and 1; give a share, e.g. 0.8")
    if not worth_share > 0:
        raise ParameterError(f"worth_share == {worth_share}; it must be above 0, e.g. 0.1 for a tenth of mean sales")
    table = _base(_checked(history))
    table["treated"] = (table["customers"] * treated_share).round().astype("int64")
    table["control"] = table["customers"] - table["treated"]
    sides, halves = (table["treated"], table["control"]), (table["customers"] // 2,) * 2
    mean, reach = table["sales_per_customer"], _reach(confidence, power)
    noise = (reach * table.pop("spread") / mean.where(mean > 0)) ** 2
    table["detectable_conversion"] = _rise(table["conversion"], *sides, reach)
    if "visited" in table.columns:
        table["detectable_visits"] = _rise(table["visited"], *sides, reach)
    table["detectable_share"] = _lift(noise, *sides, table["conversion"])
    table["detectable_sales"], table["worth_sales"] = table["detectable_share"] * mean, worth_share * mean
    for_spread = noise * ((1 + worth_share) ** 2 / treated_share + 1 / (1 - treated_share)) / worth_share**2
    for_buyers = BUYERS_PLANNED / (table["conversion"] * min(treated_share, 1 - treated_share))
    table["needed"] = np.ceil(np.maximum(for_spread, for_buyers))
    table["detectable_half"] = _lift(noise, *halves, table["conversion"])
    alone, half = table["detectable_share"] <= worth_share, table["detectable_half"] <= worth_share
    overall = np.full(len(table), alone.iloc[-1])
    table["can_tell"] = np.select([alone, ~half, overall], [CAN, NEVER, TOGETHER], HALF)
    return Plan(table, days, treated_share, confidence, power, worth_share)


def _base(history: pd.DataFrame) -> pd.DataFrame:
    """What customers did before: one row a segment, ``all`` last."""
    shares = {"conversion": "orders", "visited": "visits"}
    did = history.assign(**{name: history[count] > 0 for name, count in shares.items() if count in history.columns})
    both = pd.concat([did.sort_values("segment_key", kind="stable"), did.assign(segment_key="all")])
    grouped = both.groupby("segment_key", sort=False)
    means = grouped[[name for name in shares if name in did.columns]].mean()
    sales = grouped["sales"].agg(customers="size", sales_per_customer="mean", spread="std")
    return sales.join(means).reset_index()


def _reach(confidence: float, power: float) -> float:
    return float(stats.norm.ppf((1 + confidence) / 2) + stats.norm.ppf(power))


def _lift(noise: pd.Series, treated: pd.Series, control: pd.Series, buying: pd.Series) -> pd.Series:
    """The positive root of s^2 = noise * ((1 + s)^2 / treated + 1 / control); none where spread outgrows the lift."""
    enough = np.minimum(treated, control) * buying >= BUYERS_PLANNED
    own = (noise / treated).where(enough & (noise < treated))
    return (own + np.sqrt(own**2 + (1 - own) * (own + noise / control))) / (1 - own)


def _rise(share: pd.Series, treated: pd.Series, control: pd.Series, reach: float) -> pd.Series:
    enough = np.minimum(treated, control) * share >= BUYERS_PLANNED
    angle = np.arcsin(np.sqrt(share)) + reach * np.sqrt(1 / treated + 1 / control) / 2
    return np.sin(angle.where(enough & (angle <= np.pi / 2))) ** 2 - share


def _checked(history: pd.DataFrame) -> pd.DataFrame:
    twice, missing = int(history["customer_id"].duplicated().sum()), int(history.isna().any(axis=1).sum())
    if history.empty or twice or missing:
        raise DataError(
            f"customers == {len(history):,}, seen twice == {twice:,}, with a missing figure == {missing:,}; a plan "
            "needs customers, each once and with all figures; give 0 to those who bought nothing"
        )
    return history.sort_values("customer_id")


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.1 else f"{share:.1%}".replace(".0%", "%")


@dataclass(frozen=True)
class Lengths:
    """What tests of several lengths could find: ``power_table``'s columns and ``days``; what is worth acting on."""

    table: pd.DataFrame
    worth_share: float

    @property
    def shortest(self) -> dict[str, int | None]:
        """Per segment, ``all`` last, the fewest days that tell an effect worth acting on; None where none does."""
        able = self.table[self.table["detectable_share"] <= self.worth_share].groupby("segment_key")["days"].min()
        return {key: int(able[key]) if key in able else None for key in self.table["segment_key"].unique()}

    @property
    def title(self) -> str:
        """The finding, for a figure."""
        days, worth = self.shortest["all"], _percent(self.worth_share)
        if days is None:
            return f"No length up to {self.table['days'].max()} days tells an effect of {worth} of sales"
        return f"All customers together tell an effect of {worth} of sales in {days} days"

    @property
    def sentence(self) -> str:
        """Whether waiting longer helps, in words."""
        own = {key: days for key, days in self.shortest.items() if key != "all"}
        each = ", ".join(f"{key} {'at no length' if days is None else f'{days} days'}" for key, days in own.items())
        return (
            f"{self.title}; by segment: {each}. {self._longer()} Assumed: the effect lasts as long as the test; one "
            "that fades is diluted by waiting."
        )

    def _longer(self) -> str:
        known = self.table[(self.table["segment_key"] == "all") & self.table["detectable_share"].notna()]
        if len(known) < 2:
            return "Whether longer helps cannot be told: fewer than two lengths have enough buyers."
        share = known.set_index("days")["detectable_share"]
        first, last, best = share.index[0], share.index[-1], share.idxmin()
        word = {first: "Longer does not help", last: "Longer helps"}.get(best, f"Longer helps up to {best} days only")
        told = f"the smallest effect found is {_percent(share[first])} of sales in {first} days"
        return f"{word}: {told} and {_percent(share[last])} in {last}."


def how_long(
    transactions: ibis.Table, seen: Window, segments: pd.DataFrame, lengths: Sequence[int] = LENGTHS, **design: float
) -> Lengths:
    """What tests of several lengths could find: each is planned from the last so many days of real purchases.

    Args:
        transactions: the shared table.
        seen: the days the data cover.
        segments: ``customer_id, segment_key``, best as they stood before the longest length.
        lengths: days; those the data do not reach back over are left out.
        design: ``treated_share, confidence, power, worth_share`` of ``power_table``.

    Raises:
        ParameterError: no length lies inside the data; and as ``power_table``.
    """
    inside = sorted({days for days in lengths if 0 < days <= seen.days})
    if not inside:
        raise ParameterError(f"lengths == {list(lengths)}; the data hold {seen.days} days; give one up to that")
    tables = []
    for days in inside:
        bought = spend(transactions, Window(seen.as_of - timedelta(days=days), seen.as_of), segments["customer_id"])
        history = bought.assign(segment_key=segments["segment_key"].to_numpy())
        tables.append(power_table(history, days=days, **design).table.assign(days=days))
    return Lengths(pd.concat(tables, ignore_index=True), design["worth_share"])


def assign(
    customers: pd.DataFrame, shares: Mapping[str, float], *, campaign_id: str, seed: int, day: date
) -> pd.DataFrame:
    """Draw the arms by lot inside each segment.

    Customers are sorted by a keyed hash of campaign and customer (BLAKE2b, keyed by the seed) and cut at the designed
    shares. What does not divide evenly goes to the arms furthest behind over the segments so far, in drawn order: many
    small segments do not starve a small arm. The order of rows does not matter; other campaigns are drawn afresh.

    Args:
        customers: ``customer_id, segment_key``; customers without a segment are the stratum ``none``.
        shares: designed share of each arm; one arm must be ``held back``.
        campaign_id: name of the campaign.
        seed: the same seed gives the same draw.
        day: day of the draw.

    Returns:
        The assignments table, sorted by customer: ``campaign_id, customer_id, arm, designed_share, stratum,
        assigned_at``. In each segment every arm is less than one customer away from its designed share.

    Raises:
        ParameterError: shares that are not above 0 or do not add up to 1, or nobody held back.
        DataError: no customers, a customer twice, one without id, or an arm that nobody falls to.
    """
    _check_draw(customers, shares)
    table = customers[["customer_id"]].assign(stratum=customers["segment_key"].fillna("none").astype("str"))
    table["turn"] = [_turn(seed, campaign_id, "customer", name) for name in table["customer_id"]]
    table = table.sort_values(["stratum", "turn", "customer_id"], ignore_index=True)
    sizes = table.groupby("stratum").size()
    arms = sorted(shares, key=lambda arm: _turn(seed, campaign_id, "arm", arm))
    order = sorted(sizes.index, key=lambda key: _turn(seed, campaign_id, "segment", key))
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
