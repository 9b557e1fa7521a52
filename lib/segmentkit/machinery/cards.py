"""What page one says: each question a team asks, its answer in plain words, and how sure it is."""

from collections.abc import Callable
from typing import Any

Money = Callable[[float | None], str]
MONITORING = "record_07_monitoring.html"
QUESTIONS = {
    "month": "What changed since last time?",
    "back": "How did the earlier days differ?",
    "restated": "What did the restatement change?",
}

WORDS = [
    (
        "Segment",
        "A group of customers cut by what they did. Its letter stays; its name is made from evidence each time.",
    ),
    (
        "Safe to plan on",
        "Other customers from the same market would have given nearly the same groups. In the method's words: "
        "reproducible. It does not mean that the groups are separate in nature.",
    ),
    (
        "Separate groups",
        "Found again nearly always, more so than one undivided population would be, with a valley between all "
        "neighbours. In the method's words: natural.",
    ),
    (
        "A convenient cut",
        "The borders could as well lie elsewhere. Useful for managing, not a discovery. In the method's words: "
        "constructive.",
    ),
    (
        "Golden questions",
        "The few questions that put a customer into a segment. Precision: of those a rule finds, how many are in the "
        "segment; recall: of the segment, how many it finds. Both on customers that had no part in making it.",
    ),
    (
        "Found again",
        "In many random re-samples of the customers, how well the same segment comes back; 1 is always and exactly "
        "(mean best Jaccard).",
    ),
    (
        "Likely between",
        "An interval, with 95 % confidence unless the run's parameters say otherwise: of many such intervals, that "
        "share covers the truth.",
    ),
    (
        "Not identified",
        "These data cannot separate what a campaign caused from whom it was sent to. No arithmetic can mend it; a "
        "lottery next time can.",
    ),
    (
        "Drift",
        "The customers as a whole have changed, so that saved borders lie in the wrong place. Measured in standard "
        "deviations; small or accidental shifts do not count.",
    ),
    (
        "Regression to the mean",
        "Whoever was picked for being best or smallest looks more ordinary when looked at again, with no cause.",
    ),
    ("Not proven", "Sales that would be credited to a campaign by habit. They may have come anyway."),
    (
        "Measured, estimated, stated, assumed, not known",
        "Where a money figure comes from: the data, a lottery or a model, a table with its origin, somebody's "
        "parameter, or nowhere.",
    ),
]


EVERY_ROW = "every row read is kept, in quarantine, or left out by a rule of the source"
PLANNED = ("natural", "reproducible")
SURE = {
    "natural": "each is found again, more so than in one undivided population, and gaps lie between them.",
    "reproducible": "other customers would give nearly the same groups: a cut one can repeat, not proof of "
    "separate groups.",
    "constructive": "the borders could as well lie elsewhere: manage by them, do not believe in them.",
    "by rule": "they are what you said they are; below is whether they differ in anything else.",
}


def _card(question: str, answer: str, sure: str, figures: list[str], link: str, tone: str = "") -> dict[str, Any]:
    return {"question": question, "answer": answer, "sure": sure, "figures": figures, "link": link, "tone": tone}


def cards_of(found: dict[str, Any], money: Money) -> list[dict[str, Any]]:
    """The cards of page one, in the order in which a team decides; a stage that did not run has none."""
    makers = (
        ("validated", _segments),
        ("validated", _first),
        ("explored", _value),
        ("measured", _campaigns),
        ("activated", _playbook),
        ("data", _data),
    )
    cards = [card for stage, maker in makers if found[stage] and (card := maker(found, money))]
    if found["measured"].get("budget"):
        cards.insert(-1, _spending(found, money))
    if found["measured"].get("answers"):
        cards.insert(0, _asked(found))
    kind = found["monitored"].get("kind", "none")
    if kind == "none":
        return cards
    # in the month after, what changed comes first; a rehearsal comes last, for it is no news
    return [*cards, _rehearsed(found)] if kind == "rehearsal" else [_changed(found), *cards]


