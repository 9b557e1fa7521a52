"""What each platform takes: header, ids, size and hashes as plain facts, and the tables of the files made by them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from difflib import get_close_matches

import pandas as pd

from segmentkit.analysis import addresses
from segmentkit.errors import DataError, ParameterError

CONTACT = {"email", "phone", "country", "postcode"}
NOT_PERSONAL = {"segment_key", "segment_name", "run_id", "day", "tags", "arm", "offer", "model_hash"}
NOT_PERSONAL |= {"no", "not_known", "consent_email"}


@dataclass(frozen=True)
class Platform:
    """Facts of one platform.

    Attributes:
        label: as its maker writes it.
        ids: by channel, the entries of the address book of which a customer needs one.
        columns: header of the file and what stands in it, in their order. Of ``email``, ``phone``, ``country`` and
            ``postcode`` a file holds only those that the channel is reached by.
        source: where the facts come from.
        clicks: how a file is imported, step by step.
        most_bytes: a file must be smaller; 0 where no limit is known.
        per_segment: one file a segment, because the platform's list is the segment.
        hashed: addresses and names are hashed.
        digits: phones are hashed without their plus sign.
        tag_free: HTML tags are taken out, because the platform would show them.
        numbered: lists are numbered, not called by the letter of their segment.
        null: what clears a field; an empty cell leaves the field as it was.
        fewest_matched: the platform does not serve a smaller matched audience; assumed, check in your account.
        for_people: opened by people in a spreadsheet.
    """

    label: str
    ids: Mapping[str, tuple[str, ...]]
    columns: Mapping[str, str]
    source: str
    clicks: tuple[str, ...]
    most_bytes: int = 0
    per_segment: bool = False
    hashed: bool = False
    digits: bool = False
    tag_free: bool = False
    numbered: bool = False
    null: str = ""
    fewest_matched: int = 0
    for_people: bool = False


@dataclass(frozen=True)
class File:
    """One file to be written; only its name, counts and notes may be kept.

    Attributes:
        platform: its folder.
        name: of the file.
        table: what it holds, all text.
        notes: what was left empty, and why.
        for_people: written so that spreadsheets open it right.
        most_bytes: to be split so that each part is smaller; 0 for no limit.
        open_columns: columns that hold nothing personal.
        guide: how its platform imports it, as Markdown; the same for each file of a platform.
    """

    platform: str
    name: str
    table: pd.DataFrame = field(repr=False)
    notes: tuple[str, ...]
    for_people: bool
    most_bytes: int
    open_columns: tuple[str, ...]
    guide: str


_SALESFORCE = {
    "Segment__c": "segment_key",
    "Segment_Name__c": "segment_name",
    "Segment_Run_Id__c": "run_id",
    "Segment_Date__c": "day",
}
_SALESFORCE_SOURCE = (
    "https://developer.salesforce.com/docs/atlas.en-us.254.0.api_asynch.meta/api_asynch/datafiles_prepare_csv.htm"
)
_SALESFORCE_CLICKS = (
    "Setup, Object Manager, Contact, Fields & Relationships: an administrator creates Segment__c, Segment_Name__c, "
    "Segment_Run_Id__c (text) and Segment_Date__c (date) once.",
    "Data Loader with the Bulk API 2.0, or a Bulk API 2.0 ingest job: line ending LF, delimiter comma.",
    "Map every column to the field of the same name, run, and read the file of failed rows.",
)
_BRAZE = "https://www.braze.com/docs/user_guide/data/unification/user_data/import_users/csv"

PLATFORMS = {
    "hubspot": Platform(
        "HubSpot", {"email": ("email",)},
        {"Email": "email", "First name": "first_name", "Last name": "last_name", "Segment": "segment_key",
         "Segment name": "segment_name", "Segment run ID": "run_id", "Segment date": "day"},
        "https://knowledge.hubspot.com/import-and-export/set-up-your-import-file",
        ("Settings, Properties: create the contact properties Segment, Segment name, Segment run ID (single-line text) "
         "and Segment date (date picker) once; a value absent from a drop-down is rejected.",
         "CRM, Contacts, Import, File from computer, one file, one object: Contacts; key: Email.",
         "Date format: year, month, day. An empty cell does not overwrite. The free tier takes 50 imports a day."),
        most_bytes=20_000_000,
    ),
    "salesforce": Platform(
        "Salesforce (upsert by your own id)", dict.fromkeys(("email", "sms", "post"), ("external_id",)),
        {"External_Customer_Id__c": "external_id", **_SALESFORCE},
        _SALESFORCE_SOURCE,
        (*_SALESFORCE_CLICKS, "Operation: upsert; external id field: External_Customer_Id__c."),
        most_bytes=100_000_000, null="#N/A",
    ),
    "salesforce update": Platform(
        "Salesforce (update by Id)", dict.fromkeys(("email", "sms", "post"), ("crm_id",)),
        {"Id": "crm_id", **_SALESFORCE},
        _SALESFORCE_SOURCE,
        (*_SALESFORCE_CLICKS, "Operation: update. Ids are case-sensitive: do not open the file in a spreadsheet."),
        most_bytes=100_000_000, null="#N/A",
    ),
    "marketo": Platform(
        "Marketo", {"email": ("email",)},
        {"email": "email", "firstName": "first_name", "lastName": "last_name", "segmentName": "segment_name",
         "segmentRunId": "run_id"},
        "https://experienceleague.adobe.com/en/docs/marketo-developer/marketo/rest/bulk-import/bulk-lead-import",
        ("Admin, Field Management: create segmentName and segmentRunId (string) once.",
         "Bulk Lead Import, format csv, lookupField email; listId adds the leads to that static list.",
         "Send the parts one after the other: two jobs run at once, ten may wait (error 1016)."),
        most_bytes=10_000_000,
    ),
    "klaviyo": Platform(
        "Klaviyo", {"email": ("email",), "sms": ("phone",)},
        {"Email": "email", "Phone Number": "phone", "First Name": "first_name", "Last Name": "last_name",
         "Segment": "segment_key", "Segment Run ID": "run_id"},
        "https://help.klaviyo.com/hc/en-us/articles/115005078967",
        ("Audience, Profiles, Import: import as profiles, NOT into a list: a list import can subscribe people, and "
         "triggers no double opt-in. The file has no consent column on purpose.",
         "Match Segment and Segment Run ID to custom properties of type text.",
         "Audience, Lists & segments, Create segment: Segment equals the letter AND Segment Run ID equals this run's."),
        most_bytes=50_000_000,
    ),
    "braze": Platform(
        "Braze (attributes)", dict.fromkeys(("email", "sms"), ("external_id",)),
        {"external_id": "external_id", "segment_name": "segment_name", "segment_run_id": "run_id"},
        _BRAZE,
        ("Audience, Import Users, Upload CSV: attributes segment_name and segment_run_id, type string.",
         "Each attribute written consumes data points; the platform 'braze ids' writes files that consume none."),
        most_bytes=500_000_000, tag_free=True,
    ),
    "braze ids": Platform(
        "Braze (ids only, no data points)", dict.fromkeys(("email", "sms"), ("external_id",)),
        {"external_id": "external_id"},
        _BRAZE,
        ("Audience, Import Users, Upload CSV: the file of one segment, with 'Import and create segment'.",),
        most_bytes=500_000_000, per_segment=True,
    ),
    "google": Platform(
        "Google Customer Match", {"ads": ("email", "phone", "address")},
        {"Email": "email", "Phone": "phone", "First Name": "first_name", "Last Name": "last_name",
         "Country": "country", "Zip": "postcode"},
        "https://support.google.com/google-ads/answer/7659867",
        ("Tools, Shared library, Audience manager, Customer list: one list a file.",
         "State that the data are already hashed. Country and Zip are not hashed by rule.",
         "In the European Economic Area the consent signals ad_user_data and ad_personalization must be sent as well.",
         "A list is served from about 1,000 matched customers on: assumed, check in your account."),
        per_segment=True, hashed=True, fewest_matched=1000,
    ),
    "meta": Platform(
        "Meta custom audience", {"ads": ("email", "phone")},
        {"email": "email", "phone": "phone", "fn": "first_name", "ln": "last_name"},
        "https://www.facebook.com/business/help/2082575038703844",
        ("Audiences, Create audience, Custom audience, Customer list: one audience a file.",
         "State the source of the data, and that consent was given (customer_file_source).",
         "Keep the neutral list names: an audience must not be named by a sensitive attribute."),
        per_segment=True, hashed=True, digits=True, numbered=True, fewest_matched=100,
    ),
    "mailchimp": Platform(
        "Mailchimp", {"email": ("email",)},
        {"Email Address": "email", "First Name": "first_name", "Last Name": "last_name", "Tags": "tags"},
        "no page of the maker was at hand: general knowledge, try ten rows first",
        ("Audience, Add contacts, Import contacts, Upload a file.",
         "Choose 'Update any existing contacts', and leave the status of those who unsubscribed alone.",
         "Match Tags to tags; an import only adds tags, so send to the tags of this run and segment together."),
    ),
    "plain": Platform(
        "Plain file for people", {"email": ("email",), "sms": ("phone",), "post": ("postcode",)},
        {"customer_id": "customer_id", "segment_id": "segment_key", "segment_name": "segment_name",
         "assigned_at": "day", "run_id": "run_id", "model_hash": "model_hash", "confidence": "not_known",
         "control_group": "no", "consent_email": "consent_email", "consent_ads": "not_known",
         "arm": "arm", "offer": "offer", "email": "email", "phone": "phone", "first_name": "first_name",
         "last_name": "last_name", "country": "country", "postcode": "postcode"},
        "the kit's own",
        ("Open it in a spreadsheet. An apostrophe before a cell keeps the cell text: a machine must not import it.",
         "What is not known is empty: how sure a membership is, and consents other than the file's own."),
        for_people=True,
    ),
}  # fmt: skip

CHANNELS = tuple(sorted({channel for one in PLATFORMS.values() for channel in one.ids}))
PLAIN = tuple(f"plain {channel}" for channel in PLATFORMS["plain"].ids)


def destination(text: str) -> tuple[str, str]:
    """A destination such as ``mailchimp email`` as platform and channel.

    Raises:
        ParameterError: no such platform, or one that the channel does not go through; the nearest is named.
    """
    known = {f"{name} {channel}": (name, channel) for name, one in PLATFORMS.items() for channel in one.ids}
    written = " ".join(text.lower().split())
    if written not in known:
        near = ", ".join(repr(one) for one in get_close_matches(written, known, n=3, cutoff=0.4)) or "none"
        raise ParameterError(
            f"destinations holds {text!r}; write a platform and a channel: {', '.join(known)}; nearest: {near}"
        )
    return known[written]


def files(
    members: pd.DataFrame,
    book: addresses.Book,
    names: Mapping[str, str],
    *,
    run_id: str,
    day: date,
    model_hash: str = "",
) -> list[File]:
    """The files of all destinations; addresses join the members here and nowhere before.

    Args:
        members: ``customer_id, platform, channel, segment_key, arm, offer``.
        book: from ``addresses.read``.
        names: of the segments by key; their order numbers the lists that must not carry a letter.
        run_id: of the run.
        day: of the segments.
        model_hash: of the segmentation, for the plain file.

    Raises:
        DataError: a member has none of the ids that its file needs, or two segments have one name or none.
    """
    plain = pd.Series({key: addresses.trimmed(names.get(key, "")) for key in set(members["segment_key"])}, dtype="str")
    known = addresses.for_machine(addresses.without_tags(plain))[0]
    if set(plain.index) - set(names) or known.dropna().duplicated().any():
        raise DataError(
            f"names of segments == {dict(sorted(known.items()))}; each needs one of its own; rename with own_names"
        )
    same = {"run_id": run_id, "day": day.isoformat(), "model_hash": model_hash, "no": "no", "not_known": ""}
    members = members.assign(segment_name=members["segment_key"].map(plain), **same)
    members["offer"] = members["offer"].map(addresses.trimmed)
    members["consent_email"] = members["channel"].map({"email": "yes"})
    arms, made = sorted(members["arm"].unique()), list[File]()
    for (platform, channel), own in members.groupby(["platform", "channel"]):
        facts = PLATFORMS[platform]
        if not facts.for_people:  # attributes are told apart by the run's id alone: it says arm and channel
            wide = members.loc[members["platform"] == platform, "channel"].nunique() > 1
            own = own.assign(run_id=[run_id + f" {arm}" * (len(arms) > 1) + f" {channel}" * wide for arm in own["arm"]])
        own["tags"] = ("Segment " + own["segment_key"] + " of run " + own["run_id"]).str.replace(",", " ")
        by = ["segment_key"] * facts.per_segment + ["arm"] * (len(arms) > 1)
        for value, part in own.groupby(by) if by else [((), own)]:
            labels = [_label(facts, what, one, list(names), arms) for what, one in zip(by, value, strict=True)]
            name = _file_name(platform, channel, run_id, day.isoformat(), *labels)
            table, notes = _table(part, book, facts, facts.ids[channel])
            shown = tuple(header for header in table.columns if facts.columns[header] in NOT_PERSONAL)
            told = notes, facts.for_people, facts.most_bytes, shown, guide(facts)
            made.append(File(platform.replace(" ", "-"), name, table, *told))
    return made


def _label(facts: Platform, column: str, value: str, keys: list[str], arms: list[str]) -> str:
    if column == "segment_key":
        return f"list-{keys.index(value) + 1}" if facts.numbered else f"segment-{value}"
    return f"arm-{arms.index(value) + 1 if facts.numbered else value}"


def _file_name(*parts: str) -> str:
    return "_".join(re.sub(r"[^\w.-]+", "-", part) for part in parts) + ".csv"


def _table(
    members: pd.DataFrame, book: addresses.Book, facts: Platform, ids: tuple[str, ...]
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The members as the platform wants them, sorted by customer; their offers, and what was left empty."""
    rows = members.sort_values("customer_id").merge(book.table, how="left", on="customer_id", validate="1:1")
    if lost := int(rows[list(ids)].isna().all(axis=1).sum()):
        raise DataError(
            f"members without {' or '.join(ids)} == {lost:,}; the audience was chosen with another address book; "
            "choose it again with this one"
        )
    if "address" in ids:  # in parts it matches nobody
        rows[addresses.NAMED] = rows[addresses.NAMED].where(rows["address"].notna())
    reached = set(ids) | ({"country", "postcode"} if {"address", "postcode"} & set(ids) else set())
    pairs = rows[["segment_key", "offer"]].drop_duplicates().sort_values("segment_key")
    notes = [f"Offer of segment {row.segment_key}: {row.offer or 'none'}." for row in pairs.itertuples()]
    table = pd.DataFrame(index=rows.index)
    for header, column in facts.columns.items():
        if column not in CONTACT - reached:
            cells, refused = _cells(rows[column].astype("str").where(rows[column].notna()), column, facts)
            notes += [f"{header}: {refused:,} cells were formula text and are not written."] if refused else []
            table[header] = cells.fillna("Segment " + rows["segment_key"]) if column == "segment_name" else cells
    return table.fillna(facts.null), tuple(notes)


