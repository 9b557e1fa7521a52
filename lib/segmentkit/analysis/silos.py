"""The data-silo report: which systems know which customers, and how far they overlap."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import pandas as pd


@dataclass(frozen=True)
class Silos:
    """Who is in which systems.

    Attributes:
        coverage: one row a system: ``system, tables, customers, found_elsewhere, share_found, rows, rows_without``
            (rows that name nobody).
        pairs: ``system, other, both, share_of_system, share_of_other``.
        combinations: ``systems, customers``: who is in exactly these systems.
    """

    coverage: pd.DataFrame
    pairs: pd.DataFrame
    combinations: pd.DataFrame

    @property
    def sentence(self) -> str:
        """Who of each system is found in each other, and how many rows name nobody."""
        sizes = self.coverage.set_index("system")["customers"]
        told = [
            f"Of {sizes[one.system]:,} people in {one.system}, {one.both:,} ({one.share_of_system:.0%}) are in "
            f"{one.other}."
            for one in self.pairs.itertuples()
        ]
        if not told:
            told = [f"{sizes.sum():,} people in {', '.join(sizes.index) or 'no system'}: there is nothing to join."]
        rows, without = int(self.coverage["rows"].sum()), int(self.coverage["rows_without"].sum())
        if without:
            told.append(f"{without:,} of {rows:,} rows have no identifier that can be used.")
        return " ".join(told)


def count(rows: pd.DataFrame, order: Sequence[str]) -> Silos:
    """Count people by system and by pair.

    Args:
        rows: ``system, table, customer_id`` (missing where a row names nobody) and ``rows`` (how many of them).
        order: systems in the order to show them.
    """
    systems = [one for one in order if one in set(rows["system"])]
    people = rows.dropna(subset="customer_id").drop_duplicates(["system", "customer_id"])
    bits = people["system"].map({system: 1 << place for place, system in enumerate(systems)}).astype("int64")
    sets = bits.groupby(people["customer_id"]).sum().value_counts().rename_axis("bits").reset_index(name="customers")
    member = pd.DataFrame(
        {one: sets["bits"].to_numpy(dtype="int64") >> at & 1 == 1 for at, one in enumerate(systems)}, dtype=bool
    )
    names = [" + ".join(one for one in systems if held[one]) for held in member.to_dict("records")]
    exact = sets.assign(systems=pd.Series(names, dtype="str"))[["systems", "customers"]]
    coverage = _coverage(rows, sets["customers"], member)
    return Silos(
        coverage,
        _pairs(sets["customers"], member, coverage.set_index("system")["customers"]),
        exact.sort_values(["customers", "systems"], ascending=[False, True], ignore_index=True),
    )


def _coverage(rows: pd.DataFrame, customers: pd.Series, member: pd.DataFrame) -> pd.DataFrame:
    several = member.sum(axis=1) > 1
    by_system = rows.assign(without=rows["rows"].where(rows["customer_id"].isna(), 0)).groupby("system")
    table = pd.DataFrame(
        {
            "tables": by_system["table"].agg(lambda names: ", ".join(sorted(set(names)))),
            "customers": {one: customers[member[one]].sum() for one in member},
            "found_elsewhere": {one: customers[member[one] & several].sum() for one in member},
            "rows": by_system["rows"].sum(),
            "rows_without": by_system["without"].sum(),
        }
    ).reindex(list(member))
    table.insert(3, "share_found", table["found_elsewhere"] / table["customers"].clip(lower=1))
    numbers = ["customers", "found_elsewhere", "rows", "rows_without"]
    return table.rename_axis("system").astype(dict.fromkeys(numbers, "int64")).reset_index()


def _pairs(customers: pd.Series, member: pd.DataFrame, sizes: pd.Series) -> pd.DataFrame:
    found = []
    for one, other in combinations(member, 2):
        both = int(customers[member[one] & member[other]].sum())
        found.append((one, other, both, both / max(sizes[one], 1), both / max(sizes[other], 1)))
    return pd.DataFrame(found, columns=["system", "other", "both", "share_of_system", "share_of_other"])
