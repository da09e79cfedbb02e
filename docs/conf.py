"""The site that ``make docs`` builds: guides, the notebooks as they are committed, and the API from its docstrings."""

import shutil
from pathlib import Path

import badak

HERE = Path(__file__).parent
ROOT = HERE.parent

project = "badak"
author = "The badak founders"
copyright = "2026, the badak founders"
release = badak.__version__

extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode", "myst_nb"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"badak {release}"
html_static_path = []

# Notebooks are shown with the outputs that they were committed with: tests run them, not this.
nb_execution_mode = "off"
nb_merge_streams = True
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3

napoleon_google_docstring = False
napoleon_use_ivar = True  # attributes of one name in several classes are no targets
napoleon_use_rtype = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"

# Only what lies in this site can be looked up without a network.
linkcheck_ignore = [r"https?://"]


def _bring_notebooks():
    """Copy the notebooks next to the pages: Sphinx reads nothing from outside its own folder."""
    for language in ("en", "ko"):
        folder = HERE / "chapters" / language
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for notebook in sorted((ROOT / "notebooks" / language).glob("*.ipynb")):
            shutil.copy(notebook, folder)


_bring_notebooks()
