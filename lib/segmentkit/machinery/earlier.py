"""An earlier run, read only: its model, tables and metrics, for the month after."""

from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd

from segmentkit.errors import ParameterError, UpstreamError
from segmentkit.machinery.files import read_json, sha256
from segmentkit.machinery.manifest import Manifest, library_hash
from segmentkit.machinery.paths import outputs_folder
from segmentkit.machinery.series import run_name

# a day and a campaign belong to one run, and no file leaves unasked; own names travel with the model; the rest says how
# this run relates to the other
NOT_INHERITED = ("as_of", "campaign", "campaign_start", "write_files", "own_names", "like", "refit", "run")


class Earlier:
    """A run made before this one. Nothing here writes."""

    def __init__(self, like: str) -> None:
        """Find the run.

        Args:
            like: its name under ``outputs``, or the path of its folder.

        Raises:
            UpstreamError: there is no such run, or it has no segments to apply.
        """
        self.folder = find_run(like)
        self.name = run_name(self.folder)
        self.manifest = Manifest(self.folder).read()
        self.model = read_json(self.folder / "model.json")
        self.metrics = read_json(self.folder / "metrics.json")
        if not self.model:
            raise UpstreamError(
                f"like == {like!r}; that run has no model.json, so it has no segments to apply; "
                f"python -m segmentkit run --run {self.name} --from 03 makes them"
            )

    @property
    def currency(self) -> str:
        """Currency of its amounts."""
        return str(read_json(self.folder / "source.json").get("facts", {}).get("currency", ""))

    @property
    def key(self) -> str:
        """Fingerprint of the privacy key its ids were made by; empty where the ids are the source's own."""
        return str(read_json(self.folder / "source.json").get("facts", {}).get("key", ""))

    @property
    def model_hash(self) -> str:
        """Hash of its model, for the manifest."""
        return sha256(self.folder / "model.json")

    @property
    def rules(self) -> dict[str, str]:
        """The segments by rule that it applied."""
        found: dict[str, str] = self.model.get("rules", {})
        return found

    @property
    def days(self) -> int:
        """Days its features look back."""
        return int(self.metrics["02_exploratory_analysis"]["days"])

    @property
    def start(self) -> date:
        """First day it looked at."""
        return date.fromisoformat(self.metrics["02_exploratory_analysis"]["start"])

    @property
    def as_of(self) -> date:
        """First day it did not look at."""
        return date.fromisoformat(self.metrics["02_exploratory_analysis"]["as_of"])

    @property
    def code_note(self) -> str:
        """A warning where the library has changed since; empty where it has not."""
        fitted = self.manifest.get("stages", {}).get("03_clustering", {})
        made = fitted.get("library_sha256") or self.manifest.get("code", {}).get("library_sha256", "")
        now = library_hash()
        if made == now:
            return ""
        return (
            f"Run {self.name} was made by other code (library {made[:8] or 'not noted'}, now {now[:8]}): a difference "
            "may come from the code. The old run was not touched."
        )

    def sentence(self, refit: bool) -> str:
        """What is taken over from it, in words."""
        if lent := self.manifest.get("lent"):
            return str(lent)
        told = "fitted anew, its keys carried over" if refit else "applied as they were saved"
        return f"Segments of run {self.name} (to {self.as_of}) are {told}. {self.code_note}".strip()

    @property
    def segments(self) -> pd.DataFrame | None:
        """Its ``customer_id, segment_key``; None where it only lends its fit to other markets."""
        return self.table("segments") if self.has_table("segments") else None

    def has_table(self, name: str) -> bool:
        """Whether the run holds a table."""
        return self._path(name).is_file()

    def table(self, name: str) -> pd.DataFrame:
        """One of its tables.

        Raises:
            UpstreamError: it is missing, or is not what that run wrote.
        """
        path, noted = self._path(name), Manifest(self.folder).producer(name)
        if not path.is_file():
            raise UpstreamError(f"run {self.name} has no table {name!r}; compare with a run that is whole")
        if noted and noted[1]["sha256"] != sha256(path):
            raise UpstreamError(f"table {name!r} of run {self.name} was changed after it was written; restore it")
        return pd.read_parquet(path)

    def _path(self, name: str) -> Path:
        return self.folder / "tables" / f"{name}.parquet"


def find_run(like: str) -> Path:
    """The folder of a run given by name or path.

    Raises:
        UpstreamError: there is none.
    """
    for folder in (outputs_folder() / like, Path(like)):
        if (folder / "manifest.json").is_file():
            return folder.resolve()
    known = sorted(path.parent.name for path in outputs_folder().glob("*/manifest.json"))
    raise UpstreamError(f"like == {like!r}; no such run; there are {', '.join(known) or 'none yet'}")


def inherit(like: str, known: Iterable[str], given: Mapping[str, Any], quick: Iterable[str]) -> dict[str, Any]:
    """Parameters for the month after: those of the earlier run, but for the day, and its length of looking back.

    Args:
        like: the earlier run.
        known: parameters there are today; others that an older kit had are left out.
        given: what this run states; it goes first.
        quick: parameters that a quick run lowered, which are not taken from one.

    Raises:
        ParameterError: the earlier run stated its day, and this one does not.
    """
    earlier = Earlier(like)
    before: dict[str, Any] = {}
    for stage in earlier.manifest.get("stages", {}).values():  # each notes its own, in Lab as well
        before |= stage.get("parameters", {})
    if before.get("as_of") and not given.get("as_of"):
        raise ParameterError(
            f"run {earlier.name} looked up to as_of == {before['as_of']}; state the day of this run as well: "
            "-p as_of=YYYY-MM-DD, the first day not looked at"
        )
    leave = {*NOT_INHERITED, *(quick if earlier.manifest.get("quick") else ())}
    taken = {name: value for name, value in before.items() if name in set(known) - leave}
    inside = earlier.folder.is_relative_to(outputs_folder().resolve())
    named = earlier.name if inside else earlier.folder.as_posix()
    return taken | {"look_back_days": [earlier.days], "like": named}
