"""Whom to contact next time: contacts by segment and offer within a budget, beside the two simple plans.

Contacts go where the expected net benefit is highest, not where it is significant: funding only what is significant
loses money. Whether the plan is *shown* to beat "the same for everyone" is another question, answered by the test.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import linprog

from segmentkit.analysis.uplift import NOBODY, Uplift, gain
from segmentkit.errors import DataError, ParameterError

TARGETED, SAME, UNKNOWN = "by segment", "the same for everyone", "not known"
COLUMNS = ("segment_key", "offer", "channel", "customers", "cost", "net_benefit", "error")


@dataclass(frozen=True)
class Allocation:
    """Contacts for the next campaign.

    Attributes:
        table: the options with whole ``contacts``, what they cost (``spent``) and their expected ``profit``.
        plans: ``plan, contacts, spent, profit, low, high, loss_probability`` of this allocation (``by segment``), of
            each offer spread evenly over everyone, and of nobody; profit is money beyond contacting nobody. The
            expected profit of a plan chosen for its profit still flatters a little: ``honest`` is what such plans
            brought to customers that had no part in the choice.
        held_out: customers left without contact, at least the hold-out's share of every segment.
        gain: what choosing by segment brings beyond the best of the other plans within the same limits, money,
            measured on customers that had no part in the choice; missing where it was not measured.
        gain_low: lower end of its interval.
        gain_high: upper end of its interval.
        verdict: ``by segment``, ``the same for everyone``, ``nobody`` or ``not known``.
        sentence: the verdict in words.
    """

    table: pd.DataFrame
    plans: pd.DataFrame
    held_out: int
    gain: float
    gain_low: float
    gain_high: float
    verdict: str
    sentence: str


@dataclass(frozen=True)
class _Limits:
    budget: float | None
    capacities: Mapping[str, int]
    hold_out: float


def options(
    uplift: Uplift,
    *,
    channels: Mapping[str, str],
    costs: Mapping[str, float | None],
    customers: Mapping[str, int] | None = None,
) -> pd.DataFrame:
    """What can be offered to whom, with shrunk net benefits from a test.

    Args:
        uplift: the test; its net benefits are after the cost of a contact.
        channels: channel of each arm.
        costs: money per contact of each arm, its share of a fixed cost included; None where not known.
        customers: to be had, by segment; those of the test where not stated.

    Returns:
        The columns of ``COLUMNS`` and ``shared_error``, the part of the error that all segments of an offer share.
    """
    table = uplift.segments
    size = table["customers"] if customers is None else table["segment_key"].map(customers)
    return pd.DataFrame(
        {
            "segment_key": table["segment_key"],
            "offer": table["arm"],
            "channel": table["arm"].map(channels),
            "customers": size,
            "cost": table["arm"].map(costs).astype(float),
            "net_benefit": table["shrunk"],
            "error": table["shrunk_error"],
            "shared_error": table["shared_error"],
        }
    )


def allocate(
    options: pd.DataFrame,
    uplift: Uplift | None,
    *,
    budget: float | None,
    capacities: Mapping[str, int],
    hold_out: float,
    confidence: float,
    draws: int,
    seed: int,
    currency: str,
) -> Allocation:
    """Share out contacts by linear programme: at most one offer a customer, within budget, channels and hold-out.

    Args:
        options: from ``options``, or the same columns; ``net_benefit`` and ``cost`` are money per contact, missing
            where not known; ``shared_error`` may be absent.
        uplift: the test they come from; None where they are assumed, and then no plan is said to beat another.
        budget: money to be spent at most; None for no limit.
        capacities: most contacts by channel; channels not named have no limit.
        hold_out: share of every segment that is left to the next lottery, however sure an offer is.
        confidence: of the intervals.
        draws: of the true net benefits, normal around the shrunk estimates.
        seed: of the draws.
        currency: of the sentence.

    Raises:
        ParameterError: a limit that cannot be kept.
        DataError: options that are missing, twice, or not in the test.
    """
    table, limits = _checked(options, uplift), _Limits(budget, capacities, hold_out)
    _check_limits(table, limits)
    lacking = _lacking(table) if uplift is None or uplift.readable else uplift.sentence
    if lacking:
        return _nothing(table, lacking)
    programme, nobody = _programme(table, limits), np.zeros(len(table), dtype=int)
    best = programme.plan(table["net_benefit"].to_numpy(dtype=float))
    contacts = {TARGETED: best, **_uniform(table, limits), NOBODY: nobody}
    truth = _draws(table, draws, seed)
    plans = pd.DataFrame([_row(name, table, one, truth, confidence) for name, one in contacts.items()])
    figures, measured = _honest(table, programme, contacts, uplift, confidence) if uplift else ((float("nan"),) * 3, {})
    plans["honest"] = plans["plan"].map(measured).astype(float)
    verdict = _verdict(plans, figures[1])
    filled = table.assign(contacts=best, spent=table["cost"] * best, profit=table["net_benefit"] * best)
    told, left = _sentence(plans, verdict, figures, currency), int(_sizes(table).sum() - best.sum())
    return Allocation(filled, plans, left, *figures, verdict, told)


def _checked(options: pd.DataFrame, uplift: Uplift | None) -> pd.DataFrame:
    lost = [name for name in COLUMNS if name not in options.columns]
    if lost or options.empty:
        raise DataError(f"options without {', '.join(lost) or 'rows'}; needed are {', '.join(COLUMNS)}")
    keys = ["segment_key", "offer", "channel"]
    if options[keys].isna().to_numpy().any() or options.duplicated(keys).any():
        raise DataError("options with a missing or repeated segment, offer and channel; give each once")
    bad = ~(options["customers"] >= 0) | (options["cost"] < 0) | (options["error"] < 0)
    if bad.any():
        raise DataError(f"options hold {bad.sum()} rows with customers unknown, or a figure below 0; correct them")
    if uplift is not None:
        tested = set(zip(uplift.segments["segment_key"], uplift.segments["arm"], strict=True))
        unknown = sorted(set(zip(options["segment_key"], options["offer"], strict=True)) - tested)
        if unknown:
            raise DataError(f"options hold {unknown}, which the test did not; leave them out, or test them first")
    shared = options["shared_error"] if "shared_error" in options.columns else 0.0
    return options[[*COLUMNS]].assign(shared_error=shared).sort_values(keys, ignore_index=True)


def _check_limits(table: pd.DataFrame, limits: _Limits) -> None:
    if limits.budget is not None and not 0 <= limits.budget < np.inf:
        raise ParameterError(f"budget == {limits.budget}; it must be 0 or more; leave it empty for no limit")
    if not 0 <= limits.hold_out < 1:
        raise ParameterError(f"hold_out == {limits.hold_out}; it must be 0 or more and below 1, e.g. 0.1 for a tenth")
    known = sorted(set(table["channel"]))
    for channel, most in limits.capacities.items():
        if channel not in known or most < 0:
            raise ParameterError(f"capacities holds '{channel} {most}'; give 0 or more for one of {', '.join(known)}")


def _lacking(table: pd.DataFrame) -> str:
    """What must be stated before anything can be allocated; empty where nothing is missing."""
    words = {"cost": "the cost of a contact", "net_benefit": "the margin", "error": "the error of the net benefit"}
    lost = [f"{words[name]} of {', '.join(sorted(set(table.loc[table[name].isna(), 'offer'])))}"
            for name in words if table[name].isna().any()]  # fmt: skip
    return f"Nothing is allocated: {' and '.join(lost)} is not known; state it to get a plan." if lost else ""


def _nothing(table: pd.DataFrame, why: str) -> Allocation:
    empty = pd.DataFrame(columns=["plan", "contacts", "spent", "profit", "low", "high", "loss_probability"])
    unknown, size = (float("nan"),) * 3, int(_sizes(table).sum())
    return Allocation(table.assign(contacts=0, spent=0.0, profit=0.0), empty, size, *unknown, UNKNOWN, why)


def _sizes(table: pd.DataFrame) -> pd.Series:
    """Customers by segment: the most that any of its options can reach."""
    return table.groupby("segment_key")["customers"].max().astype(int)


def _available(sizes: pd.Series, limits: _Limits) -> np.ndarray:
    """Customers who may be contacted; the hold-out is rounded up."""
    return np.asarray(np.floor((1 - limits.hold_out) * sizes.to_numpy(dtype=float) + 1e-9))


@dataclass(frozen=True)
class _Programme:
    """The linear programme's limits: ``rows @ contacts <= bounds``, and contacts of an option at most its ``reach``."""

    rows: np.ndarray
    bounds: np.ndarray
    reach: np.ndarray

    def plan(self, benefit: np.ndarray) -> np.ndarray:
        """Whole contacts per option that bring most (HiGHS), for net benefits by option."""
        # equal options would leave the choice to the solver: the first in the table wins by a hair above its tolerance
        aim = 1e-5 * np.arange(len(benefit)) - benefit / (np.abs(benefit).max() or 1.0)
        reach = np.where(benefit > 0, self.reach, 0.0)
        solved = linprog(aim, A_ub=self.rows, b_ub=self.bounds, bounds=np.column_stack([0 * reach, reach]))
        return np.floor(solved.x + 1e-6).astype(int)


