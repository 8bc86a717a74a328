"""Sphinx: the documentation as a site, built by ``make docs`` into out/site without network."""

from typing import Any

from analysis.typeset import mathml

project = "modiff-sim"
author = "the modiff-sim authors"
copyright = "2026, the modiff-sim authors"  # Sphinx reads this name
extensions = ["myst_nb", "sphinx.ext.autodoc", "numpydoc"]
source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb", ".rst": "restructuredtext"}
exclude_patterns = ["conf.py"]
html_theme = "furo"
html_title = "modiff-sim"
html_show_sourcelink = False
nb_execution_mode = "off"  # the tests execute the blocks, and the tour is stored with its outputs
myst_enable_extensions = ["dollarmath", "amsmath", "attrs_inline"]
myst_heading_anchors = 3
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_typehints = "none"  # numpydoc's sections say them
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
add_module_names = False
html_static_path = ["static"]
html_css_files = ["site.css"]
html_math_renderer_name = "mathml"


def setup(app: Any) -> None:
    """Formulas as MathML: the site needs neither a network nor a script to show them."""

    def inline(writer: Any, node: Any) -> None:
        writer.body.append(mathml(node.astext()))
        raise _done()

    def block(writer: Any, node: Any) -> None:
        writer.body.append(f'<div class="formula">{mathml(node.astext(), "block")}</div>')
        raise _done()

    app.connect("autodoc-process-docstring", _escape, priority=400)  # before numpydoc
    app.add_html_math_renderer("mathml", (inline, None), (block, None))


def _done() -> Exception:
    from docutils.nodes import SkipNode

    return SkipNode()


def _escape(_app: Any, _what: str, _name: str, _object: Any, _options: Any, lines: list[str]) -> None:
    """Keep the bars of norms and single stars of formulas, which reStructuredText would take for its own."""
    example = False
    for i, line in enumerate(lines):
        example = bool(line.strip()) and (example or line.lstrip().startswith(">>>"))
        if not example:
            parts = line.split("``")
            lines[i] = "``".join(part if k % 2 else _plain(part) for k, part in enumerate(parts))


def _plain(text: str) -> str:
    """Escape bars, and stars that no other closes."""
    text = text.replace("|", r"\|")
    return text.replace("*", r"\*") if text.count("*") % 2 and not text.startswith("*") else text
