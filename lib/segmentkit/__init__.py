"""segmentkit: customer and market segmentation as numbered notebooks.

Three layers: ``machinery`` (runs, sources, runner, report, command line), ``analysis`` (tables in, tables or
frozen results out) and ``display`` (results in, figures and tables to read out).
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segmentkit.machinery.runs import Run, open_run

__version__ = "0.1.0"
__all__ = ["Run", "__version__", "open_run"]


def __getattr__(name: str) -> Any:
    """Load ``open_run`` and ``Run`` on first use, so that the command line starts without pandas."""
    if name in {"Run", "open_run"}:
        from segmentkit.machinery import runs

        return getattr(runs, name)
    raise AttributeError(f"module 'segmentkit' has no attribute {name!r}")
