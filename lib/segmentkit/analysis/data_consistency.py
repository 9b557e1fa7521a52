"""Whether the tables of a source fit together: ids, campaigns and their days, the order of events, spellings, spans."""

import re
from typing import Any

import ibis
import pandas as pd

from segmentkit.analysis.audit import Checked
from segmentkit.analysis.data_facts import Check, Facts
from segmentkit.analysis.data_volume import WHEN

PEOPLE = ("customers", "contacts", "responses", "assignments", "survey", "consents")
CHANNELS = {
    **dict.fromkeys(("transactions", "campaigns", "contacts", "consents", "channel_results"), "channel"),
    "acquisition_costs": "channel",
    "customers": "acquisition_channel",
}
WORDS = {
    "transactions": "category",
    "contacts": "event",
    "responses": "outcome",
    "assignments": "arm",
    "consents": "purpose",
}
FIRST_EVENTS = ("delivery", "impression")


def about(checked: dict[str, Checked], found: dict[str, Facts]) -> list[Check]:
    """Every check that needs more than one table, or one word across tables.

    Args:
        checked: tables after the audit.
        found: ``data_facts.facts`` of each.
    """
    checks = [*_people(checked), *_campaign_ids(checked), *_campaign_days(checked), *_answers(checked)]
    checks += [*_funnel(checked), *_spellings(checked), *_spans(found)]
    return checks


def _people(checked: dict[str, Checked]) -> list[Check]:
    """Customers of each table who bought nothing, buyers whom ``customers`` lacks, and ids that only look different."""
    if "transactions" not in checked:
        return []
    buyers, checks = _ids(checked["transactions"].kept), []
    for name in (name for name in PEOPLE if name in checked):
        others = _ids(checked[name].kept)
        strange = others.anti_join(buyers, "id")
        alike = strange.filter(strange.plain.isin(buyers.anti_join(others, "id").plain))
        counts = ibis.memtable({"one": [0]}).mutate(
            all=others.count().as_scalar(), strange=strange.count().as_scalar(), alike=alike.count().as_scalar()
        )
        everybody, unknown, spelled = (int(value) for value in counts.execute().iloc[0, 1:])
        tables = f"{name}, transactions"
        if spelled:
            told = (
                f"{spelled:,} customer ids of {name} differ from those of transactions by case, zeros in front or .0."
            )
            checks.append(
                Check(tables, "ids", "warn", spelled, told, "export ids as text, in one spelling, from both systems")
            )
        told = f"{unknown:,} of {everybody:,} customers in {name} have no purchase."
        result = "warn" if everybody and unknown == everybody else "note" if unknown else "ok"
        mend = "the two systems do not share their ids: state a key that both have" if result == "warn" else ""
        checks.append(Check(tables, "people", result, unknown / max(1, everybody), told, mend))
    return checks + _buyers_without_record(checked)


def _buyers_without_record(checked: dict[str, Checked]) -> list[Check]:
    if "customers" not in checked:
        return []
    lines = checked["transactions"].kept
    unknown = lines.anti_join(checked["customers"].kept, "customer_id")
    customers, rows = (
        int(n) for n in unknown.aggregate(c=unknown.customer_id.nunique(), n=unknown.count()).execute().iloc[0]
    )
    told = f"{rows:,} purchase lines are of {customers:,} customers whom the table customers does not have."
    share = rows / max(1, checked["transactions"].rows_kept)
    return [Check("transactions, customers", "people", "note" if rows else "ok", share, told)]


def _ids(kept: ibis.Table) -> ibis.Table:
    """Distinct customer ids, and each as it would stand without what a spreadsheet changes."""
    ids = kept.filter(kept.customer_id.notnull()).select(id=kept.customer_id).distinct()
    return ids.mutate(plain=ids.id.lower().re_replace(r"\.0$", "").re_replace("^0+", ""))


def _campaign_ids(checked: dict[str, Checked]) -> list[Check]:
    if "campaigns" not in checked:
        return []
    checks = []
    for name in ("contacts", "responses", "assignments", "channel_results"):
        if name not in checked or "campaign_id" not in checked[name].kept.columns:
            continue
        rows = checked[name].kept.filter(ibis._.campaign_id.notnull())
        unknown = (
            rows.anti_join(checked["campaigns"].kept, "campaign_id").group_by("campaign_id").aggregate(n=ibis._.count())
        )
        missing = unknown.order_by(ibis.desc("n"), "campaign_id").execute()
        told = f"{int(missing['n'].sum()):,} rows name {len(missing)} campaigns that campaigns lacks"
        told += f": {', '.join(map(str, missing['campaign_id'].head(3)))}." if len(missing) else "."
        mend = "add them to the table of campaigns, with their days" if len(missing) else ""
        checks.append(
            Check(f"{name}, campaigns", "campaign ids", "warn" if len(missing) else "ok", len(missing), told, mend)
        )
    return checks


