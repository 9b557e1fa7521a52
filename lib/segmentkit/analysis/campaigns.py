"""Campaigns: who was reached, who answered, by segments frozen before the campaign began; and whether a
campaign that was not randomised can say anything about what it caused."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any

import ibis
import numpy as np
import pandas as pd
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.preprocessing import StandardScaler
from statsmodels.stats.proportion import proportion_confint

from segmentkit.analysis import clustering
from segmentkit.analysis.features import Window, build, money, until
from segmentkit.errors import DataError, ParameterError

FEWEST_DAYS_BEFORE = 28
PROPENSITY_CERTAIN = 0.95


@dataclass(frozen=True)
class Campaign:
    """One campaign with its dates, both inclusive, and its design: ``randomised`` or ``targeted``."""

    campaign_id: str
    start: date
    end: date
    design: str

    @property
    def days(self) -> int:
        """Length in days, both ends included."""
        return (self.end - self.start).days + 1

    @property
    def during(self) -> Window:
        """The campaign's own days."""
        return Window(self.start, self.end + timedelta(days=1))

    @property
    def before(self) -> Window:
        """As many days just before it."""
        return Window(self.start - timedelta(days=self.days), self.start)


def choose(campaigns: pd.DataFrame, contacts: pd.DataFrame, wanted: Sequence[str], seen: Window) -> list[Campaign]:
    """The campaigns to read: those named, or the three that reached most customers inside the data.

    Raises:
        ParameterError: a named campaign is unknown, or its days lie outside the data.
    """
    reached = contacts.groupby("campaign_id")["customer_id"].nunique().sort_values(ascending=False, kind="stable")
    known = {row.campaign_id: _campaign(row) for row in campaigns.itertuples()}
    readable = [name for name in reached.index if name in known and _inside(known[name], seen)]
    for name in wanted:
        if name not in known:
            raise ParameterError(f"campaign_ids holds {name!r}; the source knows {', '.join(sorted(known))}")
        if name not in readable:
            raise ParameterError(
                f"campaign_ids holds {name!r} ({known[name].start} to {known[name].end}), but {FEWEST_DAYS_BEFORE} days before "
                f"it, or its end, lie outside the data ({seen.start} to {seen.as_of}); choose from {', '.join(readable)}"
            )
    return sorted((known[name] for name in (list(wanted) or readable[:3])), key=lambda c: (c.start, c.campaign_id))


def _campaign(row: Any) -> Campaign:
    design = getattr(row, "design", None)
    stated = design if isinstance(design, str) and design else "not stated"
    return Campaign(row.campaign_id, pd.Timestamp(row.start).date(), pd.Timestamp(row.end).date(), stated)


def _inside(campaign: Campaign, seen: Window) -> bool:
    before = (campaign.start - seen.start).days
    return before >= max(FEWEST_DAYS_BEFORE, campaign.days) and campaign.end < seen.as_of


def frozen_segments(
    transactions: ibis.Table, campaign: Campaign, start: date, names: Sequence[str], k: int, *, starts: int, seed: int
) -> pd.DataFrame:
    """Segments as they stood the day before the campaign: features, scaling and clusters see nothing later.

    Segments from the whole year would condition on what the campaign may have caused.

    Returns:
        ``customer_id, segment_key, distance`` of everyone who had bought before the start; A by value *then*.
    """
    features = build(transactions, Window(start, campaign.start), categories=0)
    scaled = clustering.scale(features, names)
    return clustering.segment(features, scaled, k, starts=starts, seed=seed).assign(features)


def reached(contacts: pd.DataFrame, campaign: Campaign) -> pd.Series:
    """Customers the campaign reached, each once."""
    return contacts.loc[contacts["campaign_id"] == campaign.campaign_id, "customer_id"].drop_duplicates()


def response_rates(
    segments: pd.DataFrame, contacts: pd.DataFrame, responses: pd.DataFrame, campaign: Campaign, confidence: float
) -> pd.DataFrame:
    """Of those reached, how many answered, per frozen segment, with Wilson intervals.

    Returns:
        ``campaign_id, segment_key, reached, responders, rate, low, high``; ``all`` comes last; customers without a
        purchase before the start are the segment ``none``.
    """
    mailed = pd.DataFrame({"customer_id": reached(contacts, campaign)})
    answered = responses.loc[responses["campaign_id"] == campaign.campaign_id, "customer_id"].unique()
    mailed["answered"] = mailed["customer_id"].isin(answered)
    joined = mailed.merge(segments[["customer_id", "segment_key"]], how="left", on="customer_id")
    joined["segment_key"] = joined["segment_key"].fillna("none")
    counted = joined.groupby("segment_key")["answered"].agg(["size", "sum"])
    counted.loc["all"] = counted.sum()
    low, high = proportion_confint(counted["sum"], counted["size"], alpha=1 - confidence, method="wilson")
    return pd.DataFrame(
        {
            "campaign_id": campaign.campaign_id,
            "segment_key": counted.index.astype("str"),
            "reached": counted["size"].to_numpy(dtype="int64"),
            "responders": counted["sum"].to_numpy(dtype="int64"),
            "rate": (counted["sum"] / counted["size"]).to_numpy(dtype=float),
            "low": np.asarray(low, dtype=float),
            "high": np.asarray(high, dtype=float),
        }
    )