def _cells(texts: pd.Series, column: str, facts: Platform) -> tuple[pd.Series, int]:
    """One column as it is written, and how many of its cells were refused."""
    if facts.for_people:
        return addresses.for_people(texts), 0
    texts = addresses.without_tags(texts) if facts.tag_free else texts
    kept, refused = addresses.for_machine(texts, phones=column == "phone")
    if not facts.hashed or column in ("country", "postcode"):
        return kept, refused
    return addresses.hashed(kept.str.removeprefix("+") if facts.digits and column == "phone" else kept), refused


def guide(facts: Platform) -> str:
    """How a platform's files are imported, and what to look at first, as Markdown."""
    clicks = "\n".join(f"{number}. {click}" for number, click in enumerate(facts.clicks, 1))
    null = f"`{facts.null}` clears a field. " if facts.null else ""
    size = f"Each file is below {facts.most_bytes:,} bytes; import every part. " if facts.most_bytes else ""
    return (
        f"# {facts.label}\n\n## Before\n\n- Compare rows and hashes with `manifest.json`; import ten rows and look.\n"
        "- A file's name says its channel: its customers agreed to that; import none of `hold_out`.\n"
        "- Who is not in these files keeps the segment of an earlier import: always ask for this run's id as well."
        "\n- Consent may have been withdrawn since the date in the file's name: apply the platform's own suppressions."
        f"\n\n## Import\n\n{clicks}\n\n{null}{size}Facts from: {facts.source}\n"
    )
