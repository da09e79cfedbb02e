"""``python -m badak.book`` and ``%load_ext badak.book``, on our own scripts in the book's style (book_style/)."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from badak import book, functions, layers
from badak.book._cap import Cap
from badak.book._modules import STARRED

STYLE = Path(__file__).parent / "book_style"
PACKAGE = Path(book.__file__).parents[2]


@pytest.fixture
def scripts(tmp_path):
    """A checkout like the book's, with a ``common`` and a ``dataset`` that would break whatever imports them."""
    repo = tmp_path / "book"
    shutil.copytree(STYLE, repo, ignore=shutil.ignore_patterns("__pycache__"))
    for package, modules in {"common": "functions gradient layers optimizer trainer util", "dataset": "mnist"}.items():
        for module in ["__init__", *modules.split()]:
            (repo / package).mkdir(exist_ok=True)
            (repo / package / f"{module}.py").write_text("raise ImportError('the decoy')\n")
    return repo


@pytest.fixture(autouse=True)
def unchanged():
    """Whatever a test runs, nothing of it is left in the process."""

    def state():
        mine = {name: module for name, module in sys.modules.items() if name.partition(".")[0] in book.PACKAGES}
        return mine, sys.modules["__main__"], sys.argv, list(sys.path), list(sys.meta_path), os.getcwd()

    before = state()
    yield
    assert state() == before
    assert not {"small_net", "helper"} & set(sys.modules)


def write(folder, text, name="script.py"):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def command(*args, cwd=None, **env):
    env = {k: v for k, v in os.environ.items() if k not in ("BADAK_BOOK_MAX_STEPS", "MPLBACKEND", "DISPLAY")} | env
    env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(PACKAGE), env.get("PYTHONPATH")]))
    args = [sys.executable, "-m", "badak.book", *map(str, args)]
    return subprocess.run(args, cwd=cwd, env=env, capture_output=True, encoding="utf-8", timeout=60)


# ---- our own scripts ----


def test_descent_by_numerical_gradients(scripts, capsys):
    names = book.run(scripts / "ch04/slope_and_descent.py")
    assert names["losses"][-1] < 0.3 * names["losses"][0]
    assert names["field"] == pytest.approx(np.array([[2, 4], [-6, 1]]))
    printed = capsys.readouterr().out
    assert "errors 2.5 2.0" in printed  # both are half the sum of squares
    assert "steps [0 1] [0. 1.] 0.25" in printed


def test_gradient_check_and_training_with_a_module_beside_the_script(scripts, capsys):
    names = book.run(scripts / "ch05/check_and_train.py")
    printed = capsys.readouterr().out
    assert float(re.search(r"apart by (\S+)", printed)[1]) < 1e-6
    assert len(names["train_loss_list"]) == 300
    assert float(re.search(r"accuracy (\S+)", printed)[1]) > 0.88


def test_optimizers_and_util(scripts, capsys):
    pytest.importorskip("matplotlib").use("Agg")
    names = book.run(scripts / "ch06/optimizers.py")
    assert names["params"] == pytest.approx({"x": -7 * 0.95**20, "y": 0})
    assert capsys.readouterr().out.count("True 60") == 6


def test_trainer_with_dropout_and_batch_normalisation(scripts, capsys):
    names = book.run(scripts / "ch06/normalise_and_drop.py")
    assert len(names["trainer"].train_loss_list) == 45
    assert len(names["trainer"].train_acc_list) == 15
    assert names["trainer"].train_acc_list[-1] > 0.9
    assert "Final Test Accuracy" in capsys.readouterr().out


def test_convolution_from_the_command_line(scripts):
    """Every script in a process of its own too: here with an argument, from another folder."""
    done = command("ch07/convolution.py", "weights.pkl", cwd=scripts)
    assert done.stderr == ""
    assert done.returncode == 0
    assert done.stdout.splitlines()[0] == "shapes (1, 2, 8, 8) 8 True"
    assert "gradient (2, 1, 3, 3) True True" in done.stdout
    assert done.stdout.splitlines()[-1] == "half True"
    assert (scripts / "ch07/weights.pkl").exists()


# ---- what a script finds ----


def test_modules_are_badaks_whatever_folders_there_are(scripts):
    text = "import sys, os\nsys.path.insert(0, os.pardir)\n"
    text += "".join(f"import {name}\n" for name in STARRED)
    text += "from common import layers, functions\nfrom common.layers import Affine, SoftmaxWithLoss\n"
    names = book.run(write(scripts / "ch09", text))
    assert names["Affine"] is layers.Affine
    assert names["functions"].softmax is functions.softmax
    assert names["functions"].mean_squared_error is functions.sum_squared_error
    assert names["common"].__spec__.origin == "badak.book"


