"""Themes: open answers grouped by the words they share, as further yes/no items.

Words are weighted by how rare they are (term frequency and inverse document frequency; Spärck Jones 1972), and the
answers are split into a few additive parts (non-negative matrix factorisation; Lee and Seung 1999). It counts words and
knows no language: no synonyms, no word stems, no irony, and "not cheap" holds the word cheap. Languages that
put no spaces between words cannot be read this way.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.decomposition import NMF, non_negative_factorization
from sklearn.feature_extraction.text import TfidfVectorizer

from segmentkit.contracts import Column
from segmentkit.errors import DataError, ParameterError

FEWEST_ANSWERS, WORDS_SHOWN, ANSWERS_SHOWN, LETTERS = 50, 6, 3, 70
WORD = r"(?u)\b\w{3,}\b"
# what may point at a person: e-mail and web addresses, handles, and numbers of three digits or more
TELLING = re.compile(r"\S+@\S+|https?://\S+|www\.\S+|@\w+|\+?\d[\d\s/()-]{1,}\d")


@dataclass(frozen=True, eq=False)
class Themes:
    """Themes found in the answers to one open item.

    Attributes:
        item: the open item.
        words: the words that count.
        rarity: inverse document frequency of each word.
        parts: weight of each word in each theme, length 1 a theme; shape (themes, words).
        floor: an answer has a theme from this weight on; an answer is 1 long.
        typical: ``theme, words, answers, share, typical_answers``.
        answered: answers that were read.
        without_theme: share of them that has none.
    """

    item: str
    words: tuple[str, ...]
    rarity: tuple[float, ...]
    parts: np.ndarray
    floor: float
    typical: pd.DataFrame
    answered: int
    without_theme: float

    def apply(self, answers: pd.DataFrame) -> pd.DataFrame:
        """One binary item a theme for every respondent, missing where nothing was answered.

        Returns:
            ``customer_id`` and a column a theme, e.g. ``wish_theme_1``, in the order of ``answers``.
        """
        text = _written(answers[self.item])
        has = self.weights(text.fillna("")) >= self.floor
        table = pd.DataFrame(has.astype(float), columns=self.names, index=answers.index)
        table[text.isna()] = np.nan
        return pd.concat([answers["customer_id"], table], axis=1)

    @property
    def names(self) -> list[str]:
        """Names of the themes as items."""
        return [f"{self.item}_theme_{place}" for place in range(1, len(self.parts) + 1)]

    def weights(self, text: pd.Series) -> np.ndarray:
        """Weight of every theme in every answer; shape (answers, themes)."""
        reader = _reader(self.words)
        reader.idf_ = np.asarray(self.rarity)
        counts = reader.transform(text)
        found: np.ndarray = non_negative_factorization(
            counts, H=self.parts, n_components=len(self.parts), init="custom", update_H=False, max_iter=500
        )[0]
        return found

    @property
    def sentence(self) -> str:
        """Themes with their words and shares, and what has none."""
        parts = [f"{row.words} ({row.share:.0%})" for row in self.typical.itertuples()]
        return (
            f"{len(parts)} themes in {self.answered:,} answers to {self.item}: {'; '.join(parts)}; "
            f"{self.without_theme:.0%} have none. Grouped by shared words only: read some answers before you name one."
        )

    def to_dict(self) -> dict[str, Any]:
        """As plain data, with the typical words and without any answer."""
        typical = self.typical.drop(columns="typical_answers").to_dict("records")
        plain = {name: getattr(self, name) for name in ("item", "floor", "answered", "without_theme")}
        lists = {"words": list(self.words), "rarity": list(self.rarity), "parts": self.parts.tolist()}
        return {**plain, **lists, "typical": typical}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Back from plain data; typical answers are not kept."""
        typical = pd.DataFrame(content["typical"]).assign(typical_answers="")
        changed = {"words": tuple(content["words"]), "rarity": tuple(content["rarity"]), "typical": typical}
        return cls(**{**content, **changed, "parts": np.asarray(content["parts"], dtype=float)})


