"""Who is known to which systems: one bar for each set of systems, with the systems marked below it."""

import pandas as pd
from matplotlib.figure import Figure

from segmentkit.analysis.silos import Silos
from segmentkit.display import style

MOST_BARS = 12


def _members(silos: Silos) -> pd.DataFrame:
    """Sets of systems by size, one column a system; true where the set has it."""
    systems = list(silos.coverage["system"])
    sets = silos.combinations["systems"].str.split(" + ", regex=False)
    return pd.DataFrame({one: sets.map(lambda held, one=one: one in held) for one in systems}, dtype=bool)


def finding(silos: Silos) -> str:
    """How many people more than one system knows, in words."""
    people = int(silos.combinations["customers"].sum())
    several = int(silos.combinations.loc[_members(silos).sum(axis=1) > 1, "customers"].sum())
    if len(silos.coverage) < 2:
        return f"{people:,} people, all in one system: nothing to join"
    share = style.percent(several / people) if people else "none"
    return f"{several:,} of {people:,} people ({share}) are known to more than one system"


def systems_together(silos: Silos) -> Figure:
    """People by the exact set of systems that know them (Lex and others 2014); the twelve largest sets."""
    members = _members(silos).head(MOST_BARS)
    counts = silos.combinations["customers"].head(MOST_BARS).to_numpy()
    systems, x = list(members), range(len(members))
    made, (bars, dots) = style.figure(
        3.2 + 0.3 * len(systems), rows=2, sharex=True, gridspec_kw={"height_ratios": [3, 0.35 * len(systems) + 0.3]}
    )
    bars.bar(x, counts, color=[style.colour(0) if row.sum() > 1 else style.QUIET for _, row in members.iterrows()])
    for at, count in zip(x, counts, strict=True):
        bars.annotate(f"{count:,}", (at, count), xytext=(0, 2), textcoords="offset points", ha="center", fontsize=9)
    bars.set(ylabel="people", xticks=[], ylim=(0, max(counts, default=1) * 1.12))
    for row, system in enumerate(systems):
        held = [at for at in x if members[system].iloc[at]]
        dots.scatter(x, [row] * len(members), color=style.FAINT, s=45)
        dots.scatter(held, [row] * len(held), color=style.INK, s=45, zorder=2)
    for at in x:
        rows = [row for row, system in enumerate(systems) if members[system].iloc[at]]
        dots.plot([at, at], [min(rows), max(rows)], color=style.INK, linewidth=1.5)
    dots.set(
        yticks=range(len(systems)), yticklabels=systems, ylim=(len(systems) - 0.5, -0.5), xlim=(-0.6, len(x) - 0.4)
    )
    dots.spines[["left", "bottom"]].set_visible(False)
    dots.tick_params(length=0)
    left = len(silos.combinations) - len(members)
    if left:
        style.note(dots, f"{left} smaller sets of systems are not shown.")
    style.title(made, finding(silos))
    return made
