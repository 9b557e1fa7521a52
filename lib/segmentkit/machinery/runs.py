"""A run: the folder a notebook reads from and writes to, the same in Lab, under papermill and in a batch."""

import base64
import html
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ibis
import pandas as pd
from IPython.display import HTML, Image, display
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from segmentkit.contracts import TABLES, RawTable
from segmentkit.errors import ParameterError, PrivacyStop, UpstreamError
from segmentkit.machinery import parameters as parameter_cells
from segmentkit.machinery.earlier import Earlier
from segmentkit.machinery.files import read_json, replacing, sha256, write_json
from segmentkit.machinery.forgetting import tombstones
from segmentkit.machinery.manifest import Manifest, now
from segmentkit.machinery.opened import quoted, scratch_file
from segmentkit.machinery.paths import notebook_path, outputs_folder
from segmentkit.machinery.privacy_key import load_key
from segmentkit.machinery.reading import read_addresses, read_source
from segmentkit.machinery.series import check_run_name, missing_table, run_name, shown
from segmentkit.machinery.sources import Source, load_source
from segmentkit.machinery.threads import cap_environment, cap_loaded, duckdb_memory_limit, worker_count

FIGURE_DPI = 110


def open_run(run: str, *, stage: str, parameters: Mapping[str, Any]) -> "Run":
    """Open a run folder for one notebook: cap threads, check the parameters, note what was given.

    Args:
        run: folder name under ``outputs``; empty means ``outputs/interactive``.
        stage: the notebook's own name, e.g. ``03_clustering``.
        parameters: the notebook's variables, i.e. ``locals()``; only declared parameters are read.

    Returns:
        The run, to read tables from and write tables, figures and metrics to.

    Raises:
        ParameterError: a parameter has the wrong type or lies out of range, or the name cannot be a folder.
    """
    cap_environment()
    declared = [p for p in parameter_cells.read_parameters(notebook_path(stage)) if p.name != "run"]
    values = {p.name: parameter_cells.convert(p, parameters[p.name]) for p in declared}
    parameter_cells.check_values(declared, values)
    opened = Run(outputs_folder() / check_run_name(run or "interactive"), stage)
    opened.begin(values)
    return opened


