"""Probable links between systems from names, postcodes and birth dates, for people who share no identifier.

Fellegi and Sunter (1969), fitted by the splink package without examples. What it finds is proposed, never joined in
silence: ``accepted`` puts chosen proposals into a crosswalk, and ``identities.resolve`` joins by that.
"""

import importlib
import unicodedata
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from segmentkit.errors import DataError, EnvironmentFault

COMPARED = ["first_name", "last_name", "postcode", "birth_date"]
FEWEST_PEOPLE = 100
# pairs that are compared at all agree in full on one of these
BLOCKS = (("birth_date",), ("postcode", "last_name"), ("postcode", "first_name"), ("first_name", "last_name"))
# share of true pairs that agree on every column, from which splink works out how many true pairs there are
AGREEING = 0.5


@dataclass(frozen=True)
class Proposals:
    """Pairs of customers in different systems who are probably one person.

    Attributes:
        table: ``customer_id, other_id`` (pseudonyms), ``system, other``, ``probability`` and ``agreed`` (which columns
            agree, in words); no name.
        threshold: smallest probability proposed.
        compared: the columns compared.
    """

    table: pd.DataFrame
    threshold: float
    compared: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """How many, and on what ground."""
        words = ", ".join(name.replace("_", " ") for name in self.compared)
        return (
            f"{len(self.table):,} further links are proposed with an estimated probability of {self.threshold:.0%} or "
            f"more, from {words}. They are estimates: none is used unless it is accepted."
        )


def propose(people: pd.DataFrame, threshold: float = 0.95, *, seed: int) -> Proposals:
    """Propose links between customers of different systems.

    Of several candidates for one customer in one system the most probable is proposed, and none where two tie. A link
    that would make two customers of one system one is not proposed.

    Args:
        people: one row a customer and system: ``system, customer_id`` (pseudonym) and at least three of ``COMPARED``;
            birth dates as YYYY-MM-DD.
        threshold: smallest probability to propose [0..1].
        seed: for the pairs drawn to learn how often columns agree by chance.

    Raises:
        EnvironmentFault: splink is not installed.
        DataError: fewer than two systems, too few people, or too few columns to tell people apart.
    """
    columns = tuple(name for name in COMPARED if name in people and people[name].notna().any())
    sizes = people["system"].value_counts()
    if len(columns) < 3 or len(sizes) < 2 or sizes.min() < FEWEST_PEOPLE:
        raise DataError(
            f"linkage has columns == {', '.join(columns) or 'none'} and people == {sizes.to_dict()}; it needs three of "
            f"{', '.join(COMPARED)} and {FEWEST_PEOPLE} people in each of two systems; leave it off, or add columns"
        )
    plain = people[["system", "customer_id"]].assign(
        **{name: people[name].map(_plain, na_action="ignore") for name in columns}
    )
    try:
        scored = _scored(plain.drop_duplicates(["system", "customer_id"]), columns, threshold, seed)
    except EnvironmentFault:
        raise
    except Exception:  # whatever the package says when it has too little to learn from
        raise DataError(
            f"linkage learns too little from {len(people):,} people by {', '.join(columns)}: hardly any pair agrees on "
            "two of them; it needs hundreds of such pairs; leave link_above empty, or add a column such as birth dates"
        ) from None
    pairs = _unambiguous(_possible(scored, people))
    agreed = [_agreed(pair, columns) for pair in pairs.to_dict("records")]
    names = {"unique_id_l": "customer_id", "unique_id_r": "other_id", "source_dataset_l": "system",
             "source_dataset_r": "other", "match_probability": "probability"}  # fmt: skip
    table = pairs.rename(columns=names)[list(names.values())].assign(
        agreed=pd.Series(agreed, index=pairs.index, dtype="str")
    )
    return Proposals(table.sort_values(["customer_id", "other_id"], ignore_index=True), threshold, columns)