def spend(transactions: ibis.Table, seen: Window, customers: pd.Series) -> pd.DataFrame:
    """Sales and orders of every customer inside a window; zero for those who bought nothing.

    Returns:
        ``customer_id, sales, orders`` and, where the source has margins, ``margin``; in the order of ``customers``.
    """
    lines = until(transactions, seen)
    sums: dict[str, Any] = {"sales": money(lines.amount), "orders": lines.order_id.nunique()}
    if "margin" in lines.columns:
        sums["margin"] = money(lines.margin)
    bought = lines.group_by("customer_id").aggregate(**sums).execute()
    return pd.DataFrame({"customer_id": customers}).merge(bought, how="left", on="customer_id").fillna(dict.fromkeys(sums, 0.0))


@dataclass(frozen=True)
class Difference:
    """Mean of the reached minus mean of the others, with a Welch interval."""

    estimate: float
    low: float
    high: float


def welch(treated: np.ndarray, control: np.ndarray, confidence: float) -> Difference:
    """Difference of two means with its Welch interval.

    Raises:
        DataError: fewer than two customers on a side.
    """
    if min(len(treated), len(control)) < 2:
        raise DataError(f"{len(treated)} against {len(control)} customers; a difference needs two on each side")
    interval = stats.ttest_ind(treated, control, equal_var=False).confidence_interval(confidence)
    return Difference(float(treated.mean() - control.mean()), float(interval.low), float(interval.high))


@dataclass(frozen=True)
class NotRandomised:
    """What a campaign that was not randomised can and cannot say.

    Attributes:
        campaign_id: the campaign.
        days: its length.
        reached: customers it reached.
        others: customers it did not reach.
        during: naive difference in sales per customer while it ran.
        before: the same difference in as many days before it began, when it cannot have worked.
        effective_controls: how many unweighted controls the weighted ones are worth.
        certain_share: share of the reached whose chance of being reached was above .95.
        auc: how well past behaviour alone predicts who was reached; .5 is chance.
        others_reached: mean number of other campaigns the reached were in at the same time.
        others_control: the same for the rest.
        failed: the checks that fail, in words; any one makes the effect not identified.
    """

    campaign_id: str
    days: int
    reached: int
    others: int
    during: Difference
    before: Difference
    effective_controls: float
    certain_share: float
    auc: float
    others_reached: float
    others_control: float
    failed: tuple[str, ...]

    @property
    def verdict(self) -> str:
        """``not identified``, or ``descriptive`` where no check fails (an effect is still not measured)."""
        return "not identified" if self.failed else "descriptive"

    @property
    def sentence(self) -> str:
        """The reading in words."""
        told = (
            f"Campaign {self.campaign_id}: the {self.reached:,} customers it reached spent {self.during.estimate:+,.0f} each "
            f"against the {self.others:,} others while it ran, and {self.before.estimate:+,.0f} in the {self.days} days before it began"
        )
        if not self.failed:
            return f"{told}. No overlap check fails, but it was not randomised: the difference describes, it does not prove."
        return f"{told}. What it caused cannot be told: " + "; ".join(self.failed) + "."

    def to_row(self) -> dict[str, Any]:
        """One flat row for a table."""
        row = {k: v for k, v in asdict(self).items() if k not in {"during", "before", "failed"}}
        for name in ("during", "before"):
            part = getattr(self, name)
            row |= {f"{name}_difference": part.estimate, f"{name}_low": part.low, f"{name}_high": part.high}
        return row | {"verdict": self.verdict, "failed": "; ".join(self.failed)}


