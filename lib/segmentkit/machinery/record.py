"""The record: each executed notebook as one page, code folded, alt text kept, nothing fetched from outside."""

import re
from pathlib import Path

import bleach
import nbformat
from nbconvert import HTMLExporter

TEMPLATES = Path(__file__).parent / "templates"


_TAGS = (
    "a b br caption code div em h1 h2 h3 h4 hr i li ol p pre span strong sub sup table tbody td tfoot th thead tr ul"
)
_ATTRIBUTES = ["class", "colspan", "rowspan", "scope"]
_STYLE = re.compile(r"<style.*?</style>", re.DOTALL | re.IGNORECASE)
_SHOWN = ("text/html", "image/png", "text/plain")


def notebook_body(notebook: Path) -> str:
    """The executed notebook as HTML, without page or scripts around it; what the data printed is sanitised."""
    content = nbformat.read(notebook, as_version=4)
    for cell in content.cells:
        for output in cell.get("outputs", []):
            if "data" in output:
                output["data"] = {kind: _clean(kind, text) for kind, text in output["data"].items() if kind in _SHOWN}
    exporter = HTMLExporter(
        template_name="basic",
        template_file="record.html.j2",
        extra_template_paths=[str(TEMPLATES)],
        anchor_link_text="",
    )
    exporter.exclude_input_prompt = exporter.exclude_output_prompt = True
    body, _ = exporter.from_notebook_node(content)
    return str(body)


def _clean(kind: str, text: str) -> str:
    if kind != "text/html":
        return text
    # the sanitiser takes tags away and would leave style rules as text
    cleaned: str = bleach.clean(_STYLE.sub("", text), tags=_TAGS.split(), attributes={"*": _ATTRIBUTES}, strip=True)
    return cleaned
