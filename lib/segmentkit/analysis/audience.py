"""Who is in which file: consent first, nobody held back, nobody in a file too small; ids only, no address.

Eligibility (consent, contact cap, address) is decided before the arm is looked at, and alike for every arm. Otherwise
those reached would be the reachable and those held back everybody, and the difference between them would measure who
can be reached, not what the campaign did.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pandas as pd

from segmentkit.analysis.campaigns import SENT
from segmentkit.analysis.draw import HELD_BACK
from segmentkit.analysis.platforms import PLATFORMS, destination
from segmentkit.errors import DataError, ParameterError

STEPS = ["customers", "with_consent", "under_cap", "with_address", "not_held_back", "in_file"]
FEW = 10  # smaller counts are not shown
MEMBERS = ["customer_id", "platform", "channel", "segment_key", "arm", "offer"]
ASSIGNMENTS = ["campaign_id", "customer_id", "arm", "designed_share", "stratum", "assigned_at"]
BARRED = "blocked by the playbook"


@dataclass(frozen=True)
class Audience:
    """Who is in which file.

    Attributes:
        members: ``customer_id, platform, channel, segment_key, arm, offer``; one row a customer and destination.
        held_back: the same columns for those drawn to be held back who could have been in a file: in none.
        funnel: ``platform, channel, segment_key``, customers left after each of ``STEPS``, and ``why`` where no file
            is written.
        assignments: the shared table, for the eligible of every arm in a segment that got a file.
        assumptions: in words.
    """

    members: pd.DataFrame
    held_back: pd.DataFrame
    funnel: pd.DataFrame
    assignments: pd.DataFrame
    assumptions: tuple[str, ...]

    @property
    def left_out(self) -> dict[str, int]:
        """Customers left out by reason, added up over destinations and segments."""
        reasons = ["no consent", "contacted too often", "no address of their own", HELD_BACK, "no file written"]
        lost = -self.funnel[STEPS].diff(axis=1).iloc[:, 1:].sum()
        return dict(zip(reasons, lost.astype(int).tolist(), strict=True))

    @property
    def sentence(self) -> str:
        """How many a file may hold, how many wait held back, and why the rest is left out."""
        files, wait = self.members["customer_id"].nunique(), self.held_back["customer_id"].nunique()
        counts = {reason: f"{n:,}" if n >= FEW else f"fewer than {FEW}" for reason, n in self.left_out.items() if n}
        lost = ", ".join(f"{reason} {told}" for reason, told in counts.items())
        none = self.funnel[self.funnel["why"] != ""].groupby(["platform", "channel"])["segment_key"].agg(", ".join)
        told = "; ".join(f"{platform} {channel} {keys}" for (platform, channel), keys in none.items())
        unwritten = f" No file, with the reason in the funnel: {told}." if told else ""
        return (
            f"{files:,} customers pass every gate and are drawn to be reached; {wait:,} pass and are held back by lot. "
            f"Left out, counted once for each destination: {lost or 'nobody'}.{unwritten}"
        )


def select(
    segments: pd.DataFrame,
    lottery: pd.DataFrame,
    consents: pd.DataFrame,
    known: pd.DataFrame,
    contacts: pd.DataFrame,
    destinations: Sequence[str],
    *,
    purpose: str,
    as_of: date,
    cap: tuple[int, int] | None,
    smallest_group: int,
    match_rate: float,
    campaign_id: str,
    assigned_at: date,
    caps: Mapping[str, tuple[int, int]] | None = None,
    blocked: Collection[tuple[str, str]] = (),
    offers: Mapping[tuple[str, str], str] | None = None,
) -> Audience:
    """Choose who is in which file. No row of consent means: in no file.

    Args:
        segments: ``customer_id, segment_key``.
        lottery: ``customer_id, arm, designed_share, stratum`` of the next campaign, everybody in it once.
        consents: ``customer_id, channel, purpose, granted`` and perhaps ``at``.
        known: which ids each customer has, from ``Book.known``.
        contacts: the shared table; deliveries and impressions count for the cap, over all channels.
        destinations: each a platform and a channel, such as ``mailchimp email``.
        purpose: of the contact, as the consents call it.
        as_of: first day not looked at.
        cap: most contacts, in so many days before ``as_of``; None for no cap.
        smallest_group: fewest customers of a segment, and of each arm of it, in a file.
        match_rate: assumed share of customers whom an advertising platform finds.
        campaign_id: name of the campaign in ``assignments``.
        assigned_at: day that the files are made for.
        caps: by segment, in place of ``cap``.
        blocked: pairs of segment and channel that the playbook rules out.
        offers: text by pair of segment and channel, or by segment and ``""`` for every channel.

    Raises:
        ParameterError: a destination is not known, or a figure is out of range.
        DataError: the lottery does not fit the segments, or a customer would get two offers.
    """
    _check_figures(destinations, cap, smallest_group, match_rate)
    people = _drawn(segments, lottery)
    limits = people["segment_key"].map(lambda key: (caps or {}).get(key, cap))
    had = {days: _recent(contacts, as_of, days) for _, days in filter(None, set(limits))}
    people["under_cap"] = [
        limit is None or had[limit[1]].get(who, 0) < limit[0]
        for who, limit in zip(people["customer_id"], limits, strict=True)
    ]
    where = sorted(set(map(destination, destinations)))
    agreed = {channel: allowed(consents, channel, purpose, as_of) for channel in {channel for _, channel in where}}
    agreed = {channel: people["customer_id"].isin(ids) for channel, ids in agreed.items()}
    has = known.set_index("customer_id").reindex(people["customer_id"], fill_value=False).set_axis(people.index)
    arms, parts, rows = sorted({*people["arm"].unique()} - {HELD_BACK}), [], []
    for platform, channel in where:
        facts, barred = PLATFORMS[platform], {key for key, name in blocked if name == channel}
        own = _eligible(people, agreed[channel], has[list(facts.ids[channel])].any(axis=1))
        groups = dict(list(own.groupby("segment_key")))
        why = {
            key: BARRED if key in barred else _too_few(group, smallest_group, match_rate, facts.fewest_matched, arms)
            for key, group in groups.items()
        }
        rows += [(platform, channel, key, *_steps(group, not why[key]), why[key]) for key, group in groups.items()]
        chosen = own[own["eligible"] & own["segment_key"].map(why).eq("")]
        texts = {key: (offers or {}).get((key, channel), (offers or {}).get((key, ""), "")) for key in groups}
        parts.append(chosen.assign(platform=platform, channel=channel, offer=chosen["segment_key"].map(texts)))
    found = pd.concat(parts, ignore_index=True)
    held = found["arm"] == HELD_BACK
    members, held_back = (found.loc[rule, MEMBERS].reset_index(drop=True) for rule in (~held, held))
    check(members, held_back)
    funnel = pd.DataFrame(rows, columns=["platform", "channel", "segment_key", *STEPS, "why"])
    drawn = found.drop_duplicates("customer_id").sort_values("customer_id", ignore_index=True)
    drawn = drawn.assign(campaign_id=campaign_id, assigned_at=pd.Timestamp(assigned_at))
    assumed = _assumptions(funnel, match_rate, as_of, purpose, cap)
    return Audience(members, held_back, funnel, drawn[ASSIGNMENTS], assumed)


def _check_figures(
    destinations: Sequence[str], cap: tuple[int, int] | None, smallest_group: int, match_rate: float
) -> None:
    if not destinations:
        raise ParameterError("destinations == []; name at least one, such as 'plain email'")
    if cap is not None and (cap[0] < 1 or cap[1] < 1):
        raise ParameterError(f"contact cap == {cap}; at least one contact in at least one day; None means no cap")
    if smallest_group < 1 or not 0 < match_rate <= 1:
        raise ParameterError(
            f"smallest_group == {smallest_group}, match_rate == {match_rate}; the first is at least 1, the second "
            "above 0 and at most 1; mend them"
        )


def _drawn(segments: pd.DataFrame, lottery: pd.DataFrame) -> pd.DataFrame:
    """Every customer with segment and arm."""
    twice = int(segments["customer_id"].duplicated().sum() + lottery["customer_id"].duplicated().sum())
    columns = ["customer_id", "arm", "designed_share", "stratum"]
    people = segments[["customer_id", "segment_key"]].dropna().merge(lottery[columns], how="left", on="customer_id")
    moved = int((people["stratum"] != people["segment_key"]).sum())
    if twice or moved or lottery["arm"].isna().any() or not lottery["arm"].eq(HELD_BACK).any():
        raise DataError(
            f"customers twice == {twice:,}, drawn in another segment or not at all == {moved:,}, held back == "
            f"{(lottery['arm'] == HELD_BACK).sum():,}; the lottery must be drawn once for exactly these segments, with "
            "somebody held back; run 04 again"
        )
    return people.sort_values("customer_id", ignore_index=True)


def allowed(consents: pd.DataFrame, channel: str, purpose: str, as_of: date) -> set[str]:
    """Customers who have consented to a channel and purpose, and have not refused since.

    The latest row counts; of several at one time any refusal wins. A refusal without a time may be the latest, so it
    wins. Consent given from ``as_of`` on does not count; a refusal does whenever it was: whoever knows of it must heed
    it.
    """
    wanted = _is(consents["channel"], channel) & _is(consents["purpose"], purpose)
    own = consents[wanted].reset_index(drop=True)
    own["granted"] = own["granted"].eq(True).fillna(False).astype(bool)
    at = pd.to_datetime(own["at"]) if "at" in own.columns else pd.Series(pd.NaT, index=own.index)
    own = own.assign(at=at)[~(own["granted"] & (at >= pd.Timestamp(as_of)))]
    own = own[own["at"].isna() | (own["at"] == own.groupby("customer_id")["at"].transform("max"))]
    granted, refused = (own.loc[rule, "customer_id"].unique() for rule in (own["granted"], ~own["granted"]))
    return {*granted} - {*refused}


def everywhere(consents: pd.DataFrame, purpose: str, as_of: date) -> dict[str, set[str]]:
    """Customers with consent for the purpose, by channel that the consents name; as ``allowed``."""
    channels = {str(channel).strip().lower() for channel in consents["channel"].dropna()}
    return {channel: allowed(consents, channel, purpose, as_of) for channel in sorted(channels)}


def _is(texts: pd.Series, word: str) -> pd.Series:
    return texts.isin([text for text in texts.dropna().unique() if text.strip().lower() == word.strip().lower()])


def _recent(contacts: pd.DataFrame, as_of: date, days: int) -> dict[str, int]:
    """Deliveries and impressions of each customer in the days before."""
    at, end = pd.to_datetime(contacts["at"]), pd.Timestamp(as_of)
    recent = contacts[contacts["event"].isin(SENT) & (at >= end - timedelta(days=days)) & (at < end)]
    return dict(recent["customer_id"].value_counts())


def _eligible(people: pd.DataFrame, agreed: pd.Series, reachable: pd.Series) -> pd.DataFrame:
    """Whether each customer could be in the file; the arm is not looked at."""
    under = people["under_cap"] & agreed
    return people.assign(with_consent=agreed, under_cap=under, eligible=under & reachable)


def _steps(group: pd.DataFrame, written: bool) -> tuple[int, ...]:
    free = group["eligible"] & (group["arm"] != HELD_BACK)
    rules = group["with_consent"], group["under_cap"], group["eligible"], free, free & written
    return len(group), *(int(rule.sum()) for rule in rules)


def _too_few(group: pd.DataFrame, smallest: int, rate: float, fewest: int, arms: Sequence[str]) -> str:
    """Why a segment gets no file; empty if it does. Its smallest arm decides, so that no arm is dropped alone."""
    counts = group.loc[group["eligible"], "arm"].value_counts().reindex(arms, fill_value=0)
    n = int(counts.min())
    told = (f"{n:,} customers" if n >= FEW else f"fewer than {FEW} customers") + (
        f" in arm {counts.idxmin()}" if len(arms) > 1 else ""
    )
    if n < smallest:
        return f"too small: {told}, fewest allowed {smallest:,}"
    matched = int(np.floor(n * rate + 1e-9))
    if matched < fewest:
        return f"about {matched:,} of {told} would be matched at the assumed {rate:.0%}; the platform wants {fewest:,}"
    return ""


def without_few(funnel: pd.DataFrame) -> pd.DataFrame:
    """The funnel for people to read: counts of fewer than ten are missing."""
    return funnel.assign(**{step: funnel[step].where((funnel[step] == 0) | (funnel[step] >= FEW)) for step in STEPS})


def check(members: pd.DataFrame, held_back: pd.DataFrame) -> None:
    """One customer has one segment, one arm and one offer in all files, each file once, and nobody held back is in one.

    Raises:
        DataError: it is not so; how many customers, and the first conflict.
    """
    told = members[["customer_id", "segment_key", "arm", "offer"]].drop_duplicates()
    for name in ("segment_key", "arm", "offer"):
        values = told[["customer_id", name]].drop_duplicates()["customer_id"]
        if len(found := values[values.duplicated()].unique()):
            own = members[members["customer_id"] == found[0]]
            where = ", ".join(f"{row['platform']} {row['channel']} {row[name]!r}" for row in own.to_dict("records"))
            raise DataError(
                f"customers with several values of {name} == {len(found):,}; the first: {where}; one customer gets one "
                f"{name} in every channel; mend the playbook or the tables"
            )
    again = int(members.duplicated(["customer_id", "platform", "channel"]).sum())
    held = int((members["arm"].eq(HELD_BACK) | members["customer_id"].isin(held_back["customer_id"])).sum())
    if again or held:
        raise DataError(f"members twice in a file == {again:,}, held back == {held:,}; both must be 0; choose again")


def _assumptions(
    funnel: pd.DataFrame, match_rate: float, as_of: date, purpose: str, cap: tuple[int, int] | None
) -> tuple[str, ...]:
    floors = {one: PLATFORMS[one].fewest_matched for one in funnel["platform"].unique()}
    matched = [
        f"{PLATFORMS[name].label}: {match_rate:.0%} of the customers in a file are found, and {fewest:,} must be. Both "
        "are assumed; the platform shows the real figures after the upload."
        for name, fewest in floors.items()
        if fewest
    ]
    told = f"at most {cap[0]} in {cap[1]} days" if cap else "no cap was set"
    return (
        f"Consent for the purpose {purpose!r} counts if given before {as_of}; a refusal counts on any day.",
        f"Contacts of one customer: {told}.",
        *matched,
    )