@pytest.mark.parametrize("module", STARRED)
def test_stars_give_the_books_names_and_no_others(module, tmp_path):
    names = book.run(write(tmp_path, f"before = set(dir())\nfrom {module} import *\n"))
    given = set(names) - names["before"] - {"before"}
    assert given == set(STARRED[module].split())


def test_loss_is_the_books(tmp_path):
    text = "from common.layers import *\nlast = SoftmaxWithLoss()\n"
    text += "loss = last.forward(np.array([[0.0, 60.0]]), np.array([0]))\ndx = last.backward()\n"
    names = book.run(write(tmp_path, text))
    assert names["loss"] == pytest.approx(-np.log(1e-7))
    assert names["dx"] == pytest.approx(np.array([[-1.0, 1.0]]))


def test_other_modules_in_a_folder_called_common_are_found(scripts):
    write(scripts / "common", "from common.layers import Relu\nmine = Relu\n", "helper.py")
    names = book.run(
        write(scripts / "ch09", "import sys, os\nsys.path.append(os.pardir)\nfrom common.helper import mine\n")
    )
    assert names["mine"] is layers.Relu
    with pytest.raises(ModuleNotFoundError, match=r"common\.nowhere"):
        book.run(write(scripts / "ch09", "import common.nowhere\n"))


def test_a_module_imported_before_comes_back(tmp_path, monkeypatch):
    import types

    own = types.ModuleType("common")
    monkeypatch.setitem(sys.modules, "common", own)
    names = book.run(write(tmp_path, "import common\n"))
    assert names["common"] is not own
    assert sys.modules["common"] is own


def test_folder_argv_file_and_main(tmp_path):
    write(tmp_path / "ch01", "where = 'beside'\n", "helper.py")
    text = """
import os, pickle, sys
from helper import where
class Kept: pass
copy = pickle.loads(pickle.dumps(Kept()))
state = __name__, __file__, os.getcwd(), sys.argv, sys.path[0], sys.modules['__main__'].__dict__ is globals()
"""
    script = write(tmp_path / "ch01", text)
    names = book.run(os.path.relpath(script), ["a", "-b"])
    folder = str(tmp_path / "ch01")
    argv = [str(script), "a", "-b"]
    assert names["state"] == ("__main__", str(script), folder, argv, folder, True)
    assert type(names["copy"]) is names["Kept"]


def test_everything_is_put_back_after_an_exception(tmp_path):
    write(tmp_path, "", "helper.py")
    script = write(tmp_path, "import helper, common.layers, sys\nsys.path.append('..')\nsys.argv = []\n1 / 0\n")
    with pytest.raises(ZeroDivisionError):
        book.run(script)


def test_text_in_other_encodings(tmp_path):
    path = tmp_path / "script.py"
    path.write_bytes("# coding: euc-kr\ntext = '바닥'\n".encode("euc-kr"))
    assert book.run(path)["text"] == "바닥"


# ---- the command ----


@pytest.mark.parametrize(
    ("text", "code", "shown"),
    [
        ("pass", 0, ""),
        ("import sys; sys.exit(3)", 3, ""),
        ("import sys; sys.exit('no more')", 1, "no more\n"),
        ("raise KeyboardInterrupt", 130, "KeyboardInterrupt"),
        ("x = (1,\n", 1, "SyntaxError"),
    ],
)
def test_exit_code(text, code, shown, tmp_path):
    done = command(write(tmp_path, text))
    assert done.returncode == code
    assert shown in done.stderr


def test_traceback_is_the_scripts_own(tmp_path):
    write(tmp_path, "def fail():\n    raise ValueError('from the helper')\n", "helper.py")
    done = command(write(tmp_path, "print('begun')\nfrom helper import fail\nfail()\n"))
    assert (done.returncode, done.stdout) == (1, "begun\n")
    frames = re.findall(r'File "(.*)", line (\d+)', done.stderr)
    assert frames == [(str(tmp_path / "script.py"), "3"), (str(tmp_path / "helper.py"), "2")]
    assert done.stderr.endswith("ValueError: from the helper\n")


def test_what_the_command_refuses(tmp_path):
    assert "usage" in command().stderr
    assert "usage" in command("--help").stdout
    missing = command(tmp_path / "nothing.py")
    assert missing.returncode == 2
    assert "there is no file" in missing.stderr
    wrong = command(write(tmp_path, "pass"), BADAK_BOOK_MAX_STEPS="-3")
    assert wrong.returncode == 2
    assert "BADAK_BOOK_MAX_STEPS must be a whole number above 0, got '-3'" in wrong.stderr


