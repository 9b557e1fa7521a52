"""What the marketing mix decides: offers, closed channels, caps, and whether its texts go together."""

from collections.abc import Collection, Iterator

import pandas as pd

from segmentkit.analysis.mix import ALL, OTHER, YOURS, Mix
from segmentkit.errors import ParameterError

# what people write for "do not contact"; in the column of channels, or as the offer
NO = ("no", "none", "no contact", "do not contact", "don't contact", "nobody")
UNCLEAR = ("no offer", "n/a", "na", "-", "--", "?", "tbd")


def _segments(mix: Mix) -> Iterator[tuple[str, pd.DataFrame]]:
    """Rows of each segment in use by channel, cells without spaces around them, and which channel each row closes."""
    rows = mix.in_use.apply(lambda column: column.str.strip())
    rows["closes"] = [_closes(*cells) for cells in zip(rows["channel"], rows["offer"], strict=True)]
    for key, own in rows.groupby("segment_key", sort=False):
        yield str(key), own.set_index("channel")


def _closes(channel: str, offer: str) -> str:
    """The channel that a row closes; empty where it closes none."""
    if channel in NO:
        return ALL
    if channel.startswith("no "):
        return channel.removeprefix("no ").strip()
    return channel if offer.casefold().rstrip(".!") in NO else ""


def blocked(mix: Mix, channels: Collection[str]) -> set[tuple[str, str]]:
    """Segment and channel in which nobody is to be contacted.

    An offer "no" or "none" closes the row's channel, in the row "all" every channel. So does a channel "none"; a
    channel "no email" closes e-mail.

    Args:
        mix: merged.
        channels: all that files can go to.

    Raises:
        ParameterError: a channel that is closed is none of them, so that closing it would close nothing.
    """
    found = set()
    for key, rows in _segments(mix):
        for channel in rows["closes"][rows["closes"] != ""]:
            if channel not in (ALL, *channels):
                raise ParameterError(
                    f"segment {key} is not to be contacted by channel == {channel!r}; channels are "
                    f"{', '.join(channels)}; write one of them, or all"
                )
            found |= {(key, one) for one in (channels if channel == ALL else [channel])}
    return found


def _open(mix: Mix) -> Iterator[tuple[str, pd.DataFrame, pd.DataFrame]]:
    """Rows of each segment whose channel is open, and those that another row closes."""
    for key, rows in _segments(mix):
        shut = rows.index.isin(rows["closes"]) | (rows["closes"] == ALL).any()
        says = rows["closes"] == ""
        yield key, rows[~shut & says], rows[shut & says]


def _over_channels(rows: pd.DataFrame, what: str) -> "pd.Series[str]":
    """By channel what is said there: the own cell, else that of the row for all channels, else nothing."""
    everywhere = str(rows[what].get(ALL, ""))
    return rows[what].where(rows[what] != "", everywhere)


def offers(mix: Mix) -> dict[tuple[str, str], str]:
    """Offer by segment and channel, where people wrote one; channel "" is every channel without an own row."""
    return {
        (key, "" if channel == ALL else str(channel)): offer
        for key, rows, _ in _open(mix)
        for channel, offer in _over_channels(rows, "offer").items()
        if offer
    }


def caps(mix: Mix) -> dict[str, int]:
    """Most contacts by segment over all channels together, where people wrote one."""
    found = {key: str(rows["contact_cap"].get(ALL, "")) for key, rows in _segments(mix)}
    return {key: int(cap) for key, cap in found.items() if cap}


def consistency(mix: Mix, channels: Collection[str]) -> list[str]:
    """A sentence for whatever in budgets, caps and channels does not go together; it stops no file.

    Args:
        mix: merged.
        channels: all that files can go to.
    """
    told = []
    for key, rows, lost in _open(mix):
        told += [_overspent(key, rows), _single_caps(key, rows)]
        unknown = [repr(channel) for channel in rows.index if channel not in (ALL, *channels)]
        known = f"no channel of the files ({', '.join(channels)}): the row changes none of them"
        told.append(f"Segment {key}: {', '.join(unknown)} is {known}." if unknown else "")
        words = ", ".join(lost.index[(lost["offer"] != "") | (lost["message"] != "")])
        told.append(f"Segment {key}: not to be contacted, yet it has words for {words}." if words else "")
    return [sentence for sentence in told if sentence]


def conflicts(mix: Mix) -> list[str]:
    """A sentence for whatever must be mended before a file leaves: texts that differ, a refusal that might be lost."""
    told = [
        _differing(key, _over_channels(rows, what), what)
        for key, rows, _ in _open(mix)
        for what in ("offer", "message")
    ]
    rows = mix.in_use
    unclear = rows["offer"].str.casefold().str.strip().isin(UNCLEAR)
    told += [
        f"Segment {row.segment_key}: offer {row.offer!r} may mean two things; write none to contact nobody, or what is "
        "offered."
        for row in rows[unclear].itertuples()
    ]
    parked = mix.parked[mix.parked["status"] == OTHER]
    lost = [row for row in parked.itertuples() if _closes(row.channel.strip(), row.offer.strip())]
    told += [
        f"Row {row.segment_key} of another segmentation says that nobody is to be contacted; write it for a segment of "
        "today, or clear the cell."
        for row in lost
    ]
    return [sentence for sentence in told if sentence]


def _differing(key: str, texts: "pd.Series[str]", what: str) -> str:
    alike = texts.map(lambda text: " ".join(text.casefold().split()))
    if alike.nunique() < 2:
        return ""
    said = [(repr(texts[own.index[0]]) if text else "nothing", own.index)
            for text, own in alike.groupby(alike, sort=False)]  # fmt: skip
    parts = "; ".join(f"{text} in {', '.join(where)}" for text, where in said)
    return f"Segment {key} has {len(said)} {what}s: {parts}. One customer may meet them all: decide for one."


def _overspent(key: str, rows: pd.DataFrame) -> str:
    money = rows["budget"].map(_amount).dropna()
    single, whole = round(money.drop(ALL, errors="ignore").sum(), 2), money.get(ALL)
    if whole is None or single <= whole:
        return ""
    return f"Segment {key}: the budgets of its channels add up to {single:,.2f}, its own is {whole:,.2f}."


def _single_caps(key: str, rows: pd.DataFrame) -> str:
    channels = [str(channel) for channel, cap in rows["contact_cap"].items() if cap and channel != ALL]
    if not channels:
        return ""
    return f"Segment {key}: the contact cap in {', '.join(channels)} is not used; a cap is for all channels together."


def _amount(text: str) -> float:
    """A cell's number, whichever decimal sign it has; an empty cell is not a number."""
    return float(text.replace(",", ".")) if text else float("nan")


def stated(mix: Mix) -> pd.DataFrame:
    """What people wrote, as rows of the playbook: ``segment_key, element, claim, status`` "stated", and no figure."""
    rows = []
    for key, own in _segments(mix):
        for channel, row in own.iterrows():
            where = "" if channel == ALL else f" ({channel})"
            for name in YOURS:
                if row[name]:
                    value = _amount(row[name]) if name in ("budget", "contact_cap") else float("nan")
                    rows.append((key, f"{name.replace('_', ' ')}{where}", row[name], "stated", value))
    table = pd.DataFrame(rows, columns=["segment_key", "element", "claim", "status", "value"])
    return table.assign(low=float("nan"), high=float("nan"), customers=float("nan"), figure="")