def _programme(table: pd.DataFrame, limits: _Limits) -> _Programme:
    sizes = _sizes(table)
    rows = [(table["segment_key"] == key).to_numpy(dtype=float) for key in sizes.index]
    bounds = list(_available(sizes, limits))
    for channel, most in limits.capacities.items():
        rows.append((table["channel"] == channel).to_numpy(dtype=float))
        bounds.append(float(most))
    if limits.budget is not None:
        rows.append(table["cost"].to_numpy(dtype=float))
        bounds.append(limits.budget)
    return _Programme(np.array(rows), np.array(bounds), _available(table["customers"], limits))


def _uniform(table: pd.DataFrame, limits: _Limits) -> dict[str, np.ndarray]:
    """Contacts of each offer spread evenly over everyone, as far as the limits allow."""
    made = {}
    for (offer, channel), part in table.groupby(["offer", "channel"]):
        reach = np.where(table.index.isin(part.index), _available(table["customers"], limits), 0.0)
        price, share = float(reach @ table["cost"].to_numpy(dtype=float)), 1.0
        if limits.budget is not None and price > 0:
            share = min(share, limits.budget / price)
        if channel in limits.capacities and reach.sum() > 0:
            share = min(share, limits.capacities[channel] / reach.sum())
        exact, whole = share * reach, np.floor(share * reach + 1e-6).astype(int)
        more = np.argsort(whole - exact, kind="stable")[: int(exact.sum() + 1e-6) - int(whole.sum())]
        # rounding down alone would handicap the plan: what is left goes to the largest remainders, if it can be paid
        rounded = whole + np.isin(np.arange(len(whole)), more)
        paid = limits.budget is None or rounded @ table["cost"] <= limits.budget
        made[f"everyone: {offer} by {channel}"] = rounded if paid else whole
    return made