def accepted(crosswalk: pd.DataFrame, links: pd.DataFrame) -> pd.DataFrame:
    """The crosswalk with proposed links made, to hand to ``identities.resolve`` as the earlier one.

    Own ids of one system that contradict a link still part it.

    Args:
        crosswalk: ``identities.Resolved.crosswalk``.
        links: rows of ``Proposals.table``, all or some.
    """
    ids = pd.Index(np.unique(links[["customer_id", "other_id"]].to_numpy(dtype=object)))
    ends = [ids.get_indexer(links[name]) for name in ("customer_id", "other_id")]
    graph = coo_array((np.ones(len(links)), tuple(ends)), shape=(len(ids), len(ids)))
    _, first, group = np.unique(connected_components(graph, directed=False)[1], return_index=True, return_inverse=True)
    kept = dict(zip(ids, ids[first[group]], strict=True))
    return crosswalk.assign(customer_id=crosswalk["customer_id"].map(lambda one: kept.get(one, one)))


def _plain(text: Any) -> str | None:
    return unicodedata.normalize("NFKC", str(text)).strip().lower() or None


def _scored(people: pd.DataFrame, columns: tuple[str, ...], threshold: float, seed: int) -> pd.DataFrame:
    """Pairs of people in different systems at or above the threshold, by splink on one thread of its own engine."""
    try:
        splink = importlib.import_module("splink")
        library = importlib.import_module("splink.comparison_library")
    except ImportError:
        raise EnvironmentFault(
            "splink is not installed; probable links need it; python -m pip install 'splink>=5,<6', or leave them off"
        ) from None
    compare = {
        "postcode": library.LevenshteinAtThresholds("postcode", 1),
        "birth_date": library.DateOfBirthComparison("birth_date", input_is_string=True),
    }
    blocks = [splink.block_on(*block) for block in BLOCKS if set(block) <= set(columns)]
    settings = splink.SettingsCreator(
        link_type="link_only",
        comparisons=[compare.get(name, library.NameComparison(name)) for name in columns],
        blocking_rules_to_generate_predictions=blocks,
    )
    ordered = people.rename(columns={"customer_id": "unique_id", "system": "source_dataset"})
    ordered = ordered.sort_values(["source_dataset", "unique_id"])
    with duckdb.connect(config={"threads": 1}) as engine:
        api = splink.DuckDBAPI(engine)
        tables = [api.register(one) for _, one in ordered.groupby("source_dataset")]
        linker = splink.Linker(tables, settings, log_level="ERROR")
        _train(linker, splink, columns, blocks, seed)
        return linker.inference.predict(threshold_match_probability=threshold).as_pandas_dataframe()


def _train(linker: Any, splink: Any, columns: tuple[str, ...], blocks: list[Any], seed: int) -> None:
    linker.training.estimate_probability_two_random_records_match([splink.block_on(*columns)], recall=AGREEING)
    linker.training.estimate_u_using_random_sampling(max_pairs=1e6, seed=seed)
    for block in blocks[:2]:
        linker.training.estimate_parameters_using_expectation_maximisation(block)


def _possible(scored: pd.DataFrame, people: pd.DataFrame) -> pd.DataFrame:
    """Without pairs that are one customer already, and those whose link would join two customers of one system."""
    systems = people.groupby("customer_id")["system"].agg(set)
    fits = [
        systems[left].isdisjoint(systems[right])
        for left, right in zip(scored["unique_id_l"], scored["unique_id_r"], strict=True)
    ]
    return scored[fits]


def _unambiguous(pairs: pd.DataFrame) -> pd.DataFrame:
    """Pairs that are, for both of them, the one most probable in the other's system."""
    best = pd.Series(True, index=pairs.index)
    for one, other in (("l", "r"), ("r", "l")):
        group = pairs.groupby([f"unique_id_{one}", f"source_dataset_{other}"])["match_weight"]
        best &= group.rank(method="max", ascending=False) == 1
    return pairs[best]


def _agreed(pair: dict[Any, Any], columns: tuple[str, ...]) -> str:
    said = []
    for name in columns:
        if pair[f"gamma_{name}"] > 0:
            same = pair[f"{name}_l"] == pair[f"{name}_r"]
            said.append(name.replace("_", " ") + ("" if same else " (nearly)"))
    return ", ".join(said)