def _changed(found: dict[str, Any]) -> dict[str, Any]:
    seen = found["monitored"]
    question = QUESTIONS[seen["kind"]]
    figures = [seen["moved"], seen["drift"], seen["regression"], seen["trends"], seen["history"]]
    done = " This run has fitted them anew." if found["clustered"].get("refit") else ""
    advice = f" {seen['advice_sentence']}{done}" if seen["kind"] != "back" else ""
    sure = f"the money is counted, not estimated.{advice}"
    tone = "good" if seen["advice"] == "keep" else ""
    return _card(question, seen["headline"], sure, [seen["compared"], *figures], MONITORING, tone)


def _rehearsed(found: dict[str, Any]) -> dict[str, Any]:
    seen = found["monitored"]
    luck = f"; about {seen['noise']:.0%} would have by luck alone" if seen["noise"] is not None else ""
    answer = f"{seen['moved_share']:.0%} changed segment from one half of the days to the other{luck}."
    sure = f"a rehearsal, half of these data against the other; next month is not in it. {seen['regression']}"
    figures = [seen["compared"], seen["headline"], seen["moved"], seen["drift"], seen["advice_sentence"]]
    return _card("Do customers stay in their segments?", answer, sure, figures, MONITORING)


def _segments(found: dict[str, Any], money: Money) -> dict[str, Any]:
    checks, choice = found["validated"], found["clustered"]
    weak = [row for row in checks["segments"] if row["word"] != "holds"]
    sure, tone = SURE[checks["verdict"]], "good" if checks["verdict"] in PLANNED and not weak else ""
    if weak and checks["verdict"] in PLANNED:
        sure = f"{', '.join(row['segment_key'] for row in weak)}: membership is doubtful; the others hold."
    answer = checks["marketer"] + "."
    if weak and choice["decided_by"] == "earlier run":
        # the verdict is about cutting these customers anew; the saved borders stand or fall by each segment
        lost = sum(row["word"] == "do not trust" for row in weak)
        answer = f"Of {len(checks['segments'])} saved segments {lost} are not found in these customers"
        answer += f", {len(weak) - lost} only in part." if len(weak) > lost else "."
        sure = f"{', '.join(row['segment_key'] for row in weak)}: fitted anew, they would be cut elsewhere."
    later = [checks["halves"], checks["later"]]
    figures = [checks["reason"].capitalize(), choice["choice"], *(one for one in later if one)]
    return _card("Can we plan on these segments?", answer, sure, figures, "record_04_segment_validation.html", tone)


def _first(found: dict[str, Any], money: Money) -> dict[str, Any]:
    """Which segment first, and whether a CRM can fill it in."""
    checks = found["validated"]
    answer, _, steady = checks["evaluation"].partition(". ")
    first, *others = [tool["sentence"] for tool in checks["tools"]]
    sure = f"{steady[:1].lower()}{steady[1:]} {first}".strip()
    figures = [*others, *(card["sentence"] for card in checks["personas"])]
    link = "record_04_segment_validation.html"
    return _card("Which segment first, and can we recognise it?", f"{answer.rstrip('.')}.", sure, figures, link)


def _playbook(found: dict[str, Any], money: Money) -> dict[str, Any]:
    acted = found["activated"]
    sure = f"{acted['playbook']} {acted['files']}"
    figures = [*acted["sentences"].values(), acted["audience"], acted["likely"], acted["mix"], *acted["conflicts"]]
    question, link = "What do we do with each segment?", "record_06_activation.html"
    return _card(question, acted["answer"], sure, figures, link, "cannot" if acted["conflicts"] else "")


def supported(found: dict[str, Any], money: Money) -> str:
    """What the data support, in one paragraph: how far the segments go, and whether any campaign can be read."""
    parts = []
    if found["validated"]:
        card = _segments(found, money)
        parts.append(f"{card['answer']} {card['sure'][:1].upper()}{card['sure'][1:]}")
    if found["measured"]:
        parts.append(f"Campaigns: {_campaigns(found, money)['answer']}")
    return " ".join(parts)


