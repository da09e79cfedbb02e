"""The package as others meet it: what it exports, brings, costs to import and says about itself."""

import ast
import importlib.metadata
import inspect
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import badak as bd
from badak import _core

PACKAGE = pathlib.Path(bd.__file__).parent


def run(*arguments, **environment):
    path = os.pathsep.join([str(PACKAGE.parent), *filter(None, sys.path)])
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": path, **environment},
    )


def output_of(code, *options, **environment):
    result = run(*options, "-c", textwrap.dedent(code), **environment)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return result.stdout.strip()


# ---- The extension ----


@pytest.mark.skipif(not shutil.which("nm") or sys.platform != "linux", reason="needs nm, of the binutils")
def test_the_extension_exports_its_init_function_only():
    listing = subprocess.run(["nm", "-D", "--defined-only", _core.__file__], capture_output=True, text=True, check=True)
    assert [line.split()[-1] for line in listing.stdout.splitlines()] == ["PyInit__core"]


def test_the_stub_names_what_the_extension_has():
    tree = ast.parse((PACKAGE / "_core.pyi").read_text(encoding="utf-8"))
    stub = {node.name: node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    real = {name for name in vars(_core) if not name.startswith("__")}
    assert {name for name in stub if not name.startswith("_")} == real
    for name in real:
        if isinstance(stub[name], ast.ClassDef):
            members = {node.name for node in stub[name].body if isinstance(node, ast.FunctionDef)}
            members |= {node.target.id for node in stub[name].body if isinstance(node, ast.AnnAssign)}
            found = {member for member in vars(getattr(_core, name)) if not member.startswith("__")}
            assert {member for member in members if not member.startswith("__")} == found, name


def test_every_function_of_the_extension_tells_its_signature():
    for value in vars(_core).values():
        if callable(value) and not isinstance(value, type):
            assert inspect.signature(value) is not None
            assert value.__doc__


def test_each_instruction_set_can_be_chosen():
    code = """
        import numpy as np, badak as bd
        net = bd.Net([bd.Affine(units=50), bd.Tanh(), bd.Affine(units=3)], loss=bd.SoftmaxWithLoss(),
                     input_shape=20, seed=1, dtype="float64")
        print(bd.cpu_info()["isa"], repr(net.predict(np.linspace(-1, 1, 200).reshape(10, 20)).sum().item()))
    """
    found = dict(output_of(code, BADAK_ISA=name).split() for name in bd.cpu_info()["available"])
    assert list(found) == bd.cpu_info()["available"]
    values = [float(value) for value in found.values()]
    assert values == pytest.approx([values[0]] * len(values), rel=1e-13)
    assert output_of("import badak as bd; print(bd.cpu_info()['isa'])", BADAK_ISA="") in found


def test_an_unknown_instruction_set_is_an_import_error():
    result = run("-c", "import badak", BADAK_ISA="mmx")
    assert result.returncode == 1
    assert re.search(r"ImportError: BADAK_ISA=mmx: this processor has kernels for \['generic'", result.stderr)


# ---- Importing it ----


def test_import_is_cheap():
    code = """
        import time, numpy
        began = time.process_time()  # of this process, so that others do not count
        import badak
        print(time.process_time() - began)
    """
    seconds = [float(output_of(code, PYTHONDONTWRITEBYTECODE="")) for _ in range(7)]  # compiled once, as installed
    assert min(seconds) <= 0.010, f"at best {min(seconds):.4f} s, in the median {statistics.median(seconds):.4f} s"


def test_import_starts_nothing_and_loads_no_more_than_it_needs():
    found = output_of("""
        import sys, threading
        import numpy

        def threads():
            try:
                return next(line for line in open("/proc/self/status") if line.startswith("Threads"))
            except OSError:
                return threading.active_count()

        before, running = set(sys.modules), threads()
        import badak
        assert threads() == running
        new = set(sys.modules) - before
        assert not new & {"matplotlib", "gzip", "zlib", "hashlib", "json", "IPython", "html", "argparse"}, new
        print(*sorted(name for name in new if "." not in name))
    """)
    assert set(found.split()) <= {"badak", "__future__", "copy", "importlib"}


@pytest.mark.parametrize("options", [("-W", "error"), ("-W", "error", "-X", "dev"), ("-I",), ("-O",), ("-OO",)])
def test_import_gives_no_warning(options):
    first = f"import sys; sys.path[:0] = [{str(PACKAGE.parent)!r}, *{sys.path!r}]; "
    assert output_of(first + "import badak; print(badak.__version__)", *options) == bd.__version__


# ---- Names ----

TOP_LEVEL = [
    "AddLayer",
    "Adam",
    "Affine",
    "ChecksumError",
    "FormatError",
    "GradientError",
    "GradientReport",
    "History",
    "IdentityWithLoss",
    "Layer",
    "MulLayer",
    "Net",
    "Relu",
    "Residual",
    "SGD",
    "Sigmoid",
    "SoftmaxWithLoss",
    "Tanh",
    "cpu_info",
    "cross_entropy_error",
    "dataset",
    "derivative",
    "functions",
    "gradcheck",
    "gradient",
    "identity_function",
    "layers",
    "load_idx",
    "load_mnist",
    "mean_squared_error",
    "numerical_gradient",
    "optimizer",
    "relu",
    "relu_grad",
    "sigmoid",
    "sigmoid_grad",
    "softmax",
    "softmax_loss",
    "step_function",
    "sum_squared_error",
    "tanh",
]
MODULES = {
    "functions": "cross_entropy_error identity_function mean_squared_error relu relu_grad sigmoid sigmoid_grad softmax "
    "softmax_loss step_function sum_squared_error tanh np",
    "gradient": "numerical_gradient",
    "layers": "AddLayer Affine IdentityWithLoss MulLayer Relu Sigmoid SoftmaxWithLoss Tanh",
    "optimizer": "SGD Adam np",
    "dataset": "load_mnist load_idx",
    "dataset.mnist": "load_mnist np",
}


def test_top_level_names():
    assert set(TOP_LEVEL) <= set(dir(bd))
    found = output_of(f"import badak as bd; print(*(n for n in {TOP_LEVEL} if getattr(bd, n, None) is not None))")
    assert found.split() == TOP_LEVEL


@pytest.mark.parametrize("name", MODULES)
def test_modules_hand_on_the_names_of_the_book(name):
    code = f"from badak.{name} import *; print(*sorted(n for n in dir() if not n.startswith('_')))"
    assert set(MODULES[name].split()) <= set(output_of(code).split())


def test_what_does_not_exist_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'badak' has no attribute 'Afine'"):
        bd.Afine  # noqa: B018
    assert not hasattr(bd, "nonsense")


def test_what_is_loaded_on_first_use_is_the_thing_itself():
    assert output_of("import badak; badak.derivative; print(callable(badak.gradcheck))") == "True"
    assert output_of("import badak.dataset.mnist, badak; print(callable(badak.load_mnist))") == "True"


def test_public_names_are_described():
    for name in TOP_LEVEL:
        value = getattr(bd, name)
        assert value.__doc__, name
        for member, attribute in vars(value).items() if isinstance(value, type) else ():
            if callable(attribute) and not member.startswith("_"):
                assert inspect.getdoc(getattr(value, member)), f"{name}.{member}"


# ---- What it brings ----


def test_the_files_of_the_package_are_there():
    names = {path.name for path in (PACKAGE / "dataset" / "files").iterdir()}
    parts = [f"{part}-{what}" for part in ("train", "t10k") for what in ("images-idx3-ubyte", "labels-idx1-ubyte")]
    assert {f"{part}.gz" for part in parts} | {"LICENSE-MNIST.md"} <= names
    assert (PACKAGE / "py.typed").exists()
    assert "CC-BY-SA-3.0" in (PACKAGE / "dataset" / "files" / "LICENSE-MNIST.md").read_text(encoding="utf-8")


@pytest.fixture
def distribution():
    for found in importlib.metadata.distributions(name="badak"):
        if (found.locate_file("badak") / "__init__.py").samefile(bd.__file__) and found.read_text("WHEEL"):
            return found
    return pytest.skip("runs in place: only an installed package has metadata")


def test_metadata(distribution):
    assert distribution.version == bd.__version__
    required = [text for text in distribution.requires if "extra ==" not in text]
    assert [re.match(r"[\w-]+", text).group() for text in required] == ["numpy"]
    assert distribution.metadata["Requires-Python"] == ">=3.10"
    assert distribution.metadata["License-Expression"] == "MIT AND CC-BY-SA-3.0"


def test_files_of_the_distribution(distribution):
    names = [str(path) for path in distribution.files]
    assert sum(name.endswith("-ubyte.gz") for name in names) == 4
    assert any(name.endswith("LICENSE-MNIST.md") for name in names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert "badak/py.typed" in names
    assert "badak/_core.pyi" in names
    c_files = [name for name in names if name.endswith((".c", ".h", ".inc"))]
    assert all(name.startswith("badak/_files/csrc/") for name in c_files) and c_files  # those that show() quotes
    assert not any(name.startswith("tests") or name.endswith((".ipynb", "build.py")) for name in names)
    assert any(name.startswith("badak/_files/notebooks/en/") for name in names)


def test_version_is_a_version():
    assert re.fullmatch(r"\d+\.\d+\.\d+([ab]\d+|rc\d+)?", bd.__version__)


# ---- The command ----


def test_info_says_what_runs_here():
    result = run("-m", "badak", "info")
    assert result.returncode == 0, result.stderr
    assert bd.__version__ in result.stdout
    assert bd.cpu_info()["isa"] in result.stdout
    assert np.__version__ in result.stdout
    assert result.stderr == ""


def test_command_says_its_version():
    assert run("-m", "badak", "--version").stdout.strip() == f"badak {bd.__version__}"


def test_command_without_or_with_a_wrong_verb():
    for arguments in ((), ("nonsense",)):
        result = run("-m", "badak", *arguments)
        assert result.returncode == 2
        assert "usage: badak" in result.stderr
