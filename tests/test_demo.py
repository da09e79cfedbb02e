import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import badak as bd
from badak import demo
from badak.__main__ import main

COMMAND = [sys.executable, "-m", "badak"]
SECONDS = 20  # for the whole demo


def badak(*args, cwd, **env):
    """The finished process of the command, run as a user would."""
    return subprocess.run(
        [*COMMAND, *args],
        cwd=cwd,
        env=os.environ | env,
        capture_output=True,
        text=True,
        encoding=env.get("PYTHONIOENCODING", "utf-8"),
        timeout=300,
        check=False,
    )


def utf8(*args, cwd, **env):
    return badak(*args, cwd=cwd, PYTHONIOENCODING="utf-8", **env)


def tables(output):
    """The gradient tables of the output, each a dict of a name's further cells."""
    found = []
    for line in output.splitlines():
        if line.startswith("gradient of"):
            found.append({})
        cells = re.split(r"  +", line)
        if found and cells[0] in ("W1", "b1", "W2", "b2", "x") and len(cells) > 5:
            found[-1][cells[0]] = cells[1:]
    return found


def without_matplotlib(folder):
    """A PYTHONPATH on which matplotlib cannot be imported."""
    folder.mkdir()
    (folder / "matplotlib.py").write_text("raise ImportError('not for this test')\n")
    return os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])


# -- demo -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_demo_from_end_to_end(tmp_path):
    before = os.times()
    done = utf8("demo", cwd=tmp_path)
    seconds = os.times().children_user - before.children_user  # of its own: others may be using this machine
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert re.search(r"^test accuracy 0\.9[67]\d\d$", done.stdout, re.MULTILINE)

    before, after = tables(done.stdout)
    for table in (before, after):
        assert {name: cells[1] for name, cells in table.items()} == dict.fromkeys(("W1", "b1", "W2", "b2", "x"), "PASS")
    assert before["W1"][0] == "(784, 50)" and before["b2"][2] == "10/10"
    assert len(re.findall(r"^epoch \d+/10 100%  loss 0\.\d+  accuracy 0\.\d+", done.stdout, re.MULTILINE)) == 10

    assert done.stdout.endswith("picture: demo.png\n")
    assert [file.name for file in tmp_path.iterdir()] == ["demo.png"]
    assert_is_the_picture(tmp_path / "demo.png")
    if bd.cpu_info()["isa"] != "generic":
        assert seconds < SECONDS


def assert_is_the_picture(path):
    from matplotlib.image import imread

    picture = imread(path)
    # inches times dots per inch: some versions of matplotlib round down
    assert np.abs(np.subtract(picture.shape[:2], (demo.HEIGHT, demo.WIDTH))).max() <= 1
    assert path.stat().st_size < 400_000  # 0.28 MB here; compression differs a little between versions
    colours = np.unique((picture[..., :3] * 255).astype(np.uint8).reshape(-1, 3), axis=0)
    assert len(colours) > 500
    for part in (np.s_[100:440, :650], np.s_[450:, :650], np.s_[100:540, 680:], np.s_[560:, 680:]):
        dark = picture[part][..., :3].min(axis=-1) < 0.7
        assert 0.02 < dark.mean() < 0.6


def test_a_short_training_is_not_ok(tmp_path):
    done = utf8("demo", "--epochs", "1", "--seed", "3", "--out", "a picture.PNG", cwd=tmp_path)
    accuracy = float(re.search(r"^test accuracy (0\.\d{4})$", done.stdout, re.MULTILINE)[1])
    assert 0.9 < accuracy < demo.LEAST_ACCURACY
    assert done.returncode == 1
    assert "NOT OK: the test accuracy is below 0.965" in done.stdout
    assert "a gradient" not in done.stdout
    assert "picture: a picture.PNG" in done.stdout
    assert done.stderr == ""
    assert_is_the_picture(tmp_path / "a picture.PNG")