def test_path_of_a_program_has_its_folder_and_not_the_commands(tmp_path):
    write(tmp_path / "elsewhere", "", "helper.py")
    script = write(tmp_path / "ch01", "import sys\nprint(sys.path[0])\nimport helper\n")
    done = command(script, cwd=tmp_path / "elsewhere")
    assert done.stdout == f"{script.parent}\n"
    assert "No module named 'helper'" in done.stderr


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems have no DISPLAY to be without")
def test_plots_without_a_display_neither_stop_nor_warn(tmp_path):
    pytest.importorskip("matplotlib")
    text = (
        "import matplotlib, matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()\nprint(matplotlib.get_backend())\n"
    )
    done = command(write(tmp_path, text))
    assert (done.stdout.strip().lower(), done.stderr) == ("agg", "")
    assert command(write(tmp_path, text), MPLBACKEND="svg").stdout.strip().lower() == "svg"


# ---- the cap ----

COUNTED = """
class Net:
    params = {}
    def gradient(self, x, t): counts.append(label); return {}
    def update(self, params, grads): counts.append(label)
net, counts, label = Net(), [], None
"""


def capped(tmp_path, text, steps=5):
    names = book.run(write(tmp_path, COUNTED + text), max_steps=steps)
    assert Cap.name not in names
    return names


def test_plain_loops_are_cut(tmp_path):
    names = capped(tmp_path, "for i in range(10**9):\n    net.gradient(1, 2)\nelse:\n    done = True\n")
    assert (len(names["counts"]), names["i"], names["done"]) == (5, 4, True)


def test_loops_that_are_shorter_run_to_their_end(tmp_path):
    names = capped(tmp_path, "for i in range(3):\n    net.gradient(1, 2)\n")
    assert len(names["counts"]) == 3


def test_while_loops_are_cut(tmp_path):
    names = capped(tmp_path, "i = 0\nwhile i < 1000:\n    net.update({}, {})\n    i += 1\n    if i < 0: break\n")
    assert (len(names["counts"]), names["i"]) == (5, 5)


def test_nested_loops_share_their_steps(tmp_path):
    text = "for epoch in range(100):\n    for i in range(2):\n        net.gradient(1, 2)\nlast = epoch, i\n"
    assert len(capped(tmp_path, text)["counts"]) == 5


def test_a_loop_that_is_left_and_entered_again_has_all_steps_again(tmp_path):
    text = """
def train():
    for i in range(1000000000):
        for one in (net, net):
            one.gradient(1, 2)
        if i == 3: break
for label in "ab":
    train()
for label in ("c", "d"):
    for i in range(9): net.update(net.params, {})
"""
    counts = capped(tmp_path, text)["counts"]
    assert "".join(counts) == "a" * 8 + "b" * 8 + "c" * 5 + "d" * 5


def test_other_loops_are_not_cut(tmp_path):
    text = """
import numpy as np
table = {}
for i in range(20): table.update({i: np.gradient([1.0, 2.0])})
for i in range(20):
    def later(): net.gradient(1, 2)
for i in list("abcdefgh"): net.gradient(1, 2)
"""
    names = capped(tmp_path, text)
    assert len(names["table"]) == 20
    assert len(names["counts"]) == 8


def test_plots_go_as_far_as_the_training(tmp_path):
    text = """
class Axes:
    def plot(self, *args, **kwargs): return [len(part) for part in args], kwargs
losses = []
before = Axes().plot(range(9), [1], marker="o")
for i in range(100):
    net.gradient(1, 2); losses.append(1.0)
from common.util import smooth_curve
drawn = Axes().plot(range(100), smooth_curve(losses), marker="o")
"""
    names = capped(tmp_path, text)
    assert names["before"] == ([9, 1], {"marker": "o"})
    assert names["drawn"] == ([5, 5], {"marker": "o"})


def test_a_trainer_is_cut(scripts, capsys):
    script = scripts / "ch06/normalise_and_drop.py"
    with script.open("a") as file:
        file.write("class Axes:\n    def plot(self, x, y): return len(x), len(y)\n")
        file.write("drawn = Axes().plot(range(15), trainer.train_acc_list)\n")
    names = book.run(script, max_steps=4)
    assert len(names["trainer"].train_loss_list) == 4
    assert names["drawn"] == (2, 2)
    assert "Final Test Accuracy" in capsys.readouterr().out


