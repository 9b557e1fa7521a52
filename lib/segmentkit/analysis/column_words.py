"""Which words may fill which shared column, and how well a column's name fits them in spite of accents and signs."""

import re
import unicodedata
from functools import cache

SAME = dict.fromkeys(["no", "nr", "num", "nbr", "nummer", "numero", "nro"], "number") | {"identifier": "id"}
FILLERS = re.compile("the|of|de|du|des|der|la|le|les|del|d|l|el|y|and|und|et|utc|a|in")
CODES = re.compile(r"\b(eur|usd|gbp|chf|sek|nok|dkk|pln|czk|cad|aud|jpy)\b")
COMPOUND = 0.75
# not the thing itself
OTHERWISE = re.compile("predicted|expected|forecast|average|avg|mean|median|estimated|target|pct|per")
# shared column -> the words for it; a lower weight for words that may mean something else
FILLS: dict[str, dict[str, dict[str, float]]] = {
    "transactions": {
        "customer_id": {"customer_id": 1},
        "order_id": {"order_id": 1, "own_id": 0.7},
        "ordered_at": {"order_date": 1, "any_date": 0.9, "paid_date": 0.8},
        "amount": {"amount": 1},
        "line_id": {"line_id": 1},
        "product_id": {"product_id": 1, "product_name": 0.8},
        **{
            n: {n: 1.0} for n in ("category", "quantity", "discount", "coupon_amount", "margin", "channel", "own_brand")
        },
        "currency": {"currency": 1},
    },
    "customers": {
        "customer_id": {"customer_id": 1, "own_id": 0.8},
        **{n: {n: 1.0} for n in ("acquired_at", "acquisition_channel", "orders", "sales")},
        **{n: {n: 1.0} for n in ("first_ordered_at", "last_ordered_at")},
    },
    "contacts": {
        "customer_id": {"customer_id": 1},
        "at": {"sent_date": 1, "any_date": 0.9},
        **{n: {n: 1.0} for n in ("channel", "event", "campaign_id", "cost")},
    },
    "assignments": {
        n: {n: 1.0} for n in ("campaign_id", "customer_id", "arm", "designed_share", "stratum", "assigned_at")
    },
    "responses": {
        "customer_id": {"customer_id": 1},
        "campaign_id": {"campaign_id": 1},
        "outcome": {"outcome": 1, "converted": 0.7},
        "value": {"value": 1},
        "at": {"any_date": 1, "sent_date": 0.9},
    },
    "consents": {
        "customer_id": {"customer_id": 1},
        "at": {"any_date": 1, "acquired_at": 0.8},
        **{n: {n: 1.0} for n in ("channel", "purpose", "granted", "origin")},
    },
    "survey": {
        "customer_id": {"respondent_id": 1, "customer_id": 0.9, "own_id": 0.8},
        "at": {"answered_date": 1, "any_date": 0.95, "end": 0.9, "start": 0.8},
    },
    "campaigns": {
        "name": {"campaign_name": 1},
        "type": {"campaign_type": 1},
        **{n: {n: 1.0} for n in ("campaign_id", "start", "end", "channel", "design", "cost_per_contact")},
        **{n: {n: 1.0} for n in ("fixed_cost", "cost_origin", "currency")},
    },
    "channel_results": {
        "at": {"any_date": 1, "start": 0.9, "sent_date": 0.8, "order_date": 0.7},
        **{n: {n: 1.0} for n in ("channel", "campaign_id", "post_id", "impressions", "reach", "engagements")},
        **{n: {n: 1.0} for n in ("clicks", "conversions", "cost", "currency")},
    },
    "acquisition_costs": {n: {n: 1.0} for n in ("start", "end", "cost", "origin", "channel", "currency")},
    "margins": {n: {n: 1.0} for n in ("category", "margin_rate", "origin")},
    "exchange_rates": {n: {n: 1.0} for n in ("currency", "rate", "origin")},
}
# what makes a file this table: one of each group, and what it must not have
NEEDS = {
    "transactions": ("customer_id", "ordered_at", "amount|unit_price|net_amount"),
    "customers": ("customer_id",),
    "contacts": ("customer_id", "at", "event|opened|clicked|delivered"),
    "assignments": ("customer_id", "campaign_id", "arm"),
    "responses": ("customer_id", "campaign_id", "outcome", "value"),
    "consents": ("customer_id", "granted", "channel|purpose"),
    "survey": ("item",),
    "campaigns": ("campaign_id", "start", "end"),
    "channel_results": ("at", "impressions|reach|clicks|engagements"),
    "acquisition_costs": ("start", "end", "cost"),
    "margins": ("category", "margin_rate"),
    "exchange_rates": ("currency", "rate"),
}
OF_NOBODY = {"campaigns", "channel_results", "acquisition_costs", "margins", "exchange_rates"}
# meanings beside the shared columns: they keep a look-alike from taking a shared column's place
BESIDE = (
    *("product_name", "net_amount", "unit_price", "tax", "shipping", "refund", "fee", "order_status", "paid_date"),
    *("late_date", "consent_date", "refused", "granted", "opened", "clicked", "delivered", "converted"),
)
# kept apart, and yet often in one file
RESULTS = ("assignments", "responses", "contacts")


@cache
def tokens(name: str) -> tuple[str, ...]:
    """Words of a name, without accents, case, signs, currency codes and fillers.

    ``orderID`` is two words, ``No.`` is number, and ae, oe and ue are folded as the umlauts they may stand for.
    """
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name.replace("ß", "ss").replace("#", " number "))
    text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    text = re.sub(r"(?<=[a-z]{3})nr\b", " nr", text)
    words = re.findall(r"[a-z]+|\d+", CODES.sub(" ", text.replace("_", " ")))
    kept = [SAME.get(word, word) for word in words if not FILLERS.fullmatch(word)] or words
    return tuple(re.sub("([aou])e(?!$)", r"\1", word) for word in kept)


@cache
def fit(name: str, phrases: str) -> float:
    """How well a name fits the best of some phrases.

    Args:
        name: of a column.
        phrases: between semicolons; an asterisk in front lets the word also end a compound, one behind begin it.

    Returns:
        1 for the very words, less for a part of a longer name, 0 for none.
    """
    words = tokens(name)
    # a later phrase is a little less telling
    fits = (_fit(words, *one) * (1 - 0.001 * i) for i, one in enumerate(_split(phrases)))
    return max(fits, default=0.0) * (0.5 if any(map(OTHERWISE.fullmatch, words)) else 1.0)


@cache
def _split(phrases: str) -> tuple[tuple[tuple[str, ...], bool, bool], ...]:
    parts = [part.strip() for part in phrases.split(";")]
    return tuple((tokens(part), part.startswith("*"), part.endswith("*")) for part in parts if part)


def _fit(words: tuple[str, ...], phrase: tuple[str, ...], ends: bool, begins: bool) -> float:
    whole, part, n = "".join(words), "".join(phrase), len(phrase)
    if whole == part:
        return 1.0
    places = [i for i in range(len(words) - n + 1) if words[i : i + n] == phrase]
    if places:
        # the last word of a name says what it is
        return 0.45 + 0.4 * len(part) / len(whole) + (0.1 if places[-1] + n == len(words) else 0)
    inside = any((ends and word.endswith(part)) or (begins and word.startswith(part)) for word in words)
    return COMPOUND if inside and len(part) > 3 else 0.0
