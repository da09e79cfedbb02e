"""Which test stands for which number of the catalogue, read from the tests themselves.

A test names its numbers in its id ("B001 None") or, for all of its ids that name none, anywhere in its source: a
comment beside its ``def``, its docstring, its name (``test_b157_...``).
"""

import ast
import functools
import inspect
import pathlib
import re

from . import MODULES
from .world import Case

TESTS = pathlib.Path(__file__).resolve().parents[1]


def numbers_in(text):
    """{"B001", ...}"""
    return {found.upper() for found in re.findall(r"(?<![A-Za-z0-9])[Bb]\d{3}(?!\d)", text.replace("_", " "))}


@functools.cache
def rows_here():
    """{id of a row: its numbers}"""
    found = {}
    for module in MODULES:
        for one in vars(module).values():
            if isinstance(one, Case):
                beside = numbers_in(inspect.getsource(one.function))
                found |= {name: numbers_in(name) or beside for name, _ in one.rows()}
    return found


@functools.cache
def tests_elsewhere():
    """{"test_save.py::test_name": numbers} of the tests that name any."""
    found = {}
    for path in sorted(TESTS.glob("test_*.py")):
        source = path.read_text(encoding="utf-8")
        lines = source.splitlines()
        for node in ast.parse(source).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
                numbers = numbers_in("\n".join(lines[first - 1 : node.end_lineno]))
                if numbers:
                    found[f"{path.name}::{node.name}"] = numbers
    return found


def numbers_of(node_id):
    """The numbers that a test with this pytest id stands for."""
    test, _, row = node_id.partition("[")
    name = test.rpartition("/")[2]
    if name == "test_catalogue.py::test_row":
        return rows_here().get(row.removesuffix("]"), set())
    return numbers_in(row) or tests_elsewhere().get(name, set())


def tested():
    """All numbers that some test stands for."""
    return set().union(*rows_here().values(), *tests_elsewhere().values())
