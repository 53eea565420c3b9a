"""Sphinx configuration. `make docs` builds with warnings as errors."""

import logging
import re
import tomllib
from pathlib import Path

project_table = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]

project = project_table["name"]
author = project_table["authors"][0]["name"]
copyright = f"2026, {author}"
release = version = project_table["version"]

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.doctest",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
suppress_warnings = ["ref.python"]  # words like `shape` in type descriptions are not meant as links
exclude_patterns = ["_build"]
templates_path = ["_templates"]

myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

# A page per public name: each package lists what its __all__ lists, wherever the name is defined.
autosummary_generate = True
autosummary_ignore_module_all = False
autosummary_imported_members = True
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"show-inheritance": True}
napoleon_google_docstring = False
napoleon_numpy_docstring = True
napoleon_use_rtype = False
napoleon_use_ivar = True

# Examples in docstrings are run by pytest; the doctest builder runs those of the pages.
doctest_test_doctest_blocks = ""

html_theme = "furo"
html_title = f"funcspace {release}"
html_static_path = ["_static"]

# Folders that a page lists by pattern may be empty.
logging.getLogger("sphinx.sphinx.directives.other").addFilter(lambda record: "glob pattern" not in str(record.msg))

ROLE = re.compile(r"(:\w+:`[^`]+`)")
SPAN = re.compile(r"(``.+?``|:\w+:`[^`]+`)")
LITERAL = re.compile(r"(?<![`:\w\\])`([^`]+)`(?![`_])")
EMPHASIS = re.compile(r"\w\*{1,2}(?!\w)")
UNPACKED = re.compile(r"(?<![\w*`\\])(\*{1,2})(?=\w)")


def as_written(app, what, name, obj, options, lines):
    """Read docstrings as their authors mean them: `x` is code, (*batch, n) no emphasis, |x| an absolute value."""
    for i, line in enumerate(lines):
        if line.lstrip().startswith((">>>", "...")):
            continue
        parts = ROLE.split(line)
        parts[::2] = [LITERAL.sub(r"``\1``", part) for part in parts[::2]]
        pieces = SPAN.split("".join(parts))
        if not EMPHASIS.search("".join(pieces[::2])):
            pieces[::2] = [UNPACKED.sub(lambda stars: stars[0].replace("*", r"\*"), text) for text in pieces[::2]]
        if not line.lstrip().startswith(("|", "+")):
            pieces[::2] = [re.sub(r"(?<!\\)\|(?=\S)", r"\|", text) for text in pieces[::2]]
        lines[i] = "".join(pieces)


def setup(app):
    app.connect("autodoc-process-docstring", as_written, priority=400)  # before napoleon
