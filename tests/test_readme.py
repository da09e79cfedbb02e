"""The examples of the README run, and print what it says."""

import contextlib
import io
import re
from pathlib import Path

import numpy as np

README = Path(__file__).parent.parent / "README.md"


def test_examples_run_and_print_what_the_readme_says():
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(blocks) == 2
    assert len([line for line in blocks[0].splitlines() if line.strip()]) <= 23
    printed = io.StringIO()
    names = {}
    with contextlib.redirect_stdout(printed):
        for block in blocks:
            exec(compile(block, str(README), "exec"), names)
    text = printed.getvalue()
    accuracy = float(re.search(r"test accuracy ([0-9.]+)", text)[1])
    assert accuracy > 0.96
    assert "39,760 parameters" in text
    assert "0.66667 times the numerical one" in text
    assert "NOT OK (FAIL): cube" in text
    assert names["dx"].shape == (100, 784)
    assert names["layer"].dW.shape == (784, 50)
    assert np.isfinite(names["dx"]).all()
