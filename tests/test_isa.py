"""One body, several instruction sets: each is run in a process of its own (BADAK_ISA) and they are compared.

avx2 and avx512 do the same arithmetic in the same order, so they agree to the bit. generic has no fused multiply-add:
it may differ by what rounding may, in the bounds of the table of cases.
"""

import functools
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from cases import CASES, DTYPES, gradients_of, terms

import badak as bd
from badak import _core

NAMES = _core.isa_names()
FUSED = [name for name in NAMES if name != "generic"]
HERE = pathlib.Path(__file__).parent

STEPS = 20  # of training, below


def everything():
    """{name: array} of what all layers compute in every case, of some functions, and of an epoch of training."""
    found = {}
    for case in CASES:
        for dtype in DTYPES:
            layer, _, arguments, dout = case.make(dtype)
            key = f"{case.name}/{np.dtype(dtype)}"
            found[f"{key}/out"] = layer.forward(*arguments)
            found[f"{key}/x"] = layer.backward(dout)
            found |= {f"{key}/{name}": gradient for name, gradient in gradients_of(layer).items()}
    for dtype in DTYPES:
        x = np.linspace(-100, 100, 1001).astype(dtype)
        for name in ("exp", "sigmoid", "tanh", "relu"):
            found[f"{name}/{np.dtype(dtype)}"] = _core.apply(name, x)
        found[f"log/{np.dtype(dtype)}"] = _core.apply("log", np.abs(x) + dtype(1e-30))
        for optimizer in (bd.SGD(lr=0.1), bd.Adam(lr=0.01)):
            net = trained(dtype, optimizer)
            key = f"epoch of {optimizer.kind}/{np.dtype(dtype)}"
            found |= {f"{key}/{name}": array for name, array in net.params.items()}
    return found


def trained(dtype, optimizer):
    rng = np.random.default_rng(1)
    x, t = rng.standard_normal((STEPS * 16, 20)), rng.integers(0, 7, STEPS * 16)
    layers = [bd.Affine(units=33), bd.Relu(), bd.Affine(units=17), bd.Tanh(), bd.Residual([bd.Affine(units=17)])]
    net = bd.Net(
        [*layers, bd.Affine(units=7)], loss=bd.SoftmaxWithLoss(), input_shape=(20,), dtype=np.dtype(dtype), seed=1
    )
    net.fit(x, t, epochs=1, batch_size=16, optimizer=optimizer, progress=False)
    return net


PRINT = """
import sys
sys.path.insert(0, sys.argv[1])
import numpy as np
import test_isa
print(test_isa._core.isa())
for name, array in test_isa.everything().items():
    array = np.asarray(array)
    print(name, array.dtype.str, ",".join(map(str, array.shape)), array.tobytes().hex(), sep="|")
"""


def run(isa, code, *arguments):
    environment = os.environ | {"BADAK_ISA": isa}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


@functools.cache
def results(isa):
    """What `everything` gives with the kernels of that instruction set."""
    done = run(isa, PRINT, str(HERE))
    assert done.returncode == 0, done.stderr
    used, *lines = done.stdout.splitlines()
    assert used == isa
    found = {}
    for line in lines:
        name, dtype, shape, data = line.split("|")
        shape = [int(size) for size in shape.split(",") if size]
        found[name] = np.frombuffer(bytes.fromhex(data), dtype).reshape(shape)
    return found


def test_this_processor_runs_generic_and_uses_the_best():
    assert NAMES[0] == "generic"
    assert _core.isa() == (os.environ.get("BADAK_ISA") or NAMES[-1])
    assert bd.cpu_info() == {"isa": _core.isa(), "available": NAMES, "threads": bd.get_num_threads()}


@pytest.mark.parametrize("isa", NAMES)
def test_badak_isa_forces_the_kernels_and_they_compute_everything(isa):
    found = results(isa)
    for case in CASES:
        assert {f"{case.name}/{np.dtype(dtype)}/{name}" for dtype in DTYPES for name in ("out", "x")} <= found.keys()
    assert sum(name.startswith("epoch") for name in found) == 2 * 2 * 8
    assert not any(np.isnan(array).any() for array in found.values())


@pytest.mark.parametrize(
    "other", FUSED[1:] or [pytest.param(None, marks=pytest.mark.skip("only one has fused multiply-add here"))]
)
def test_instruction_sets_with_fused_multiply_add_agree_to_the_bit(other):
    expected, found = results(FUSED[0]), results(other)
    assert list(found) == list(expected)
    assert [name for name in found if found[name].tobytes() != expected[name].tobytes()] == []


@pytest.mark.parametrize("isa", FUSED or [pytest.param(None, marks=pytest.mark.skip("only generic runs here"))])
def test_layers_differ_from_generic_by_rounding_only(isa):
    expected, found = results("generic"), results(isa)
    for case in CASES:
        for dtype in DTYPES:
            out_terms, gradient_terms = terms(case, dtype)
            for name, size in {"out": out_terms, **gradient_terms}.items():
                key = f"{case.name}/{np.dtype(dtype)}/{name}"
                info = np.finfo(dtype)
                bound = 2 * case.eps * info.eps * np.maximum(size, info.smallest_normal)
                difference = np.abs(found[key].astype(float) - expected[key])
                assert np.all(difference <= bound), f"{key}: {np.max(difference / bound):.3g} times the bound"


@pytest.mark.parametrize("isa", FUSED or [pytest.param(None, marks=pytest.mark.skip("only generic runs here"))])
def test_functions_differ_from_generic_by_2_ulp_at_most(isa):
    expected, found = results("generic"), results(isa)
    for dtype, integer in zip(DTYPES, (np.int32, np.int64), strict=True):
        for name in ("exp", "log", "sigmoid", "tanh", "relu"):
            mine, its = (results[f"{name}/{np.dtype(dtype)}"] for results in (found, expected))
            assert np.array_equal(np.signbit(mine), np.signbit(its))
            ulps = np.abs(mine).view(integer) - np.abs(its).view(integer)  # bit patterns count like the numbers
            assert np.abs(ulps).max() <= 2, (name, dtype)


@pytest.mark.parametrize("isa", FUSED or [pytest.param(None, marks=pytest.mark.skip("only generic runs here"))])
def test_training_differs_from_generic_by_rounding_only(isa):
    """Twenty steps: each may bring some roundings of its own, relative to parameters of about 1."""
    expected, found = results("generic"), results(isa)
    for name in found:
        if name.startswith("epoch"):
            bound = 100 * STEPS * np.finfo(found[name].dtype).eps
            assert np.max(np.abs(found[name] - expected[name])) <= bound, name


@pytest.mark.parametrize("isa", ["sse9", "AVX2", "avx2 "])
def test_an_unknown_instruction_set_is_an_import_error_that_names_the_choices(isa):
    done = run(isa, "import badak")
    assert done.returncode == 1 and "ImportError" in done.stderr
    assert f"BADAK_ISA={isa}" in done.stderr
    assert all(repr(name) in done.stderr for name in NAMES)


def test_an_empty_choice_is_none():
    done = run("", "from badak import _core; print(_core.isa())")
    assert done.stdout.split() == [NAMES[-1]], done.stderr
