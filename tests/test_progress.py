"""How a fit says how far it is: in a real terminal, in a log, in a running notebook."""

import os
import re
import subprocess
import sys

import pytest

import badak as bd

TRAINING = """
import numpy as np, badak as bd
x, t = np.random.default_rng(0).normal(size=(3000, 20)), np.arange(3000) % 3
net = bd.Net([bd.Affine(units=300), bd.Relu(), bd.Affine(units=3)], loss=bd.SoftmaxWithLoss(), input_shape=20, seed=1)
history = net.fit(x, t, epochs=EPOCHS, validation=(x[:100], t[:100]))
"""


def environment():
    package = os.path.dirname(os.path.dirname(bd.__file__))
    return {**os.environ, "PYTHONPATH": os.pathsep.join([package, *filter(None, sys.path)]), "PYTHONHASHSEED": "0"}


def in_a_terminal(code, columns):
    """What a process writes to a terminal of so many columns."""
    import fcntl
    import pty
    import struct
    import termios

    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))
    variables = {name: value for name, value in environment().items() if name not in ("COLUMNS", "LINES")}
    process = subprocess.Popen([sys.executable, "-c", code], stdin=its, stdout=its, stderr=its, env=variables)
    os.close(its)
    written = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        written += part
    os.close(ours)
    assert process.wait() == 0, written.decode()
    return written.decode()


@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals")
@pytest.mark.parametrize("columns", [200, 100, 80, 60, 40, 20])
def test_one_line_in_a_terminal_of_any_width(columns):
    """A line that is wider than the terminal cannot be redrawn: each redrawing would leave a part of it standing."""
    written = in_a_terminal(TRAINING.replace("EPOCHS", "3") + "print('after')", columns)
    drawn, after = written.split("\r\n", 1)
    assert after == "after\r\n"
    lines = [line.removesuffix("\x1b[K") for line in drawn.split("\r")[1:]]
    assert len(lines) >= 3
    assert max(map(len, lines)) < columns
    assert lines[-1].lstrip("[#] ").startswith("epoch 3/3 100%"[: columns - 1])
    if columns >= 80:
        assert re.search(r"loss \d\.\d{4}  accuracy \d\.\d{4} .*validation accuracy \d\.\d{4}$", lines[-1])
    if columns >= 100:
        assert lines[-1].startswith("[####################] ") == (columns == 200)


def test_lines_in_a_log():
    code = TRAINING.replace("EPOCHS", "25")
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment())
    assert found.returncode == 0, found.stderr
    lines = found.stdout.splitlines()
    assert len(lines) == 9  # of every third epoch, and the last
    assert lines[-1].startswith("epoch 25/25 100%  loss ")
    assert "\r" not in found.stdout
    assert "\x1b" not in found.stdout


@pytest.mark.slow
def test_one_bar_in_a_running_notebook():
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    cells = [nbformat.v4.new_code_cell(text) for text in (TRAINING.replace("EPOCHS", "3"), "net", "history")]
    notebook = nbformat.v4.new_notebook(cells=cells)
    nbclient.NotebookClient(notebook, timeout=120).execute(env=environment())
    training, net, history = (cell.outputs for cell in notebook.cells)
    assert [output.output_type for output in training] == ["display_data"]  # one, redrawn in its place; no text
    assert training[0].data["text/html"].startswith('<progress value="1.0000" max="1"')
    assert "epoch 3/3 100%" in training[0].data["text/html"]
    assert net[0].data["text/html"].startswith("<table>")
    assert history[0].data["text/plain"].startswith("History(3 epochs: loss ")
