"""The record: each executed notebook as one page, code folded, alt text kept, nothing fetched from outside."""

import re
from pathlib import Path

import nbformat
from nbconvert import HTMLExporter
from traitlets.config import Config

TEMPLATES = Path(__file__).parent / "templates"


_TAGS = (
    "a b blockquote br caption code dd div dl dt em h1 h2 h3 h4 hr i li ol p pre span strong sub sup "
    "table tbody td tfoot th thead tr ul"
)
_ATTRIBUTES = ["class", "id", "href", "title", "colspan", "rowspan", "scope"]
_STYLE = re.compile(r"<style.*?</style>", re.DOTALL | re.IGNORECASE)


def notebook_body(notebook: Path) -> str:
    """The executed notebook as sanitised HTML, without page or scripts around it."""
    content = nbformat.read(notebook, as_version=4)
    for cell in content.cells:
        for output in cell.get("outputs", []):
            if "text/html" in output.get("data", {}):
                # the sanitiser takes the tags away and would leave the style rules as text
                output["data"]["text/html"] = _STYLE.sub("", output["data"]["text/html"])
    allowed = {"tags": set(_TAGS.split()), "attributes": {"*": _ATTRIBUTES}, "strip": True}
    exporter = HTMLExporter(
        config=Config({"HTMLExporter": {"sanitize_html": True}, "SanitizeHTML": allowed}),
        template_name="basic",
        template_file="record.html.j2",
        extra_template_paths=[str(TEMPLATES)],
        exclude_input_prompt=True,
        exclude_output_prompt=True,
    )
    body, _ = exporter.from_notebook_node(content)
    return str(body)