def _draws(table: pd.DataFrame, draws: int, seed: int) -> np.ndarray:
    """(draws, options) true net benefits: segments of an offer share the error of their common mean."""
    rng = np.random.default_rng([seed, 33])
    offer = pd.factorize(table["offer"], sort=True)[0]
    shared, error = (table[name].to_numpy(dtype=float) for name in ("shared_error", "error"))
    own = np.sqrt(np.maximum(error**2 - shared**2, 0.0))
    common = rng.standard_normal((draws, offer.max() + 1))[:, offer]
    mean = table["net_benefit"].to_numpy(dtype=float)
    return np.asarray(mean + shared * common + own * rng.standard_normal((draws, len(table))))


def _row(
    name: str, table: pd.DataFrame, contacts: np.ndarray, truth: np.ndarray, confidence: float
) -> dict[str, object]:
    profit = truth @ contacts
    low, high = np.quantile(profit, [(1 - confidence) / 2, (1 + confidence) / 2])
    return {
        "plan": name,
        "contacts": int(contacts.sum()),
        "spent": float(table["cost"] @ contacts),
        "profit": float(table["net_benefit"] @ contacts),
        "low": float(low),
        "high": float(high),
        "loss_probability": float((profit < 0).mean()),
    }


def _honest(
    table: pd.DataFrame, programme: _Programme, contacts: Mapping[str, np.ndarray], uplift: Uplift, confidence: float
) -> tuple[tuple[float, float, float], dict[str, float]]:
    """Gain of planning in these limits on training folds, valued on the fold left out; and each plan's such value."""
    trial, size = uplift.trial, np.bincount(uplift.trial.segment)
    s = pd.Index(uplift.segments["segment_key"].unique()).get_indexer(table["segment_key"])
    a = pd.Index(trial.arms).get_indexer(table["offer"])

    def share(planned: np.ndarray) -> np.ndarray:
        weights = np.zeros((len(size), len(trial.arms)))
        np.add.at(weights, (s, a), planned / size[s])
        return weights

    learned = [[share(programme.plan(fold[s, a])) for fold in one] for one in trial.training]
    values = {
        name: trial.value(np.broadcast_to(share(one)[trial.segment], trial.scores.shape))
        for name, one in contacts.items()
        if name != TARGETED
    }
    planned = trial.value(trial.of_folds(np.array(learned)))
    found, n = gain(trial, planned, values, confidence), len(trial.segment)
    figures = found["gain"] * n, found["gain_low"] * n, found["gain_high"] * n
    return figures, {name: float(value.sum()) for name, value in ({TARGETED: planned} | values).items()}