def _campaign_days(checked: dict[str, Checked]) -> list[Check]:
    """Contacts before their campaign began, and deliveries after it ended; an e-mail may be opened later."""
    if not {"contacts", "campaigns"} <= set(checked) or "campaign_id" not in checked["contacts"].kept.columns:
        return []
    campaigns = checked["campaigns"].kept.select("campaign_id", "start", "end")
    rows = checked["contacts"].kept.select("campaign_id", "at", "event").join(campaigns, "campaign_id")
    day = rows["at"].date()
    outside = (day < rows["start"].date()) | ((day > rows["end"].date()) & rows.event.isin(FIRST_EVENTS))
    count = int(rows.aggregate(n=outside.sum()).execute().iloc[0, 0] or 0)
    told = f"{count:,} contacts stand outside the days of their campaign."
    mend = "mend the campaign's start and end, or the time zone of the contacts" if count else ""
    return [Check("contacts, campaigns", "campaign days", "warn" if count else "ok", count, told, mend)]


def _answers(checked: dict[str, Checked]) -> list[Check]:
    """Answers of customers who were contacted by that campaign, but only afterwards."""
    if not {"contacts", "responses"} <= set(checked):
        return []
    contacts, answers = checked["contacts"].kept, checked["responses"].kept
    if "at" not in answers.columns or "campaign_id" not in contacts.columns:
        return []
    first = contacts.group_by("customer_id", "campaign_id").aggregate(reached=contacts["at"].min())
    matched = answers.inner_join(first, ["customer_id", "campaign_id"])
    count = int(matched.aggregate(n=(matched["at"].date() < matched.reached.date()).sum()).execute().iloc[0, 0] or 0)
    told = f"{count:,} responses come on a day before their customer's first contact by that campaign."
    mend = "check the time zones of the two tables, and whether first contacts are missing" if count else ""
    return [Check("responses, contacts", "order of events", "warn" if count else "ok", count, told, mend)]


def _funnel(checked: dict[str, Checked]) -> list[Check]:
    """Opens and clicks of customers to whom, on that channel and by that campaign, nothing was delivered."""
    if "contacts" not in checked:
        return []
    rows = checked["contacts"].kept
    group = [name for name in ("campaign_id", "channel") if name in rows.columns]
    reached = rows.event.isin(FIRST_EVENTS)
    people = rows.group_by(*group, "customer_id").aggregate(
        reached=reached.any(), later=rows.event.isin(("open", "click")).any()
    )
    told_of = (
        people.group_by(*group).having(people.reached.any()).aggregate(late=(people.later & ~people.reached).sum())
    )
    count = int(told_of.late.sum().execute() or 0)
    told = f"{count:,} customers opened or clicked what was not delivered to them."
    mend = "deliveries are missing from the export, or the two have different customer ids" if count else ""
    return [Check("contacts", "funnel", "warn" if count else "ok", count, told, mend)]


def _spellings(checked: dict[str, Checked]) -> list[Check]:
    """Channels written in several ways across tables; other words that differ by case or blanks only."""
    channels = [word for table, column in CHANNELS.items() for word in _distinct(checked, table, column)]
    checks = [_spelling("channels", channels, r"[\W_]+")] if channels else []
    words = [(table, column) for table, column in WORDS.items() if table in checked]
    if "customers" in checked:
        words += [("customers", name) for name in checked["customers"].attributes]
    found = [_spelling(f"{table}.{column}", _distinct(checked, table, column), r"\s+") for table, column in words]
    return checks + ([check for check in found if check.result != "ok"] or found[:1])


def _distinct(checked: dict[str, Checked], table: str, column: str) -> list[str]:
    if table not in checked or column not in checked[table].kept.columns:
        return []
    values = checked[table].kept.select(column).distinct().filter(ibis._[column].notnull()).limit(10_000)
    return sorted(values.execute()[column].astype("str"))


def _spelling(what: str, words: list[str], ignored: str) -> Check:
    alike: dict[str, set[str]] = {}
    for word in words:
        alike.setdefault(re.sub(ignored, "", word).casefold(), set()).add(word)
    several = [sorted(group) for group in alike.values() if len(group) > 1]
    table = what.partition(".")[0]
    if not several:
        return Check(table, "spellings", "ok", 0, f"{what}: every word is written in one way.")
    told = f"{what}: {'; '.join(' = '.join(group) for group in several[:3])}; each is one word in several spellings."
    return Check(
        table, "spellings", "warn", len(several), told, "write each in one way, in the source by an expression"
    )


def _spans(found: dict[str, Facts]) -> list[Check]:
    """Tables whose days do not meet those of the purchases."""
    spans: dict[str, tuple[Any, Any]] = {
        name: (facts[f"first {WHEN[name]}"], facts[f"last {WHEN[name]}"])
        for name, facts in found.items()
        if f"first {WHEN.get(name)}" in facts
    }
    if "transactions" not in spans:
        return []
    first, last = spans.pop("transactions")
    checks = []
    for name, (start, end) in spans.items():
        apart = pd.Timestamp(end) < pd.Timestamp(first) or pd.Timestamp(start) > pd.Timestamp(last)
        told = (
            f"{name} run from {start:%Y-%m-%d} to {end:%Y-%m-%d}, purchases from {first:%Y-%m-%d} to {last:%Y-%m-%d}."
        )
        mend = "nothing can be read from the two together: export the same days" if apart else ""
        checks.append(Check(f"{name}, transactions", "spans", "warn" if apart else "ok", float(apart), told, mend))
    return checks
