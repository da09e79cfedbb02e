"""What the tests share: the table of cases (cases.py) can be imported from any directory that pytest runs in."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
pytest.register_assert_rewrite("cases", "image_grid")
