"""Planning a test before it runs: who can tell an effect worth acting on, and how long it takes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import ibis
import numpy as np
import pandas as pd
from scipy import stats

from segmentkit.analysis.campaigns import FEWEST_DAYS_BEFORE, Campaign, spend
from segmentkit.analysis.experiments import FEWEST_BUYERS
from segmentkit.analysis.features import Window
from segmentkit.errors import DataError, ParameterError

# twice what a reading asks for: of 20 expected buyers fewer than 10 come in one test of 200
BUYERS_PLANNED = 2 * FEWEST_BUYERS
LENGTHS = (14, 28, 42, 56, 84, 112, 182)
CAN, TOGETHER, HALF, NEVER = "can tell", "only together with others", "only half and half", "can never tell"
MOST_TOLD = 0.95
PERCENT = ("conversion", "detectable_conversion", "detectable_share", "detectable_half", "variance_cut")
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
            f"and the effect is the same share of everybody's sales.{self._held()}"
        )

    def _held(self) -> str:
        if "variance_cut" not in self.table.columns:
            return ""
        cut = self.table["variance_cut"].iloc[-1]
        return f" The reading will hold sales before constant, which takes {cut:.0%} off the variance over all."

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

    The effect is a lift s: the same share of every reached customer's sales, so that their spread grows with it. It is
    the smallest with s * mean = (z of confidence + z of power) * error, in the normal form of Welch's test: error^2 =
    (e^2 (1 + 2 s) + sd^2 s^2) / treated + e^2 / control, where e is the standard deviation left when sales before are
    held constant, as the reading will do (CUPED), and sd itself where they are not known. Conversion: two proportions
    by the arcsine effect size (Cohen 1988, chapter 6). Every row is planned at the stated confidence on its own;
    ``Plan.warning`` has the price of Holm's correction.

    Args:
        history: ``customer_id, segment_key, sales, orders`` and, where measured, ``visits``, and ``sales_before`` (in
            as many days before those), one row a customer, over
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
        tell``: not even half and half. With sales before, ``variance_cut`` (share); with visits, ``visited`` and
        ``detectable_visits``, as for conversion.

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
    noise, left = ((reach * table.pop(name) / mean.where(mean > 0)) ** 2 for name in ("spread", "left"))
    table["detectable_conversion"] = _rise(table["conversion"], *sides, reach)
    if "visited" in table.columns:
        table["detectable_visits"] = _rise(table["visited"], *sides, reach)
    table["detectable_share"] = _lift(noise, left, *sides, table["conversion"])
    table["detectable_sales"], table["worth_sales"] = table["detectable_share"] * mean, worth_share * mean
    both = (left * (1 + 2 * worth_share) + noise * worth_share**2) / treated_share + left / (1 - treated_share)
    for_spread = both / worth_share**2
    for_buyers = BUYERS_PLANNED / (table["conversion"] * min(treated_share, 1 - treated_share))
    table["needed"] = np.ceil(np.maximum(for_spread, for_buyers))
    table["detectable_half"] = _lift(noise, left, *halves, table["conversion"])
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
    known = grouped[["sales", "sales_before"]].corr().iloc[::2, -1] if "sales_before" in did.columns else None
    # a past that tells everything is no past that can be relied on
    told = 0.0 if known is None else (known.droplevel(-1).fillna(0.0) ** 2).clip(upper=MOST_TOLD)
    table = sales.assign(left=sales["spread"] * np.sqrt(1 - told)).join(means)
    return (table if known is None else table.assign(variance_cut=told)).reset_index()


def _reach(confidence: float, power: float) -> float:
    return float(stats.norm.ppf((1 + confidence) / 2) + stats.norm.ppf(power))


def _lift(noise: pd.Series, left: pd.Series, treated: pd.Series, control: pd.Series, buying: pd.Series) -> pd.Series:
    """The positive root of s^2 = (left (1 + 2 s) + noise s^2) / treated + left / control; none where none is."""
    enough = np.minimum(treated, control) * buying >= BUYERS_PLANNED
    rest = (1 - noise / treated).where(enough & (noise < treated))
    own = left / treated
    return (own + np.sqrt(own**2 + rest * (own + left / control))) / rest


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


def before_and_during(
    transactions: ibis.Table, campaign: Campaign, seen: Window, segments: pd.DataFrame
) -> pd.DataFrame:
    """What customers did in a campaign's days and in as many days before, or in at least 28 if the data hold no more.

    Args:
        transactions: the shared table.
        campaign: the days to look at.
        seen: the days the data cover.
        segments: ``customer_id, segment_key``.

    Returns:
        ``customer_id, segment_key, sales, orders`` and perhaps ``sales_before``, in the order of the segments.
    """
    who = segments["customer_id"]
    history = spend(transactions, campaign.during, who)[["customer_id", "sales", "orders"]]
    history.insert(1, "segment_key", segments["segment_key"].to_numpy())
    past = Window(max(seen.start, campaign.before.start), campaign.start)
    if past.days < min(campaign.days, FEWEST_DAYS_BEFORE):
        return history
    return history.assign(sales_before=spend(transactions, past, who)["sales"])


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
        last = Campaign("", seen.as_of - timedelta(days=days), seen.as_of - timedelta(days=1), "planned")
        history = before_and_during(transactions, last, seen, segments)
        tables.append(power_table(history, days=days, **design).table.assign(days=days))
    return Lengths(pd.concat(tables, ignore_index=True), design["worth_share"])
