"""Several markets: one cut for all of them, and which segment of one corresponds to which of another."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from segmentkit.analysis import choosing, clustering, profiles
from segmentkit.analysis.clustering import Scaled, Segmentation
from segmentkit.analysis.features import DEFAULT_FEATURES
from segmentkit.errors import DataError, ParameterError

# half a standard deviation, as for a marker: farther apart, two segments are not the same kind of customers
ALIGNED = 0.5
POOLABLE = ("kmeans", "mixture", "ward")


def fit_pooled(features: Mapping[str, pd.DataFrame], settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """One segmentation for all markets, saved once for each.

    Every market is transformed and scaled on its own, so that currency and price level drop out: a segment means the
    same place among a market's own customers. Then all are clustered together; a larger market weighs more. A has the
    highest sales per customer, measured against its market's average.

    Args:
        features: feature table of each market.
        settings: ``features, k_min, k_max, own_k, starts, bootstrap_pairs, stability_floor, size_floor_share,
            size_floor, stability_max_rows, seed`` and ``workers``; ``method`` where it is not k-means.

    Returns:
        For each market the content of ``model.json``: common keys, centroids and names, its own scaling.

    Raises:
        DataError: fewer than two markets.
        ParameterError: a method that one fit for several markets makes no sense for.
    """
    method = settings.get("method", "kmeans")
    if method not in POOLABLE:
        raise ParameterError(
            f"method == {method!r}; one fit for all markets takes {', '.join(POOLABLE)}: rules and dense groups would "
            "mean another place in each market; fit every market on its own"
        )
    if len(features) < 2:
        raise DataError(f"{len(features)} markets have features; a pooled fit needs two or more")
    names, s = list(settings["features"]) or DEFAULT_FEATURES, settings
    # a transform or unit of one market only would lay its customers at other places than their likes elsewhere
    skewed = np.mean([clustering.skewness(table, names) for table in features.values()], axis=0) >= clustering.SKEWED
    plain = [clustering.scale(table, names, skewed=skewed, units=np.ones(len(names))) for table in features.values()]
    units = np.mean([clustering.hump_units(one.values) for one in plain], axis=0)
    scaled = {m: clustering.scale(table, names, skewed=skewed, units=units) for m, table in features.items()}
    values = np.concatenate([one.values for one in scaled.values()])
    ids = pd.Series([f"{number:09}" for number in range(len(values))])  # in this order, whatever markets call theirs
    everybody = Scaled(ids, values, next(iter(scaled.values())).scaling)
    effort = {"starts": s["starts"], "seed": s["seed"]}
    evidence = choosing.score_k_range(
        everybody, s["k_min"], s["k_max"], pairs=s["bootstrap_pairs"], max_rows=s["stability_max_rows"],
        workers=s["workers"], **effort
    )  # fmt: skip
    floors = {name: s[name] for name in ("stability_floor", "size_floor_share", "size_floor")}
    choice = choosing.choose_k(evidence, own_k=s["own_k"], **floors)
    worth = pd.DataFrame({"customer_id": ids, "monetary": _relative_sales(features)})
    common = clustering.segment(worth, everybody, choice.k, method=method, **effort)
    keys = np.asarray(common.keys, dtype=object)[common.method.labels(values)[0]]
    table = pd.DataFrame(values, columns=names).assign(customer_id=ids)
    segments = pd.DataFrame({"customer_id": ids, "segment_key": keys})
    named = profiles.names(profiles.profile(table, segments), names)
    extra = {"names": named, "made_names": named, "pooled": sorted(features), "choice": choice.sentence}
    return {m: replace(common, scaling=one.scaling).to_dict() | extra for m, one in scaled.items()}


def _relative_sales(features: Mapping[str, pd.DataFrame]) -> np.ndarray:
    sales = [table.sort_values("customer_id")["monetary"] for table in features.values()]
    return np.concatenate([(one / one.mean()).to_numpy() for one in sales])


def align(models: Mapping[str, Segmentation], shared_keys: bool) -> pd.DataFrame:
    """Which segment of each market corresponds to which of the first market.

    Where all markets share one segmentation the key says it. Otherwise centroids are compared, each in standard
    deviations of its own market (Hungarian on the mean distance a feature); half a standard deviation is the most, and
    the rest, whoever is in no group, has no partner but a rest.

    Args:
        models: segmentation of each market; the first is the yardstick.
        shared_keys: all markets use one segmentation.

    Returns:
        ``key, market, market_key, distance``; ``market_key`` is missing where no segment is near enough, and
        ``distance`` where the features differ.
    """
    (first, anchor), *others = models.items()
    rows: list[tuple[str, str, str | None, float | None]] = [(key, first, key, 0.0) for key in anchor.keys]
    for market, model in others:
        if shared_keys:
            rows += [(key, market, key if key in model.keys else None, 0.0) for key in anchor.keys]
            continue
        rows += [(key, market, *found) for key, found in zip(anchor.keys, _nearest(anchor, model), strict=True)]
    return pd.DataFrame(rows, columns=["key", "market", "market_key", "distance"])


def _nearest(anchor: Segmentation, model: Segmentation) -> Sequence[tuple[str | None, float | None]]:
    if anchor.scaling.columns != model.scaling.columns:
        return [(None, None)] * len(anchor.keys)
    gaps = anchor.centroids[:, None, :] - model.centroids[None, :, :]
    rests = [np.array([key == one.rest for key in one.keys]) for one in (anchor, model)]
    apart = np.where(rests[0][:, None] == rests[1], np.sqrt((gaps**2).mean(axis=2)), np.inf)
    found: list[tuple[str | None, float | None]] = [(None, float(row.min())) for row in apart]
    # whoever is too far has no partner anyhow, and must not cost another one his twin
    for row, column in zip(*linear_sum_assignment(np.where(apart <= ALIGNED, apart, 1e6)), strict=True):
        if apart[row, column] <= ALIGNED:
            found[row] = (model.keys[column], float(apart[row, column]))
    return found
