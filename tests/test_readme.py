"""The examples of the README and of the guides run, and print what they say."""

import contextlib
import io
import re
from pathlib import Path

import numpy as np
import pytest

import badak as bd

ROOT = Path(__file__).parent.parent
README, GUIDE, FOR_PYTORCH = ROOT / "README.md", ROOT / "docs" / "checker.md", ROOT / "docs" / "pytorch.md"


def blocks_of(path):
    return re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), flags=re.DOTALL)


def run(path):
    """(what the examples of a text print, the names that they leave)"""
    printed, names = io.StringIO(), {}
    with contextlib.redirect_stdout(printed):
        for block in blocks_of(path):
            exec(compile(block, str(path), "exec"), names)
    return printed.getvalue(), names


@pytest.fixture(autouse=True)
def english_again():
    yield
    bd.set_language("en")


def test_examples_run_and_print_what_the_readme_says():
    blocks = blocks_of(README)
    assert len(blocks) == 2
    assert len([line for line in blocks[0].splitlines() if line.strip()]) <= 23
    text, names = run(README)
    accuracy = float(re.search(r"test accuracy ([0-9.]+)", text)[1])
    assert accuracy > 0.96
    assert "39,760 parameters" in text
    assert "0.66667 times the numerical one" in text
    assert "NOT OK (FAIL): cube" in text
    assert names["dx"].shape == (100, 784)
    assert names["layer"].dW.shape == (784, 50)
    assert np.isfinite(names["dx"]).all()


def test_the_korean_readme_says_the_same():
    text, names = run(ROOT / "README.ko.md")
    assert float(re.search(r"시험 정확도 ([0-9.]+)", text)[1]) > 0.96
    assert "FAIL" in text and "0.66667" in text and "수치" in text
    assert names["layer"].dW.shape == (784, 50)


def test_the_checkers_guide():
    text, _ = run(GUIDE)
    assert "was a broadcast argument's gradient not summed" in text
    assert "0.66667 times the numerical one" in text


def rows_of(path):
    """{first cell: the other cells} of all tables of a text."""
    lines = [line.strip("| ").split(" | ") for line in path.read_text(encoding="utf-8").splitlines() if "|" in line]
    return {cells[0].strip(): [cell.strip() for cell in cells[1:]] for cells in lines}


@pytest.mark.parametrize("checker", ["**badak** `bd.gradcheck`", "PyTorch `gradcheck`", "CS231n's rule, 1e-4"])
def test_the_table_of_checkers_is_that_of_the_comparison(checker):
    readme, whole = rows_of(README)[checker], rows_of(ROOT / "docs" / "gradcheck_vs.md")[checker]
    assert readme == [*whole[:2], whole[3], whole[6]]  # wrong missed, right flagged, conduct missed, seconds


@pytest.mark.parametrize("path", [README, GUIDE, FOR_PYTORCH, ROOT / "README.ko.md"], ids=lambda path: path.name)
def test_names_in_the_texts_exist(path):
    text = path.read_text(encoding="utf-8")
    names = set(re.findall(r"\bbd\.(\w+)", text))
    assert names
    assert not [name for name in names if not hasattr(bd, name)]


def test_what_the_table_for_pytorch_calls_can_be_called():
    """Every `bd.Something(...)` with literal arguments in the table is a right call."""
    rows = [line for line in FOR_PYTORCH.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    calls = [call for row in rows for call in re.findall(r"`(bd\.\w+\([^`]*\))`", row)]
    assert len(calls) >= 10
    for call in calls:
        if "[...]" in call or ".safetensors" in call or "*inputs" in call:
            continue
        eval(call, {"bd": bd, "W": np.ones((3, 2)), "b": np.zeros(2), "p": 0.5})
