"""Segment evaluation: how attractive each segment is against how well it fits, on one plot (McDonald and Dunbar 2012).

Knocked-out segments are not ranked. Weights and fit are the organisation's to state; what the data can say is scored
by a stated rule, and how much the order owes to the exact weights is tried out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import beta

from segmentkit.analysis import given
from segmentkit.errors import ParameterError

ATTRACTIVE = {
    "value": "sales_per_customer",
    "size": "share",
    "sales": "share_of_sales",
    "growth": "clear_growth",
    "retention": "retention",
    "distinctness": "distinctness",
    "homogeneity": "homogeneity",
}
FIT = {"reach": "reached_share", "stability": "stability", "identifiability": "f1"}
TOP, MIDDLE = 10.0, 5.0
# how closely drawn weights keep to the stated ones: as if these came from so many votes
VOTES = 20


@dataclass(frozen=True)
class Evaluation:
    """Where every segment stands.

    Attributes:
        table: ``segment_key, share, share_of_sales, attractiveness, fit, rank, knocked_out`` and a score a criterion,
            0 to 10, ``score_NAME``; ranked first; knocked-out segments have neither scores nor rank.
        weights: of the attractiveness criteria, in per cent.
        fit_from: ``stated`` by the organisation, or ``data``.
        unknown: scores that no figure stands behind, each ``A growth``; they count as the middle of the scale.
        top_stays: share of drawn weights under which the first segment stays first; None with fewer than two
            segments or weights.
        drawn: the range that holds 95 % of the drawn values of the heaviest weight, in per cent.
    """

    table: pd.DataFrame
    weights: dict[str, int]
    fit_from: str
    unknown: tuple[str, ...]
    top_stays: float | None
    drawn: tuple[float, float]

    @property
    def ranked(self) -> pd.DataFrame:
        """The segments that are ranked, best first."""
        return self.table[self.table["knocked_out"] == ""]

    @property
    def headline(self) -> str:
        """Who comes first, and how surely."""
        if self.ranked.empty:
            return "No segment passes the knock-out criteria."
        best = self.ranked.iloc[0]
        first = (
            f"Segment {best['segment_key']} comes first: {best['attractiveness']:.1f} of 10 for attractiveness, "
            f"{best['fit']:.1f} for fit."
        )
        if self.top_stays is None:
            return first + (" No other is ranked." if len(self.ranked) < 2 else "")
        heaviest = max(self.weights, key=lambda name: self.weights[name])
        drawn = (
            f"{heaviest} mostly from {self.drawn[0]:.0f} to {self.drawn[1]:.0f} in place of {self.weights[heaviest]}"
        )
        return f"{first} With other weights near yours ({drawn}) it stays first in {self.top_stays:.0%} of draws."

    @property
    def sentence(self) -> str:
        """The headline, and who is out for what."""
        out = self.table[self.table["knocked_out"] != ""]
        lost = "; ".join(f"{row.segment_key} ({row.knocked_out})" for row in out.itertuples())
        return self.headline + (f" Not ranked: {lost}." if lost else "")

    @property
    def method(self) -> str:
        """How the scores came about."""
        fit = "the organisation's own scores, averaged"
        if self.fit_from == "data":
            fit = f"{', '.join(FIT)} alone: no statement of the organisation's strengths"
        weights = ", ".join(f"{name} {weight} %" for name, weight in self.weights.items())
        clear = " Growth counts only where it is clear of chance." if "growth" in self.weights else ""
        told = (
            "Each criterion runs from 0 for the lowest ranked segment to 10 for the highest, however close they lie."
            f"{clear} Attractiveness weighs {weights}. Fit is {fit}. Segments are ranked by the mean of the two."
        )
        return told + (f" Not known, and counted as 5: {', '.join(self.unknown)}." if self.unknown else "")


def evaluate(
    criteria: pd.DataFrame, weights: Sequence[str], fit_scores: Sequence[str] = (), *, draws: int = 2_000, seed: int
) -> Evaluation:
    """Score, weigh and rank the segments that are not knocked out.

    Args:
        criteria: from ``viability.criteria``, one row a segment.
        weights: of the attractiveness criteria in whole per cent, each ``value 40``; together 100.
        fit_scores: the organisation's own scores from 0 to 10, each ``A brand 7``: every ranked segment on every
            criterion named; empty means what the data can say of reach, stability and identifiability.
        draws: how often weights are drawn around the stated ones (Dirichlet).
        seed: of the draws.

    Raises:
        ParameterError: an unknown criterion or segment, weights that do not add up, a score missing or above 10.
    """
    weighed = _weights(weights)
    kept = criteria[criteria["knocked_out"] == ""]
    scored = {name: _scores(kept[ATTRACTIVE[name]]) for name in weighed}
    fits = _stated(fit_scores, criteria, kept) if fit_scores else {n: _scores(kept[c]) for n, c in FIT.items()}
    unknown = () if fit_scores else _unknown(kept, FIT)
    unknown = _unknown(kept, {name: ATTRACTIVE[name] for name in weighed}) + unknown
    share, values = np.array(list(weighed.values())) / 100, np.column_stack(list(scored.values()))
    base = ["segment_key", "share", "share_of_sales", "knocked_out"]
    fit = np.mean(list(fits.values()), axis=0)
    table = kept[base].assign(attractiveness=values @ share, fit=fit)
    table = table.assign(**{f"score_{name}": column for name, column in (scored | fits).items()})
    both = table["attractiveness"] + table["fit"]
    table["rank"] = both.round(9).rank(ascending=False, method="min")
    table = table.sort_values("rank", kind="stable")
    out = criteria.loc[criteria["knocked_out"] != "", base]
    columns = [*base[:3], "attractiveness", "fit", "rank", "knocked_out"]
    whole = pd.concat([table, out], ignore_index=True)
    whole = whole[[*columns, *(name for name in whole.columns if name not in columns)]]
    stays = _stays(values, fit, share, draws, seed) if min(len(kept), len(weighed)) > 1 else None
    heaviest = VOTES * share.max()
    low, high = 100 * beta.ppf([0.025, 0.975], heaviest, max(VOTES - heaviest, 1e-9))
    return Evaluation(whole, weighed, "stated" if fit_scores else "data", unknown, stays, (float(low), float(high)))


def _weights(texts: Sequence[str]) -> dict[str, int]:
    weights = {name: one for name, one in given.each("attractiveness_weights", texts, "value 40").items() if one}
    strange = [name for name in weights if name not in ATTRACTIVE]
    if strange:
        raise ParameterError(f"attractiveness_weights holds {strange[0]!r}; choose from {', '.join(ATTRACTIVE)}")
    if sum(weights.values()) != 100:
        raise ParameterError(f"attractiveness_weights add up to {sum(weights.values())}; make them add up to 100")
    return weights


def _scores(column: pd.Series) -> np.ndarray:
    """0 for the lowest, 10 for the highest; the middle where all are alike or nothing is known."""
    known = column.to_numpy(dtype=float)
    finite = known[np.isfinite(known)]
    spread = float(np.ptp(finite)) if len(finite) else 0.0
    if not spread:
        return np.full(len(known), MIDDLE)
    return np.nan_to_num(TOP * (known - finite.min()) / spread, nan=MIDDLE, posinf=TOP)


def _unknown(kept: pd.DataFrame, names: Mapping[str, str]) -> tuple[str, ...]:
    lost = {name: kept.loc[kept[column].isna(), "segment_key"] for name, column in names.items()}
    return tuple(f"{name} of {', '.join(keys)}" for name, keys in lost.items() if len(keys))


def _stated(texts: Sequence[str], criteria: pd.DataFrame, kept: pd.DataFrame) -> dict[str, np.ndarray]:
    found = given.each("fit_scores", texts, "A brand 7")
    scores = {name.partition(" ")[::2]: score for name, score in found.items()}
    keys = list(criteria["segment_key"])
    for (key, name), score in scores.items():
        if key not in keys or not name or score > TOP:
            told = f"fit_scores holds '{key} {name} {score}'; write a segment of {', '.join(keys)}, a criterion"
            raise ParameterError(f"{told} and a score from 0 to 10, e.g. {keys[0]} brand 7")
    names = list(dict.fromkeys(name for _, name in scores))
    for name in names:
        lost = [key for key in kept["segment_key"] if (key, name) not in scores]
        if lost:
            raise ParameterError(f"fit_scores has no {name!r} for {', '.join(lost)}; score every segment or none")
    return {name: np.array([float(scores[key, name]) for key in kept["segment_key"]]) for name in names}


def _stays(values: np.ndarray, fit: np.ndarray, share: np.ndarray, draws: int, seed: int) -> float:
    top = int(np.argmax((values @ share + fit).round(9)))
    drawn = np.random.default_rng(seed).dirichlet(VOTES * share, draws)
    return float(((drawn @ values.T + fit).round(9).argmax(axis=1) == top).mean())
