"""Sensitive categories: names that may reveal health, pregnancy, belief and the like, refused unless allowed by name.

What a purchase lets one infer counts as much as what it says: General Data Protection Regulation, Article 9; Court of
Justice of the European Union, C-184/20 (2022, inference) and C-21/23 (2024, orders of pharmacy medicines are data on
health). The table is wider than the law, and it is neither complete nor legal advice: its words are English.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from segmentkit.errors import ParameterError, PrivacyStop

SHOWN = 4
# group -> (reason, words); a word stands alone or in the plural, with * it may go on, and it may be a phrase
GROUPS = {
    "pregnancy and fertility": (
        "it may reveal a pregnancy, the wish for a child or a loss before anybody was told",
        "pregnan* matern* prenatal antenatal postnatal fertility ovulation contracepti* condom prophylactic "
        "breastfeed* breast_pump breast_pad nursing_bra family_planning",
    ),
    "infants": (
        "it may reveal a birth or a child in the home",
        "baby* babies infant* newborn* toddler* diaper* nappy nappies pacifier stroller pram pushchair layette",
    ),
    "intimate hygiene": (
        "it may reveal sex, age and health of the body",
        "feminine fem femcare tampon* douche sanitary menstru* intimate panty_liner pantyliner personal_lubricant",
    ),
    "health": (
        "it may reveal an illness, a disability or a treatment",
        "health healthcare medic* pharma* drug drugstore rx otc prescription* analgesic* antacid* anti_acid laxative* "
        "vitamin* supplement cold_and_flu cold_flu cough sinus allerg* first_aid firstaid* bandage splint inhaler "
        "nasal hemorrhoid* haemorrhoid* hydrocorti* reading_glass nut_supp thermometer eye_care ear_care "
        "eye_and_ear hearing_aid vision_aid contact_lens soft_lens foot_care diabet* glucose diet dietary dieting "
        "weight_loss weight_control weight_management slimming nutrition nutritional incontinen* denture* wheelchair "
        "convalesc* syringe sleep_aid sleeping_aid sleeping_pill stimulant smoking_cessation acne homeopath* pill "
        "gluten lactose blood_pressure disab*",
    ),
    "religion and belief": (
        "it may reveal a religion or a conviction",
        "religio* kosher halal bible quran koran church mosque synagogue jewish judaica muslim islam* christian hindu* "
        "buddhis* passover ramadan hanukkah chanukah rosary charit* donation",
    ),
    "ethnic origin": ("it may reveal ethnic origin", "ethnic* racial hispanic latino latina afro african_american"),
    "politics": ("it may reveal a political opinion", "politic* election partisan"),
    "trade unions": (
        "it may reveal membership of a trade union",
        "trade_union labour_union labor_union union_dues union_member*",
    ),
    "sex life": (
        "it may reveal sex life or orientation",
        "sexual* sex_toy sex_life erotic* lgbt* gay lesbian adult_toy adult_dvd adult_film",
    ),
    "alcohol, tobacco and drugs": (
        "it may reveal an addiction, and advertising it is restricted in many countries",
        "alcohol* beer* ale lager wine liquor* liqueur* spirits whisk* scotch bourbon* vodka gin rum brandy "
        "cognac tequila schnapps vermouth champagne prosecco cider sherry cocktails tobacco* cigar* cig smoking snuff "
        "vape* vaping nicotine ecig* hookah shisha cannabis marijuana cbd",
    ),
    "gambling": (
        "it may reveal an addiction",
        "gambl* lotter* lotto betting bookmaker casino scratch_card scratch_off",
    ),
    "money trouble": (
        "it may reveal debt or poverty",
        "debt loan payday pawn* bankrupt* credit_repair money_order money_transfer western_union food_stamp wic",
    ),
    "bereavement": ("it may reveal a death in the family", "funeral* cremat* bereave* sympathy"),
}
PRODUCE = (
    "(?:carrot|spinach|lettuce|leaf|leaves|corn|potato(?:e)?|kale|green|beet|beetroot|bok choy|pea|onion|mushroom|"
    "artichoke|arugula|rocket|broccoli|squash|tomato(?:e)?|plum|gem|salad|lima|courgette|marrow|pickle|shrimp|clam)s?"
)
ACCIDENTS = (
    rf"baby (?:leaf |mini |cut |peeled |plum |red |new )?{PRODUCE}(?! (?:baby|food|puree|jar|cereal))",
    rf"{PRODUCE} baby(?! (?:food|puree|jar|cereal|formula))",
    r"baby (?:back|swiss|bel|ruth|doll)\w*|babybel",
    r"(?:ginger|gngr|root|birch) (?:ale|beer)s?|beer (?:batter|brat|bread|cheese|nut)\w*",
    r"wine (?:vinegar|gum|glass)\w*|vinegar (?:\w+ )*wine|cooking wines?|scotch (?:tape|egg|broth|pancake)s?",
    r"(?:apple|juice|sweet) (?:and )?ciders?|cider vinegar|(?:mineral|white) spirits",
    r"(?:rum|brandy) (?:raisin|cake|snap|butter|sauce|flavou?r)\w*|bourbon (?:biscuit|cream|chicken)\w*",
    r"(?:fruit|shrimp|prawn|tomato|tomatoes|juice|cranberry) cocktails",
    r"(?:pet|dog|cat|puppy|kitten|animal) (?:food |care |and )*(?:vitamin|medic|health|supplement|diet|pharma)\w*",
    r"sanitary (?:ware|fitting)s?|christian dior",
)


@dataclass(frozen=True)
class Refused:
    """Which names may be used.

    Attributes:
        reasons: by refused name, its group and why, in words.
        allowed: by sensitive name that was switched on, the reason given for it; to be kept with the run.
        free: all names that may be used, allowed ones included, in the order given.
    """

    reasons: dict[str, str]
    allowed: dict[str, str]
    free: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """What is refused and what was switched on, in words."""
        groups: dict[str, list[str]] = {}
        for name, why in self.reasons.items():
            groups.setdefault(why, []).append(name)
        told = "; ".join(f"{_some(names)} ({why})" for why, names in groups.items())
        parts = [f"Refused as sensitive: {told}." if told else "No name is in the table of sensitive words."]
        parts += [f"Switched on by name: {name}, because {why}." for name, why in self.allowed.items()]
        parts.append("The table is English and not complete, and a broad name can hide more: look through the rest.")
        return " ".join(parts)

    def stop_at(self, names: Iterable[str]) -> None:
        """Stop if one of these names is refused.

        Raises:
            PrivacyStop: it is; the message says how to allow it.
        """
        for name in names:
            if name in self.reasons:
                raise PrivacyStop(
                    f"category == {name!r}, which is sensitive ({self.reasons[name]}); only what is not sensitive is "
                    f"scored; leave it out, or allow it by name with your reason: "
                    f"allowed_sensitive = [{name + ': your lawful basis and reason'!r}]"
                )


def refused(names: Iterable[str], allowed: Sequence[str] = (), also: Sequence[str] = ()) -> Refused:
    """Divide names into those that may be used and those that may not.

    Args:
        names: of categories, items or attributes.
        allowed: texts ``NAME: reason``, each of which switches one sensitive name on.
        also: names that are sensitive though the table does not know them.

    Raises:
        ParameterError: an allowed text has no reason, or it or an added name is not among the names.
    """
    names = tuple(dict.fromkeys(names))
    for name in also:
        if name not in names:
            raise ParameterError(f"sensitive == {list(also)}; {name!r} is not in the data; mend the name")
    reasons = dict(filter(None, (_reason(text, names) for text in allowed)))
    found = {name: "named as sensitive by you" if name in also else group_of(name) for name in names}
    sensitive = {name: why for name, why in found.items() if why}
    kept = {name: why for name, why in sensitive.items() if name not in reasons}
    switched = {name: reasons[name] for name in sensitive if name in reasons}
    return Refused(kept, switched, tuple(name for name in names if name not in kept))


def stop_at_columns(names: Iterable[str], allowed: Mapping[str, str]) -> str:
    """Stop at columns about customers that say too much, unless the source states a reason; what was allowed, in words.

    Args:
        names: of attributes and items of a survey.
        allowed: name and reason.

    Raises:
        PrivacyStop: a column is sensitive, and no reason is stated.
    """
    found = {name: why for name in names if (why := group_of(name))}
    for name in found.keys() - allowed.keys():
        raise PrivacyStop(
            f"column == {name!r}, a special category ({found[name]}); leave it out of the source, or state your lawful "
            f'basis there: {name} = {{ basis = "demographic", allowed = "..." }} (an item: kind in place of basis)'
        )
    said = [f"{name} ({found[name]}) is read because: {allowed[name]}." for name in found]
    return " ".join(said) or "No column about customers is of a special category by its name."


def group_of(name: str) -> str:
    """Group and reason of a sensitive name, in words; empty for a name the table does not know."""
    text = _plain(name)
    for accident in ACCIDENTS:
        text = re.sub(rf"\b(?:{accident})\b", "|", text)
    return next((f"{group}: {why}" for group, (why, words) in GROUPS.items() if _pattern(words).search(text)), "")


def _reason(text: str, names: Sequence[str]) -> tuple[str, str]:
    """The name and the reason of an allowed text; names may hold colons themselves."""
    begun = [name for name in names if text.strip().startswith(f"{name}:")]
    name = max(begun, key=len, default="")
    why = text.strip().removeprefix(f"{name}:").strip()
    if not name or not why:
        raise ParameterError(
            f"allowed_sensitive holds {text!r}; each text must be a name in the data, a colon and a reason; write "
            "for example 'BEERS: licensed shop, all customers are adults'"
        )
    return name, why


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _plain(name: str) -> str:
    """Lower case without accents, one blank between words."""
    letters = unicodedata.normalize("NFKD", name.replace("&", " and ")).encode("ascii", "ignore").decode().lower()
    return " ".join(re.findall(r"[a-z]+", letters))


@cache
def _pattern(words: str) -> re.Pattern[str]:
    parts = [f"{one[:-1]}\\w*" if one.endswith("*") else f"{one}(?:e?s)?" for one in words.replace("_", "~").split()]
    return re.compile(rf"\b(?:{'|'.join(parts)})\b".replace("~", " "))