def test_the_environment_sets_the_cap(scripts):
    done = command(scripts / "ch05/check_and_train.py", BADAK_BOOK_MAX_STEPS="7")
    assert "steps 7 " in done.stdout, done.stderr


# ---- notebooks ----


@pytest.fixture
def shell(tmp_path, monkeypatch):
    shells = pytest.importorskip("IPython.core.interactiveshell")
    config = pytest.importorskip("traitlets.config").Config()
    config.HistoryManager.enabled = False
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.chdir(tmp_path)
    hooks = sys.displayhook, sys.excepthook
    main, path, argv = sys.modules["__main__"], list(sys.path), sys.argv
    shell = shells.InteractiveShell(config=config)
    yield shell
    shell.run_line_magic("unload_ext", "badak.book")
    shell.restore_sys_module_state()
    sys.displayhook, sys.excepthook = hooks
    sys.modules["__main__"], sys.path[:], sys.argv = main, path, argv


def cell(shell, text):
    result = shell.run_cell(text)
    result.raise_error()
    return result.result


def test_notebook(shell, tmp_path, scripts, monkeypatch):
    monkeypatch.delenv("BADAK_BOOK_MAX_STEPS", raising=False)
    cell(shell, "%load_ext badak.book")
    cell(shell, f"import sys\nsys.path.insert(0, {str(scripts)!r})")
    cell(shell, "from common.layers import *\nfrom dataset.mnist import load_mnist")
    assert cell(shell, "Affine") is layers.Affine
    assert cell(shell, "__file__") == str(tmp_path / "notebook.ipynb")
    cell(shell, "%load_ext badak.book")  # once more does nothing
    cell(shell, "%unload_ext badak.book")
    assert "__file__" not in shell.user_ns
    with pytest.raises(ImportError, match="the decoy"):
        cell(shell, "import common")


def test_notebook_with_a_cap(shell, monkeypatch):
    monkeypatch.setenv("BADAK_BOOK_MAX_STEPS", "6")
    cell(shell, "%load_ext badak.book")
    cell(shell, COUNTED)
    cell(shell, "for i in range(100):\n    net.gradient(1, 2)")
    assert cell(shell, "len(counts)") == 6
    cell(shell, "%unload_ext badak.book")
    cell(shell, "for i in range(100):\n    net.gradient(1, 2)")
    assert cell(shell, "len(counts)") == 106


# ---- the comparison of a whole checkout (book_scripts.py) ----


def test_comparison_of_a_checkout(tmp_path):
    """Scripts that agree, differ, fail on one side, and a notebook; each training loop is cut."""
    softmax = "import numpy as np\ndef softmax(x):\n    e = np.exp(x - x.max())\n    return e / e.sum()\n"
    write(tmp_path / "common", softmax + "def sigmoid(x):\n    return 1 / (1 + np.exp(-x)) + 1e-3\n", "functions.py")
    write(tmp_path / "common", "raise ImportError('too old')", "util.py")
    head = "import os, sys\nsys.path.append(os.pardir)\nimport numpy as np\n"
    same = head + "from common.functions import softmax\nx = softmax(np.random.rand(4))\nprint(x, sum(x))\n"
    same += COUNTED + "for i in range(1000): net.update(net.params, {})\nprint(len(counts), 'steps')\n"
    write(tmp_path / "ch01", same, "same.py")
    write(tmp_path / "ch01", head + "from common.functions import sigmoid\ny = [sigmoid(0.0)]\n", "apart.py")
    write(tmp_path / "ch01", head + "from common.util import im2col\n", "old.py")
    cells = [{"cell_type": "markdown", "source": ["text"]}, {"cell_type": "code", "source": [same]}]
    write(tmp_path / "notebooks", json.dumps({"cells": cells}), "one.ipynb")

    harness = Path(__file__).parent / "book_scripts.py"
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(PACKAGE), os.environ.get("PYTHONPATH", "")])}
    args = [sys.executable, str(harness), str(tmp_path), "--max-steps", "3"]
    done = subprocess.run(args, env=env, capture_output=True, encoding="utf-8", timeout=60)
    verdicts = dict(re.findall(r"^(\S+\.\w+) +(agrees|DIFFERS|ONLY HERE|FAILS|BOTH FAIL) ", done.stdout, re.MULTILINE))
    assert verdicts == {
        "ch01/apart.py": "DIFFERS",
        "ch01/old.py": "ONLY HERE",
        "ch01/same.py": "agrees",
        "notebooks/one.ipynb": "agrees",
    }, done.stdout
    assert "y: apart by 0.001" in done.stdout
    assert "in NumPy: ImportError: too old (util.py:1)" in done.stdout
    assert done.returncode == 1