def _value(found: dict[str, Any], money: Money) -> dict[str, Any]:
    explored, measured = found["explored"], found["measured"]
    if explored["sales"] is None:
        return {}
    sure = "counted, not estimated: these are sales in the data's own window."
    figures = [explored["first_purchases"], *([measured["lifetime"]] if measured else [])]
    link = "record_02_exploratory_analysis.html"
    return _card("Where does the money come from?", explored["concentration"], sure, figures, link, "good")


def _campaigns(found: dict[str, Any], money: Money) -> dict[str, Any]:
    measured = found["measured"]
    question, link = "What did the campaigns bring?", "record_05_roi_measurement.html"
    readable = [test for test in measured["tests"] if test["ratio_fits"]]
    if readable:
        return _tested(readable, measured, question, link, money)
    if measured["tests"]:
        names = "; ".join(_name(test) for test in measured["tests"])
        sure = f"sure that it must not be read: the customers in the results are not in the designed shares ({names})."
        figures = [test["sentence"] for test in measured["tests"]]
        return _card(question, "Cannot tell, because the sample ratio is off.", sure, figures, link, "cannot")
    if measured["readings"]:
        lost = [r for r in measured["readings"] if r["verdict"] == "not identified"]
        before = [r for r in measured["readings"] if r["before_low"] > 0]
        answer = "Cannot tell, because who was reached was chosen, not drawn by lot."
        if len(before) == len(measured["readings"]):
            answer = "Cannot tell, because the customers who were reached were already the better ones."
        of = f"{len(lost)} of {len(measured['readings'])}"
        sure = f"sure that it cannot be told for {of} read here; the checks that fail are below."
        return _card(question, answer, sure, [r["sentence"] for r in measured["readings"]], link, "cannot")
    sure = "the source holds no campaign that can be read; see what would make it possible below."
    return _card(question, "Nothing can be said.", sure, [measured["lifetime"]], link, "cannot")


def _tested(
    tests: list[dict[str, Any]], measured: dict[str, Any], question: str, link: str, money: Money
) -> dict[str, Any]:
    told = {_name(test): _result(test, money) for test in tests}
    open_ = [name for name, (sure, _) in told.items() if not sure]
    answers = [f"{name[:1].upper()}{name[1:]}: {words}." for name, (sure, words) in told.items() if sure]
    if len(tests) == 1 and open_:
        answers = [f"Cannot tell yet: {told[open_[0]][1]}."]
    elif open_:
        answers.append(f"Cannot tell yet: {'; '.join(open_)}.")
    words = [f"{row['word']} {row['segment_key']} ({_name(t)})" for t in tests for row in t["rows"] if _told(row)]
    sure = f"decided by lot, so the differences are the campaigns'. By segment: {', '.join(words) or 'test more'}."
    lost = [r["campaign_id"] for r in measured["readings"] if r["verdict"] == "not identified"]
    sure += f" Not identified: {', '.join(lost)}." if lost else ""
    off = [_name(test) for test in measured["tests"] if not test["ratio_fits"]]
    sure += f" Not read, the sample ratio is off: {'; '.join(off)}." if off else ""
    figures = [t["sentence"] for t in tests] + [t["shrunk"] for t in tests if t["shrunk"]]
    good = any(
        row["word"] in {"scale", "sells more"} for t in tests for row in t["rows"] if row["segment_key"] == "all"
    )
    return _card(question, " ".join(answers), sure, figures, link, "good" if good else "cannot")


def _name(test: dict[str, Any]) -> str:
    return f"{test['campaign_id']}, {test['arm']}"


def _told(row: dict[str, Any]) -> bool:
    return row["segment_key"] != "all" and row["word"] not in {"test more", "cannot tell"}


def _result(test: dict[str, Any], money: Money) -> tuple[bool, str]:
    """Whether all customers together can be told, by the word that allows for many arms, and what there is to say."""
    row = next(row for row in test["rows"] if row["segment_key"] == "all")
    prefix = test["value"].removesuffix("_difference")
    what = "extra profit" if test["value"] == "net_benefit" else "extra sales"
    low, high = row[f"{prefix}_low"], row[f"{prefix}_high"]
    if low is None:
        why = row.get("why") or "customers do not scatter"
        return False, "too few customers bought" if why == "too few buyers" else why
    told = f"{what} per customer likely between {money(low)} and {money(high)}"
    return row["word"] not in {"test more", "cannot tell"}, told


