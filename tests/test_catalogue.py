"""Every row of the catalogue, each in a process of its own: see catalogue/world.py for what is looked at."""

import catalogue
import pytest
from catalogue import coverage, written
from zygote import Zygote


@pytest.fixture(scope="module")
def zygote():
    # debug allocators see writes beyond a block, and calls of Python without holding the GIL
    zygote = Zygote("catalogue", ["-X", "dev"])
    yield zygote
    zygote.close()


@pytest.mark.parametrize("row", catalogue.ROWS)
def test_row(zygote, row):
    outcome, text = zygote.run(row)
    if outcome == "skipped":
        pytest.skip(text)
    assert outcome == "ok", f"{row}: {outcome}: {text}"


def test_every_number_of_the_catalogue_is_tested_or_says_why_not():
    assert coverage.tested() | set(written.DECISIONS) == set(written.ROWS)
