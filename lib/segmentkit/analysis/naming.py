"""Names over time: made from markers, carried with their key, and the analyst's own kept with a flag."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from segmentkit.analysis.profiles import supported
from segmentkit.errors import ParameterError


@dataclass(frozen=True)
class Named:
    """Names of the segments.

    Attributes:
        names: by key, as they are shown.
        made: by key, from markers alone.
        own: by key, the analyst's own name and the made name it was given for.
        notes: what a reader must know: a name that changed, or that markers no longer support.
    """

    names: dict[str, str]
    made: dict[str, str]
    own: dict[str, dict[str, str]]
    notes: list[str]

    def to_dict(self) -> dict[str, Any]:
        """For ``model.json``."""
        return {"names": self.names, "made_names": self.made, "own_names": self.own}


def settle(
    made: Mapping[str, str],
    profiles: pd.DataFrame,
    keys: Sequence[str],
    *,
    own: Sequence[str] = (),
    earlier: Mapping[str, Any] | None = None,
    kept: Sequence[str] = (),
    frozen: bool = False,
) -> Named:
    """Names for every key: the earlier one where its key lives on, else one made from markers; an own name on top.

    Args:
        made: names from today's markers; a segment without customers has none.
        profiles: today's profiles.
        keys: of the segmentation.
        own: the analyst's names, each ``KEY Name``.
        earlier: the earlier run's model, as saved.
        kept: keys that live on.
        frozen: the segments were applied, not fitted anew: names stay, with a note where markers have left them.

    Raises:
        ParameterError: an own name is not ``KEY Name``, or its key is no segment.
    """
    before = dict((earlier or {}).get("made_names", (earlier or {}).get("names", {})))
    names, notes = {}, []
    for key in keys:
        old, new = before.get(key) if key in kept else None, made.get(key)
        lost = [word for word in _words(old) if not supported(word, profiles, key)] if old else []
        name = (old if old and (frozen or not lost) else new) or old
        if name:
            names[key] = name
        if old and new is None:
            notes.append(f"{key} ({old}) has no customers now.")
        elif old and lost and frozen:
            notes.append(f"{key} is still called {old!r}; its markers no longer support: {', '.join(lost)}.")
        elif old and lost:
            notes.append(f"{key} was called {old!r}; its markers now make it {new!r}.")
    names = {key: f"{name} ({key})" if list(names.values()).count(name) > 1 else name for key, name in names.items()}
    known = (earlier or {}).get("own_names", {})
    stated = {key: {"name": name, "given_for": names.get(key, "")} for key, name in _stated(own, keys)}
    # a name said again is not given anew: it keeps the markers it was given for
    given = {**stated, **{key: one for key, one in known.items() if stated.get(key, one)["name"] == one["name"]}}
    shown = {key: names.get(key, "no customers") for key in keys}
    for key, one in given.items():
        shown |= {key: one["name"]} if key in shown else {}
        if key in names and one["given_for"] != (made.get(key) or names[key]) and one["given_for"] != names[key]:
            notes.append(
                f"{key} is called {one['name']!r} by you, given when its markers made it {one['given_for']!r}; "
                f"they now make it {made.get(key, names[key])!r}."
            )
    shown = {key: f"{name} ({key})" if list(shown.values()).count(name) > 1 else name for key, name in shown.items()}
    return Named(shown, names, given, notes)


def _words(name: str) -> list[str]:
    return [word.strip() for word in name.partition(" (")[0].split(",")]


def _stated(own: Sequence[str], keys: Sequence[str]) -> Iterator[tuple[str, str]]:
    for text in own:
        key, _, name = text.strip().partition(" ")
        if key not in keys or not name.strip():
            raise ParameterError(
                f"own_names holds {text!r}; write a key of {', '.join(keys)} and the name, e.g. '{keys[0]} Regulars'"
            )
        yield key, name.strip()