def _verdict(plans: pd.DataFrame, low: float) -> str:
    if np.isnan(low) or low > 0:
        return UNKNOWN if np.isnan(low) else TARGETED
    return SAME if _best(plans)["profit"] > 0 else NOBODY


def _best(plans: pd.DataFrame) -> pd.Series:
    """The best single offer for everyone."""
    same = plans[plans["plan"].str.startswith("everyone")]
    return same.loc[same["profit"].idxmax()]


def _sentence(plans: pd.DataFrame, verdict: str, figures: tuple[float, float, float], currency: str) -> str:
    plan, same = plans.iloc[0], _best(plans)
    if verdict == UNKNOWN:
        return f"{_told('By segment', plan, currency)} The net benefits are assumed, not measured."
    likely = f"likely {figures[1]:+,.0f} to {figures[2]:+,.0f}"
    if verdict == TARGETED:
        return (
            f"Targeting beats: choosing by segment earns {figures[0]:,.0f} {currency} more than the same for everyone "
            f"or nobody ({likely}, on customers that had no part in the choice). {_told('By segment', plan, currency)}"
        )
    found = "choosing by segment earned less" if figures[2] < 0 else "nothing shows that choosing by segment earns more"
    doubt = f"{found} ({figures[0]:+,.0f} {currency}, {likely})"
    if not plans["contacts"].any():
        return "Nobody can be contacted: the budget, the channels and the hold-out leave no contact."
    if verdict == NOBODY:
        return f"Contacting nobody is as good: no offer is worth its cost for everyone, and {doubt}."
    offer = same["plan"].replace("everyone: ", "Everyone, ", 1)
    return f"The same for everyone is as good: {doubt}. {_told(offer, same, currency)}"


def _told(who: str, row: pd.Series, currency: str) -> str:
    return (
        f"{who}: {row['contacts']:,} contacts for {row['spent']:,.0f} {currency}, expected profit {row['profit']:,.0f} "
        f"(likely {row['low']:,.0f} to {row['high']:,.0f}; {row['loss_probability']:.0%} chance of a loss)."
    )