class Run:
    """One stage's view of ``outputs/<run>``."""

    def __init__(self, folder: Path, stage: str) -> None:
        """Bind to a folder; nothing is written until ``begin``."""
        self.folder, self.stage = folder, stage
        self.manifest = Manifest(folder)
        self.interactive = "JPY_SESSION_NAME" in os.environ and "SEGMENTKIT_RUNNER" not in os.environ
        self.workers = worker_count()
        self._thread_cap = cap_loaded()
        self._connection: Any = None

    def begin(self, values: Mapping[str, Any]) -> None:
        """Create the folders and note the parameters; a stage opened by hand says so in the manifest."""
        for name in ("tables", "figures", "quarantine", "notebooks"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        if self.manifest.stage(self.stage).get("status") != "running":
            self.manifest.reset_stage(self.stage, status="by hand", started=now())
        self.manifest.update_stage(self.stage, parameters=dict(values))

    @property
    def name(self) -> str:
        """The run's name."""
        return run_name(self.folder)

    # --- tables -----------------------------------------------------------------------------------------

    def has_table(self, name: str) -> bool:
        """Whether this run holds the table: sources may leave most tables out."""
        return self._table_path(name).is_file()

    def read_table(self, name: str) -> pd.DataFrame:
        """Read a table into memory.

        Raises:
            UpstreamError: it is missing, or is not what the manifest says was written.
        """
        return pd.read_parquet(self._checked(name))

    def open_table(self, name: str) -> ibis.Table:
        """Open a table for Ibis expressions; nothing is read into memory.

        Raises:
            UpstreamError: it is missing, or is not what the manifest says was written.
        """
        return self.connection.read_parquet(self._checked(name).as_posix(), table_name=name)

    def read_optional(self, name: str) -> pd.DataFrame:
        """Read a table that a run may be without; then no rows, and of a shared table its columns."""
        if self.has_table(name):
            return self.read_table(name)
        columns = TABLES[name].names if name in TABLES else []
        return pd.DataFrame({column: pd.Series(dtype="object") for column in columns})

    def write_table(self, name: str, table: pd.DataFrame | ibis.Table | None) -> None:
        """Write a table as parquet, whole or not at all, and note rows, columns and hash.

        None means that the source has no such table; one that an earlier source left is taken away.
        """
        path = self._table_path(name)
        if table is None:
            path.unlink(missing_ok=True)
            return
        with replacing(path) as temporary:
            if isinstance(table, pd.DataFrame):
                table.to_parquet(temporary, index=False)
            else:
                table.to_parquet(temporary)
        self.manifest.add(self.stage, "outputs", name, describe_parquet(path))

    def write_quarantine(self, tables: Mapping[str, pd.DataFrame]) -> None:
        """Write the rows of each table that failed the audit; they are kept apart, never lost."""
        for name, rows in tables.items():
            with replacing(self.folder / "quarantine" / f"{name}.parquet") as temporary:
                rows.to_parquet(temporary, index=False)

    def _table_path(self, name: str) -> Path:
        return self.folder / "tables" / f"{name}.parquet"

    def _checked(self, name: str) -> Path:
        path, producer = self._table_path(name), self.manifest.producer(name)
        if not path.is_file():
            raise UpstreamError(missing_table(self.folder, self.stage, name))
        if producer and producer[0] != self.stage:
            if producer[1]["sha256"] != sha256(path):
                raise UpstreamError(
                    f"{shown(path)} was changed after {producer[0]} wrote it; "
                    f"make it again: python -m segmentkit run --run {run_name(self.folder)} --from {producer[0][:2]}"
                )
            self.manifest.add(self.stage, "inputs", name, producer[1])
        return path

    @property
    def connection(self) -> Any:
        """The run's DuckDB connection, its memory and threads capped."""
        if self._connection is None:
            self._connection = connect()
        return self._connection

    # --- figures, metrics, model, source ----------------------------------------------------------------

    def show(self, figure: Figure, name: str, *, alt: str) -> None:
        """Save a figure with its alt text and display it.

        Raises:
            ParameterError: the alt text is empty.
        """
        if not alt.strip():
            raise ParameterError(f"figure {name!r} has no alt text; say what it shows, with its numbers")
        if not name.replace("_", "").isalnum():
            raise ParameterError(
                f"figure name == {name!r}; a file needs letters, digits and underscores; mend the name"
            )
        path = self.folder / "figures" / f"{name}.png"
        with replacing(path) as temporary:
            figure.savefig(temporary, format="png", dpi=FIGURE_DPI, bbox_inches="tight", facecolor="white")
        plt.close(figure)
        self.manifest.add(self.stage, "figures", name, {"alt": alt, "sha256": sha256(path)})
        if self.interactive:
            # Lab draws an image without its alt text; as HTML it keeps it
            data = base64.b64encode(path.read_bytes()).decode()
            display(HTML(f'<img alt="{html.escape(alt)}" src="data:image/png;base64,{data}">'))
        else:
            display(Image(data=path.read_bytes(), alt=alt), metadata={"image/png": {"alt": alt, "name": name}})

    def figures(self) -> dict[str, tuple[bytes, str]]:
        """Figures of this run so far: PNG and alt text, by name."""
        stages = self.manifest.read().get("stages", {}).values()
        found = {name: figure["alt"] for stage in stages for name, figure in stage.get("figures", {}).items()}
        paths = {name: self.folder / "figures" / f"{name}.png" for name in found}
        return {name: (path.read_bytes(), found[name]) for name, path in paths.items() if path.is_file()}

    def say(self, *sentences: str) -> None:
        """Show computed sentences as paragraphs; whatever the data hold is shown as text, never run."""
        display(HTML("".join(f"<p>{html.escape(sentence)}</p>" for sentence in sentences if sentence)))

    def write_metrics(self, **metrics: Any) -> None:
        """Set this stage's metrics; the report and README take their numbers from them."""
        path = self.folder / "metrics.json"
        write_json(path, read_json(path) | {self.stage: metrics})

    def read_metrics(self, stage: str) -> dict[str, Any]:
        """Metrics of an earlier stage.

        Raises:
            UpstreamError: that stage has written none.
        """
        found: dict[str, Any] = read_json(self.folder / "metrics.json").get(stage, {})
        if not found:
            raise UpstreamError(
                f"{self.stage} needs the metrics of {stage}, which are not in {shown(self.folder)}; "
                f"python -m segmentkit run --run {run_name(self.folder)} --until {stage[:2]} makes them"
            )
        return found

    def write_model(self, model: Mapping[str, Any]) -> None:
        """Save the segmentation model as JSON: data, never a pickle."""
        write_json(self.folder / "model.json", dict(model))

    def read_model(self) -> dict[str, Any]:
        """The segmentation model.

        Raises:
            UpstreamError: there is none.
        """
        model = read_json(self.folder / "model.json")
        if not model:
            raise UpstreamError(
                f"{self.stage} needs model.json, which is not in {shown(self.folder)}; "
                f"python -m segmentkit run --run {run_name(self.folder)} --until 03 makes it"
            )
        return model

    def earlier(self, like: str, *, days: int) -> Earlier | None:
        """The run before this one, to compare with; None where ``like`` is empty.

        Args:
            like: its name, or the path of its folder.
            days: how far this run looks back.

        Raises:
            UpstreamError: there is no such run, or it has no segments.
            ParameterError: it is this very run, its amounts are in another currency, or it looks back another length.
        """
        if not like:
            return None
        earlier = Earlier(like)
        if earlier.folder == self.folder.resolve():
            raise ParameterError(f"like == {like!r}; that is this run; name an earlier one")
        if earlier.currency != self.source.currency:
            raise ParameterError(
                f"like == {like!r}; its amounts are in {earlier.currency}, these in {self.source.currency}: its "
                "borders mean nothing here; fit on its own, or in a batch with --compare pooled"
            )
        if earlier.days != days:
            raise ParameterError(
                f"like == {like!r}; that run looks back {earlier.days} days, this one {days}: orders and sales add up "
                f"with every day, so they cannot be compared; set look_back_days to [{earlier.days}], which --like does"
            )
        self.manifest.update_stage(self.stage, earlier={"run": like, "model_sha256": earlier.model_hash})
        return earlier

    def read_source(self, source: Source) -> dict[str, RawTable]:
        """Open every table of a source through the run's connection."""
        return read_source(source, self.connection)

    def secret(self) -> bytes:
        """The privacy key, where the source's customers get keyed pseudonyms; otherwise empty.

        Raises:
            PrivacyStop: there is no key, or it is another one than the source states.
        """
        source = self.source
        return load_key(source.facts.get("key", ""), source.key) if source.needs_key else b""

    def earlier_crosswalk(self, like: str) -> pd.DataFrame | None:
        """Who was who in an earlier run, so that customers keep their ids; None where there is nothing to keep.

        Raises:
            PrivacyStop: that run's ids were made by another key.
        """
        earlier = Earlier(like) if like and self.source.needs_key else None
        if earlier is None or not earlier.has_table("crosswalk"):
            return None
        then, now = earlier.key, self.source.facts.get("key", "")
        if then != now:
            raise PrivacyStop(
                f"like == {like!r}; its ids were made by the privacy key {then}, these by {now}: nobody would be found "
                "again; restore that key and state it in the source, or run without --like"
            )
        return earlier.table("crosswalk")

    def forgotten(self) -> set[str]:
        """Ids of customers of this source who asked to be forgotten."""
        return tombstones(outputs_folder(), self.source.key)

    def read_addresses(self) -> pd.DataFrame:
        """The source's address book, from its own files; nothing of it is kept with the run."""
        return read_addresses(self.source, self.connection)

    def use_source(self, name: str) -> Source:
        """Read a source's description and keep it with the run, for the notebooks that follow."""
        source = load_source(name)
        write_json(self.folder / "source.json", source.to_dict())
        return source

    @property
    def source(self) -> Source:
        """The source this run was made from.

        Raises:
            UpstreamError: 01 has not run.
        """
        content = read_json(self.folder / "source.json")
        if not content:
            raise UpstreamError(missing_table(self.folder, self.stage, "transactions"))
        return Source.from_dict(content)


def connect() -> Any:
    """A DuckDB connection in memory, with capped memory, one thread a worker, and no access to the network."""
    connection = ibis.duckdb.connect(threads=worker_count(), memory_limit=duckdb_memory_limit())
    connection.raw_sql("SET autoinstall_known_extensions = false; SET enable_progress_bar = false")
    # what does not fit into memory is written in clear: to a folder of this user's own, gone at exit
    connection.raw_sql(f"SET temp_directory = {quoted(scratch_file('').as_posix())}")
    return connection


def describe_parquet(path: Path) -> dict[str, Any]:
    """Rows, columns and hash of a parquet file."""
    import pyarrow.parquet as pq

    schema = pq.read_schema(path)
    return {"rows": pq.read_metadata(path).num_rows, "columns": schema.names, "sha256": sha256(path)}