def find(
    answers: pd.DataFrame, item: str, count: int, *, seed: int, floor: float = 0.2, ignore: Sequence[str] = ()
) -> Themes:
    """Find themes in the answers to an open item.

    Words of one or two letters, in fewer than three answers, or in more than half of them, do not count.

    Args:
        answers: one row a respondent, with ``customer_id``.
        item: the open item.
        count: number of themes.
        seed: same seed, same themes.
        floor: an answer has a theme from this weight on, of 1 for an answer that is all theme.
        ignore: words that shall not count, such as the business's own name.

    Raises:
        ParameterError: fewer than two themes.
        DataError: too few answers, or too few words that repeat.
    """
    if count < 2:
        raise ParameterError(f"themes == {count}; it must be at least 2; one theme groups nothing")
    text = _written(answers.sort_values("customer_id")[item]).dropna()
    if len(text) < FEWEST_ANSWERS:
        raise DataError(f"{len(text)} answers to {item}; themes need at least {FEWEST_ANSWERS}; ask more respondents")
    reader = _reader(None, [word.lower() for word in ignore])
    try:
        counts = reader.fit_transform(text)
    except ValueError:
        counts = np.zeros((0, 0))
    if counts.shape[1] < count:
        raise DataError(f"{counts.shape[1]} words repeat in the answers to {item}; {count} themes need as many or more")
    parts = NMF(count, init="nndsvda", random_state=seed, max_iter=1000).fit(counts).components_
    parts = parts[np.linalg.norm(parts, axis=1) > 0]
    parts = parts / np.linalg.norm(parts, axis=1, keepdims=True)
    words = tuple(reader.get_feature_names_out())
    empty = Themes(item, words, tuple(map(float, reader.idf_)), parts, floor, pd.DataFrame(), len(text), 0.0)
    return _described(empty, text)


def every(answers: pd.DataFrame, items: Sequence[Column], count: int, *, seed: int) -> list[Themes]:
    """Themes of every open item that has answers enough; none where ``count`` is 0."""
    written = [item.name for item in items if item.kind == "open" and count]
    enough = [name for name in written if _written(answers[name]).notna().sum() >= FEWEST_ANSWERS]
    return [find(answers, name, count, seed=seed) for name in enough]


def kept(model: Mapping[str, Any]) -> list[Themes]:
    """Themes that a model was saved with."""
    return [Themes.from_dict(one) for one in model.get("themes", [])]


def add(answers: pd.DataFrame, items: Sequence[Column], found: Sequence[Themes]) -> tuple[pd.DataFrame, list[Column]]:
    """Answers with themes as further yes/no items in place of the open ones, and the list of items to match."""
    found = [one for one in found if one.item in answers]  # kept ones may be of an item that is asked no more
    table = answers.drop(columns=[item.name for item in items if item.kind == "open"], errors="ignore")
    for one in found:
        table = table.merge(one.apply(answers), on="customer_id", how="left", validate="1:1")
    closed = [item for item in items if item.kind != "open"]
    return table, closed + [Column(name, "binary") for one in found for name in one.names]


def _described(themes: Themes, text: pd.Series) -> Themes:
    """The same themes, commonest first, with their typical words and answers."""
    weights = themes.weights(text)
    has = weights >= themes.floor
    order = np.argsort(-has.sum(axis=0), kind="stable")
    rows = []
    for place, theme in enumerate(order, start=1):
        weight = themes.parts[theme]
        words = [themes.words[i] for i in np.argsort(-weight, kind="stable")[:WORDS_SHOWN]]
        words = words[: int((weight >= weight.max() / 10).sum())]
        typical = text.iloc[np.argsort(-weights[:, theme], kind="stable")].map(masked).drop_duplicates()
        shown = " | ".join(typical.head(ANSWERS_SHOWN))
        rows.append((f"theme_{place}", ", ".join(words), int(has[:, theme].sum()), float(has[:, theme].mean()), shown))
    typical = pd.DataFrame(rows, columns=["theme", "words", "answers", "share", "typical_answers"])
    without = float((~has.any(axis=1)).mean())
    return replace(themes, parts=themes.parts[order], typical=typical, without_theme=without)


def _written(column: pd.Series) -> pd.Series:
    text = column.astype("str").str.strip()
    return text.where(text != "")


def _reader(words: Sequence[str] | None, ignore: Sequence[str] = ()) -> TfidfVectorizer:
    few = {} if words else {"min_df": 3, "max_df": 0.5}
    return TfidfVectorizer(vocabulary=words, stop_words=list(ignore) or None, token_pattern=WORD, **few)


def masked(answer: str) -> str:
    """An answer shortened, without addresses and long numbers; names cannot be recognised and stay."""
    told = TELLING.sub("…", " ".join(answer.split()))
    return told if len(told) <= LETTERS else told[: LETTERS - 1].rsplit(" ", 1)[0] + " …"
