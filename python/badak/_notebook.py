"""Notebooks from their texts, and where they are unpacked to.

A block fenced by ```python is a code cell; what stands between two of them is a Markdown cell, and a heading begins
another. A block fenced by ~~~python stays text: a solution, which the tests run as well.
"""

import json
import pathlib
import re

from ._texts import folder

LANGUAGES = ("en", "ko")
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
CODE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SOLUTION = re.compile(r"^~~~python\n(.*?)^~~~$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^(?=#+ )", re.MULTILINE)


def notebook_from(text):
    """The notebook that a text describes, as the dict of its file, without outputs. Cells are numbered."""
    cells = []
    for i, part in enumerate(CODE.split(text)):
        if i % 2:
            cells.append(_cell("code", part.rstrip()) | {"execution_count": None, "outputs": []})
        else:
            outside = SOLUTION.sub(lambda block: block.group().replace("#", "\0"), part)  # comments are no headings
            pieces = (piece.replace("\0", "#").strip() for piece in HEADING.split(outside))
            cells += [_cell("markdown", piece) for piece in pieces if piece]
    for number, cell in enumerate(cells, 1):
        cell["id"] = f"cell-{number:03d}"
    return {"cells": cells, "metadata": METADATA, "nbformat": 4, "nbformat_minor": 5}


def _cell(kind, source):
    return {"cell_type": kind, "id": "", "metadata": {}, "source": source}


def unpack(target, language, *, force=False):
    """Write the notebooks of a language into a folder, which is made if there is none.

    Parameters
    ----------
    target : path
    language : "en" or "ko"
    force : bool
        Overwrite what is there.

    Returns
    -------
    list of pathlib.Path
        What was written.

    Raises
    ------
    FileExistsError
        Without `force`, if one of them is there already: then nothing is written.
    """
    target = pathlib.Path(target)
    texts = sorted((folder("notebooks") / language).glob("*.md"))
    if not texts:
        raise FileNotFoundError(f"there are no notebooks in {language!r}")
    files = [target / f"{text.stem}.ipynb" for text in texts]
    there = [str(file) for file in files if file.exists()]
    if there and not force:
        raise FileExistsError(f"not overwritten: {', '.join(there)}")
    target.mkdir(parents=True, exist_ok=True)
    for text, file in zip(texts, files, strict=True):
        notebook = notebook_from(text.read_text(encoding="utf-8"))
        file.write_text(json.dumps(notebook, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return files