def _asked(found: dict[str, Any]) -> dict[str, Any]:
    asked, answers = found["data"]["asked"], found["measured"]["answers"]
    aimed = asked["target"] is not None
    plain = "Was the target reached?" if aimed else "What became of the key figure?"
    question = f"{asked['objective'].rstrip('.?')}: did it work?" if asked["objective"] else plain
    tone = "good" if any(": reached." in one for one in answers) else "cannot"
    what = "one figure and one target" if aimed else "one figure, without a target"
    sure = f"{what}, stated before the results; judged by the interval, not by the point."
    return _card(
        question[0].upper() + question[1:], " ".join(answers), sure, [], "record_05_roi_measurement.html", tone
    )


def _spending(found: dict[str, Any], money: Money) -> dict[str, Any]:
    measured = found["measured"]
    answer, _, rest = measured["budget"].partition(". ")
    sure = rest or "judged on customers that had no part in the choice."
    figures = [measured["targeting"]]
    return _card(
        "Where should the next money go?", f"{answer.rstrip('.')}.", sure, figures, "record_05_roi_measurement.html"
    )


def _data(found: dict[str, Any], money: Money) -> dict[str, Any]:
    data = found["data"]
    aside, doubtful = data["rows_quarantined"], data["doubtful_columns"]
    answer = f"{data['rows_read']:,} rows read, {aside:,} set aside."
    if doubtful:
        answer += f" The column {', '.join(doubtful)} mixes units and is not used."
    bridge = {row["step"]: row["amount"] for row in data["bridge"]}
    sums = [money(bridge[step]) for step in ("analysed", "read from the source") if bridge]
    sure = "; ".join([EVERY_ROW, *([f"{sums[0]} of {sums[1]} is analysed"] if bridge else [])])
    figures = [
        data.get("checks", ""),
        *data["findings"],
        *(f"Without {gap['table']} not available: {gap['enables']}." for gap in data["missing"]),
    ]
    tone, link = "" if doubtful else "good", "record_01_data_collection.html"
    return _card("Can we trust the data?", answer, f"{sure}.", figures, link, tone)


def next_steps(found: dict[str, Any], money: Money) -> list[str]:
    """What would settle the open questions, with figures where there are any."""
    steps = []
    if found["monitored"].get("kind") == "month":
        steps.append(found["monitored"]["advice_sentence"])
        steps += found["monitored"]["to_do"]
    for row in found["measured"].get("not_proven", []):
        if row["verdict"] == "not identified":
            steps.append(
                f"Next time a campaign like {row['campaign_id']} goes out, hold back {row['hold_back']:,} "
                "customers by lot. "
                f"An effect of {money(row['detectable'])} or more per customer would be found four times in five."
            )
            break
    for test in found["measured"].get("tests", []):
        if not test["ratio_fits"]:
            steps.append(f"Find out where customers of {_name(test)} were lost or added; until then it is not read.")
            continue
        unsure = {"cannot tell", "test more"}
        open_ones = [r["segment_key"] for r in test["rows"] if r["word"] in unsure and r["segment_key"] != "all"]
        if open_ones:
            steps.append(
                f"Repeat {_name(test)} with more customers in {', '.join(open_ones)}: these could not be told."
            )
    if plan := found["validated"].get("plan"):
        steps.append(f"{plan} {found['validated']['drawn']} The draw is tables/next_assignment.parquet.")
    weak = [row["segment_key"] for row in found["validated"].get("segments", []) if row["fails"]]
    if weak:
        steps.append(f"Do not plan on {', '.join(weak)} alone; try fewer segments with own_k.")
    for gap in found["data"].get("missing", []):
        steps.append(f"The table {gap['table']} would make possible: {gap['enables']}.")
    return steps
