"""Memory faults: each operation meets every allocation of its own failing, and nothing is lost nor half done."""

import os
import shutil
import subprocess
import sys

import pytest
from zygote import Zygote

import badak

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
def test_every_allocation_may_fail(zygote, name):  # F01 F02 F07 F08
    outcome, value = zygote.run(name, seconds=900)
    assert outcome == "ok", f"{name}: {outcome}: {value}"
    POINTS[name] = value


def test_there_was_something_to_fail():
    """The sum is the number of injection points; a step in the middle of a training has only its result to make."""
    print(f"{sum(POINTS.values())} injection points in {len(POINTS)} operations")
    assert sum(POINTS.values()) > 1000
    assert POINTS["train_step"] <= 4


SCRIPT = """
import resource, sys
import numpy as np, badak as bd
x, t = np.ones((64, 1, 12, 12), "f4"), np.arange(64) % 10
net = bd.Net([bd.Convolution(filters=8, size=3), bd.BatchNormalization(), bd.Relu(), bd.Pooling(2, 2),
              bd.Residual([bd.Flatten(), bd.Relu()][1:]), bd.Affine(units=100), bd.Dropout(), bd.Affine(units=10)],
             loss=bd.SoftmaxWithLoss(), input_shape=(1, 12, 12), seed=1)
before = net.predict(x)
"""


def run(code, stack=None):
    """Run Python code in a process of its own, with so many bytes of stack."""
    path = os.pathsep.join([os.path.dirname(os.path.dirname(badak.__file__)), *filter(None, sys.path)])
    limit = f"ulimit -s {stack >> 10}; " if stack else ""
    return subprocess.run(
        ["sh", "-c", f'{limit}exec "$0" -c "$1"', sys.executable, SCRIPT + code],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"},
    )


def test_an_address_space_that_is_too_small():  # F04
    result = run("""
with open("/proc/self/statm") as file:
    used = int(file.read().split()[0]) * resource.getpagesize()
soft, hard = resource.getrlimit(resource.RLIMIT_AS)
resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20), hard))
many = np.broadcast_to(x[:1], (10**6, 1, 12, 12))
refused = 0
for call in (lambda: net.predict(many), lambda: net.gradient(many, np.zeros(10**6, int)),
             lambda: bd.Affine(np.ones((144, 10)), 0.0).forward(many), lambda: bd.sigmoid(many),
             lambda: bd.Net([bd.Affine(units=10**6)], loss=bd.SoftmaxWithLoss(), input_shape=1000)):
    try:
        call()
    except MemoryError:
        refused += 1
assert (net.predict(x) == before).all()
net.train_step(x, t, bd.Adam())
print(refused)
""")
    assert (result.returncode, result.stdout, result.stderr) == (0, "5\n", "")


def test_a_small_stack():  # F06
    result = run(
        """
net.fit(x, t, epochs=1, progress=False)
report = bd.gradcheck(bd.Affine(np.ones((4, 3)), np.ones(3)), np.ones((2, 4)), points=1)
print(net.predict(x).shape, report.ok)
""",
        stack=256 << 10,
    )
    assert (result.returncode, result.stdout) == (0, "(64, 10) True\n"), result.stderr
