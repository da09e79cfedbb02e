"""Memory faults: each operation meets every allocation of its own failing, and nothing is lost nor half done."""

import os
import shutil
import subprocess
import sys

import pytest
from zygote import Zygote

import badak  # noqa: F401  (the operations need it)

faults = pytest.importorskip("faults")

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="replaces the allocators of glibc"),
    pytest.mark.skipif("asan" in os.environ.get("LD_PRELOAD", ""), reason="the sanitizer has allocators of its own"),
]


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """c/faults.c, compiled."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if not compiler:
        pytest.skip("needs a C compiler")
    here = os.path.dirname(os.path.abspath(__file__))
    path = tmp_path_factory.mktemp("faults") / "faults.so"
    flags = ["-std=gnu11", "-O2", "-shared", "-fPIC", "-ldl"]
    subprocess.run([compiler, os.path.join(here, "c", "faults.c"), *flags, "-o", str(path)], check=True)
    return str(path)


@pytest.fixture(scope="module")
def zygote(library):
    zygote = Zygote("faults", LD_PRELOAD=library, PYTHONMALLOC="malloc")
    yield zygote
    zygote.close()


POINTS = {}


@pytest.mark.parametrize("name", faults.OPERATIONS)
def test_every_allocation_may_fail(zygote, name):
    outcome, value = zygote.run(name, seconds=300)
    assert outcome == "ok", f"{name}: {outcome}: {value}"
    POINTS[name] = value


def test_there_was_something_to_fail():
    """The sum is the number of injection points; a step in the middle of a training has only its result to make."""
    assert sum(POINTS.values()) > 1000
    assert POINTS["train_step"] <= 4