def test_no_picture_needs_no_matplotlib_and_no_unicode(tmp_path):
    path = without_matplotlib(tmp_path / "path")
    done = badak("demo", "--epochs", "1", "--no-picture", cwd=tmp_path, PYTHONPATH=path, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (1, "")
    assert len(tables(done.stdout)) == 2
    assert "picture" not in done.stdout.lower()
    assert not list(tmp_path.glob("*.png"))


def test_without_matplotlib_everything_else_runs(tmp_path):
    path = without_matplotlib(tmp_path / "path")
    done = utf8("demo", "--epochs", "1", cwd=tmp_path, PYTHONPATH=path)
    assert done.stderr == ""
    assert "test accuracy 0.9" in done.stdout
    assert "No picture: drawing needs matplotlib: pip install badak[plot]" in done.stdout
    assert not list(tmp_path.glob("*.png"))


def test_verdict(capsys):
    assert demo.verdict(True, 0.965) == 0
    assert capsys.readouterr().out == ""
    assert demo.verdict(True, 0.9649) == 1
    assert "test accuracy" in capsys.readouterr().out
    assert demo.verdict(False, 0.99) == 1
    assert "gradient" in capsys.readouterr().out


def test_a_picture_that_cannot_be_written_is_told(tmp_path, capsys, monkeypatch):
    from matplotlib.figure import Figure

    monkeypatch.setattr(demo, "picture", lambda *args: Figure())
    demo.draw(str(tmp_path / "gone" / "demo.png"), *[None] * 7)
    assert "No picture: " in capsys.readouterr().out


def test_the_same_seed_gives_the_same_net():
    x = np.random.default_rng(1).random((200, 784), dtype=np.float32)
    t = np.arange(200) % 10
    nets = [demo.make_net(5), demo.make_net(5), demo.make_net(6)]
    for net in nets:
        net.fit(x, t, epochs=1, progress=False)
    assert (nets[0].params["W1"] == nets[1].params["W1"]).all()
    assert (nets[0].params["W1"] != nets[2].params["W1"]).any()


def test_hardest_are_those_of_each_digit_with_least_probability():
    net = demo.make_net(1)
    x = np.random.default_rng(1).random((100, 784), dtype=np.float32)
    t = np.arange(100) % 10
    which = demo.hardest(net, x, t)
    np.testing.assert_array_equal(t[which], np.repeat(np.arange(10), demo.HARDEST))
    p = demo.probabilities(net, x)
    for digit in range(10):
        of_digit = np.sort(p[t == digit, digit])
        np.testing.assert_array_equal(p[which[t[which] == digit], digit], of_digit[: demo.HARDEST])


@pytest.mark.skipif(os.name == "nt", reason="no SIGINT to a child")
def test_ctrl_c_ends_it_quietly(tmp_path):
    process = subprocess.Popen(
        [*COMMAND, "demo", "--epochs", "100000"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONIOENCODING": "utf-8"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # where Ctrl-C is ignored, a child ignores it
    )
    for line in process.stdout:
        if line.startswith("Training"):
            break
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == ""
    assert "test accuracy" not in out


# -- the command ------------------------------------------------------------------------------


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"badak {bd.__version__}\n"


def test_info(capsys):
    assert main(["info"]) == 0
    rows = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert rows["badak"] == bd.__version__
    assert rows["NumPy"] == np.__version__
    assert rows["Python"] == ".".join(map(str, sys.version_info[:3]))
    assert rows["kernels"].startswith(bd.cpu_info()["isa"])
    assert "generic" in rows["kernels"]
    assert os.path.isfile(os.path.join(rows["MNIST"], "train-images-idx3-ubyte.gz"))


def test_info_names_the_kernels_that_were_asked_for(tmp_path):
    done = utf8("info", cwd=tmp_path, BADAK_ISA="generic")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"^kernels +generic \(", done.stdout, re.MULTILINE)


def test_no_command_gives_help(capsys):
    assert main([]) == 2
    assert "demo" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["nonsense"], "invalid choice: 'nonsense'"),
        (["info", "more"], "unrecognized arguments: more"),
        (["demo", "--epochs", "0"], "0 is not from 1 to"),
        (["demo", "--epochs", "ten"], "'ten' is not a whole number"),
        (["demo", "--seed", "-1"], "-1 is not from 0 to"),
        (["demo", "--seed", str(2**64)], "is not from 0 to"),
        (["demo", "--out", "demo.jpg"], "'demo.jpg' does not end in .png"),
        (["demo", "--out", "no/such/folder/demo.png"], "there is no folder 'no/such/folder'"),
    ],
)
def test_bad_arguments_are_refused_before_anything_runs(argv, message, capsys):
    with pytest.raises(SystemExit) as stop:
        main(argv)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_a_folder_is_no_picture(tmp_path, capsys):
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(SystemExit) as stop:
        main(["demo", "--out", str(tmp_path / "folder.png")])
    assert stop.value.code == 2
    assert "is a folder" in capsys.readouterr().err


def test_arguments_reach_the_demo(monkeypatch):
    seen = []
    monkeypatch.setattr(demo, "run", lambda out, **options: seen.append((out, options)) or 0)
    assert main(["demo"]) == 0
    assert main(["demo", "--out", "x.png", "--epochs", "3", "--seed", "7"]) == 0
    assert main(["demo", "--no-picture"]) == 0
    assert seen == [
        ("demo.png", {"epochs": demo.EPOCHS, "seed": 0}),
        ("x.png", {"epochs": 3, "seed": 7}),
        (None, {"epochs": demo.EPOCHS, "seed": 0}),
    ]


def test_a_reader_that_goes_away_is_no_traceback(tmp_path):
    process = subprocess.Popen(
        [*COMMAND, "demo", "--epochs", "1", "--no-picture"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONIOENCODING": "utf-8"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.readline()
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) == 1
    assert err == b""
