"""The verdict: natural, reproducible or constructive (Dolnicar and Leisch 2010), and the clause that decided.

*Natural* segments are separate groups in the data. *Reproducible* ones are a cut that comes out the same again, often
through one long cloud. *Constructive* ones are a managerial cut through a crowd: others would be as good.
"""

from dataclasses import dataclass

from segmentkit.analysis.nulls import NullTest
from segmentkit.analysis.stability import Stability
from segmentkit.errors import DataError

SILHOUETTE = 0.5
VALLEY = 0.5
MARKETER = {
    "natural": "{k} separate groups, found in the data",
    "reproducible": "{k} groups, safe to plan on",
    "constructive": "{k} groups, a convenient cut; others are as good",
    "by rule": "{k} groups by rule, as you set them",
}


@dataclass(frozen=True)
class Clause:
    """One thing that is asked of segments: what, the figure found, what it takes, and whether it holds."""

    asks: str
    found: str
    takes: str
    holds: bool

    @property
    def sentence(self) -> str:
        """The clause in words."""
        return f"{self.asks} {self.found} (it takes {self.takes})"


@dataclass(frozen=True)
class Verdict:
    """Plain words for how far the segments can be trusted, and the clause that decided.

    Attributes:
        word: ``natural``, ``reproducible``, ``constructive`` or ``by rule``.
        marketer: the same for page one.
        reason: the clause that decided, with its figures.
        clauses: every clause, in the order in which they are asked.
    """

    word: str
    marketer: str
    reason: str
    clauses: tuple[Clause, ...] = ()


def judge(
    measured: Stability,
    null: tuple[NullTest, NullTest] | None,
    silhouette: float,
    *,
    natural_floor: float = 0.90,
    repeatable_floor: float = 0.70,
    segment_floor: float = 0.85,
    level: float = 0.05,
) -> Verdict:
    """Judge segments by their stability, by two nulls and by the gaps between them.

    Args:
        measured: stability of the segments.
        null: against copies with unrelated columns, and against copies of one population, with valleys; None for
            rules.
        silhouette: mean silhouette of the segments.
        natural_floor: mean agreement that natural segments reach.
        repeatable_floor: mean agreement that reproducible ones reach.
        segment_floor: Jaccard that every natural segment reaches.
        level: of both nulls.

    Raises:
        DataError: nothing was measured.
    """
    if null is None:
        told = "set beforehand, not found in the data; whether they matter is asked below, not whether they exist"
        return Verdict("by rule", MARKETER["by rule"].format(k=measured.k), f"{told}.")
    unrelated, undivided = null
    if not measured.pairs:
        raise DataError("no bootstrap pairs; set bootstrap_pairs to 1 or more")
    apart = silhouette > SILHOUETTE or ((undivided.depth or 0.0) >= VALLEY and undivided.depth_p <= level)
    pairs, weakest = f"agreement over {len(measured.pairs)} pairs of bootstrap samples", min(measured.per_segment)
    natural: tuple[Clause, ...] = (
        Clause(pairs, f"{measured.mean:.2f}", f"{natural_floor:g}", measured.mean >= natural_floor),
        Clause(f"p against {len(undivided.copies)} copies of one population", f"{undivided.p:.3g}",
               f"{level:g} or less", undivided.p <= level),
        Clause("its weakest segment is found again at", f"{weakest:.2f}", f"{segment_floor:g}",
               weakest >= segment_floor),
        Clause("the shallowest valley between neighbours is",
               f"{undivided.depth or 0.0:.2f} deep, p {undivided.depth_p:.3g}, and the silhouette {silhouette:.2f}",
               f"{VALLEY:g} and {level:g}, or a silhouette above {SILHOUETTE:g}", apart),
    )  # fmt: skip
    again: tuple[Clause, ...] = (
        Clause(pairs, f"{measured.mean:.2f}", f"{repeatable_floor:g}", measured.mean >= repeatable_floor),
        Clause(f"p against {len(unrelated.copies)} copies with unrelated columns", f"{unrelated.p:.3g}",
               f"{level:g} or less", unrelated.p <= level),
    )  # fmt: skip
    if all(clause.holds for clause in natural):
        word, told, because = "natural", "these are separate groups", natural
    elif all(clause.holds for clause in again):
        failed = next(clause for clause in natural if not clause.holds)
        word, told = "reproducible", "other customers from the same market would give nearly the same groups"
        because = (*again, failed)
    else:
        word = "constructive"
        told = (
            "new customers could shift the borders" if not again[0].holds else "unrelated columns give cuts as stable"
        )
        because = tuple(clause for clause in again if not clause.holds)[:1]
    reason = f"{told}: {'; '.join(clause.sentence for clause in because)}."
    if word == "reproducible":
        reason = (
            f"{told}: {'; '.join(clause.sentence for clause in again)}. They are not separate groups: "
            f"{because[-1].sentence}."
        )
    return Verdict(word, MARKETER[word].format(k=measured.k), reason, (*natural, *again))