def read_targeted(
    transactions: ibis.Table,
    contacts: pd.DataFrame,
    campaigns: pd.DataFrame,
    campaign: Campaign,
    start: date,
    *,
    confidence: float,
    effective_floor: float,
    certain_limit: float,
    exposure_gap: float,
) -> NotRandomised:
    """Compare reached and other customers, and check whether the comparison can carry a cause.

    Args:
        transactions: the shared table.
        contacts: who was reached by what.
        campaigns: all campaigns, for what ran at the same time.
        campaign: the one to read.
        start: first day of the data.
        confidence: of the intervals.
        effective_floor: fewest effective controls.
        certain_limit: largest share of the reached who were certain to be reached.
        exposure_gap: largest difference in other campaigns received.
    """
    features = _past_of_everyone(transactions, Window(start, campaign.start))
    everyone = features["customer_id"]
    treated = everyone.isin(reached(contacts, campaign)).to_numpy()
    if not 1 < treated.sum() < len(treated) - 1:
        raise DataError(f"campaign {campaign.campaign_id} reached {treated.sum()} of {len(treated)} customers; nothing to compare")
    sales = {name: spend(transactions, seen, everyone)["sales"].to_numpy() for name, seen in _windows(campaign)}
    earlier = everyone.map(_earlier_campaigns(contacts, campaign)).fillna(0)
    chance = propensity(features.assign(sales_before=sales["before"], earlier_campaigns=earlier), treated)
    weights = chance[~treated] / (1 - chance[~treated])
    effective = float(weights.sum() ** 2 / (weights**2).sum())
    certain = float((chance[treated] > PROPENSITY_CERTAIN).mean())
    other = everyone.map(_other_campaigns(contacts, campaigns, campaign)).fillna(0).to_numpy()
    mine, theirs = float(other[treated].mean()), float(other[~treated].mean())
    return NotRandomised(
        campaign_id=campaign.campaign_id,
        days=campaign.days,
        reached=int(treated.sum()),
        others=int((~treated).sum()),
        during=welch(sales["during"][treated], sales["during"][~treated], confidence),
        before=welch(sales["before"][treated], sales["before"][~treated], confidence),
        effective_controls=effective,
        certain_share=certain,
        auc=float(roc_auc_score(treated, chance)),
        others_reached=mine,
        others_control=theirs,
        failed=tuple(_failures(effective, certain, mine - theirs, effective_floor, certain_limit, exposure_gap)),
    )


def _past_of_everyone(transactions: ibis.Table, past: Window) -> pd.DataFrame:
    """Features from before the campaign for every customer in the data, those without a purchase yet included."""
    everyone = transactions.select("customer_id").distinct().order_by("customer_id").execute()
    table = everyone.merge(build(transactions, past, categories=0), how="left", on="customer_id").drop(columns="tenure_days")
    nothing = {"frequency": 0.0, "monetary": 0.0, "basket_value": 0.0, "active_months": 0.0, "recency_days": float(past.days)}
    return table.fillna(nothing)


def _earlier_campaigns(contacts: pd.DataFrame, campaign: Campaign) -> pd.Series:
    before = contacts[contacts["at"] < pd.Timestamp(campaign.start)]
    return before.groupby("customer_id")["campaign_id"].nunique()


def _windows(campaign: Campaign) -> list[tuple[str, Window]]:
    return [("during", campaign.during), ("before", campaign.before)]


def propensity(features: pd.DataFrame, treated: np.ndarray) -> np.ndarray:
    """Chance of being reached, from behaviour before the campaign; cross-fitted over five folds.

    Counts and money enter as logarithms; missing values (a gap after one order) as the median.
    """
    table = features.select_dtypes("number")
    skewed = [n for n in ("recency_days", "frequency", "monetary", "basket_value", "mean_gap_days", "sales_before") if n in table]
    table[skewed] = np.log1p(table[skewed].clip(lower=0))
    values = StandardScaler().fit_transform(table.fillna(table.median()).fillna(0.0).to_numpy())
    folds = min(5, int(treated.sum()), int((~treated).sum()))
    model = LogisticRegression(max_iter=1000)
    chance: np.ndarray = cross_val_predict(model, values, treated, cv=folds, method="predict_proba")[:, 1]
    return np.clip(chance, 1e-3, 1 - 1e-3)


def _other_campaigns(contacts: pd.DataFrame, campaigns: pd.DataFrame, campaign: Campaign) -> pd.Series:
    start, end = pd.Timestamp(campaign.start), pd.Timestamp(campaign.end)
    same_time = campaigns[(campaigns["start"] <= end) & (campaigns["end"] >= start)]["campaign_id"]
    others = same_time[same_time != campaign.campaign_id]
    pairs = contacts[contacts["campaign_id"].isin(others)][["customer_id", "campaign_id"]].drop_duplicates()
    return pairs.groupby("customer_id").size()


def _failures(
    effective: float, certain: float, gap: float, effective_floor: float, certain_limit: float, exposure_gap: float
) -> list[str]:
    found = []
    if effective < effective_floor:
        found.append(f"only {effective:.1f} effective controls are like the reached (at least {effective_floor:g} needed)")
    if certain > certain_limit:
        found.append(f"{certain:.0%} of the reached were all but certain to be reached (at most {certain_limit:.0%})")
    if abs(gap) > exposure_gap:
        found.append(f"the reached were in {gap:+.2f} other campaigns each at the same time (at most {exposure_gap:g} apart)")
    return found
