"""Make notebooks from their text: ``python build.py en/ch05.md`` writes en/ch05.ipynb beside it, with its outputs.

What a text looks like is said in ``badak/_notebook.py``, which reads it. In ``index.md`` the tables of contents are
written first, from the texts of the chapters.
"""

import os
import pathlib
import re
import sys
import tempfile
import time

import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

from badak import _notebook
from badak._notebook import METADATA, SOLUTION


def notebook_from(text):
    """The notebook that a text describes, without outputs."""
    return nbformat.from_dict(_notebook.notebook_from(text))


def solutions(notebook):
    """The code hidden in the Markdown cells, one string a block."""
    texts = (cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    return [code for text in texts for code in SOLUTION.findall(text)]


TABLES = re.compile(r"(<!-- tables -->).*(<!-- end -->)", re.DOTALL)
HEADING = re.compile(r"(#{2,3}) ((?:\d+\.)+\d+)?\s*(.+)")
COLUMNS = {"en": ("in the book", "in the notebook", "cells"), "ko": ("책의 절", "노트북의 절", "셀")}
EXERCISES = ("Exercises", "연습 문제")


def contents(text):
    """The sections of a chapter up to its exercises: number in the book or "", title, first and last code cell."""
    rows, count = [], 0
    for cell in notebook_from(text).cells:
        heading = cell.cell_type == "markdown" and HEADING.match(cell.source)
        if heading and heading[3] in EXERCISES:
            break
        if heading:
            rows.append((heading[2] or "", heading[3], []))
        elif cell.cell_type == "code":
            count += 1
            if rows:
                rows[-1][2].append(count)
    return [(number, title, cells[:1] + cells[1:][-1:]) for number, title, cells in rows]


def with_tables(text, folder):
    """The text of an index that has a table of contents for each chapter in its folder."""
    parts = []
    for path in sorted(folder.glob("ch*.md")):
        chapter = path.read_text(encoding="utf-8")
        title = chapter.partition("\n")[0].removeprefix("# ")
        lines = [COLUMNS[folder.name], ("---",) * 3]
        lines += [(number, name, "-".join(map(str, cells))) for number, name, cells in contents(chapter)]
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        parts.append(f"### [{title}]({path.stem}.ipynb)\n\n{table}\n\n")
    return TABLES.sub(lambda found: f"{found[1]}\n\n{''.join(parts)}{found[2]}", text)


def execute(notebook, folder):
    """Run every cell in `folder`, with this very interpreter as the kernel; return the seconds it took.

    No installed kernel is needed and none is used.
    """
    environment = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}  # figures come inline
    environment["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"  # or the kernel complains about frozen modules
    native_only = KernelSpecManager(kernel_dirs=[])
    manager = AsyncKernelManager(kernel_name="python3", kernel_spec_manager=native_only)
    client = NotebookClient(
        notebook, km=manager, timeout=600, record_timing=False, resources={"metadata": {"path": str(folder)}}
    )
    began = time.perf_counter()
    client.execute(cleanup_kc=True, env=environment)
    notebook.metadata = nbformat.from_dict(METADATA)  # the client adds the version of the language
    return time.perf_counter() - began


def build(path):
    """Write the notebook of a text beside it."""
    path = path.resolve()
    if path.stem == "index":
        path.write_text(with_tables(path.read_text(encoding="utf-8"), path.parent), encoding="utf-8")
    notebook = notebook_from(path.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        seconds = execute(notebook, folder)
    target = path.with_suffix(".ipynb")
    nbformat.write(notebook, target)
    print(f"{target}: {len(notebook.cells)} cells, {seconds:.1f} s, {target.stat().st_size / 1000:.0f} KB")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        build(pathlib.Path(name))
