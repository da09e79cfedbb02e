"""A net in a file: training goes on bit for bit, no damage passes, no file is half-written."""

import copy
import errno
import io
import itertools
import json
import os
import pathlib
import pickle
import random
import signal
import stat
import subprocess
import sys
import tempfile
import time
import warnings

import numpy as np
import pytest

import badak as bd
from badak import checkpoint

GOLDEN = pathlib.Path(__file__).parent / "golden"


class Scale(bd.Layer):
    """A Python layer with a parameter and an argument."""

    def __init__(self, start=1.0, units=8):
        self.start = start
        self.params["scale"] = np.full(units, start)

    def forward(self, x):
        self.x = x
        return x * self.params["scale"]

    def backward(self, dout):
        self.grads["scale"] = (dout * self.x).sum(axis=0)
        return dout * self.params["scale"]

    def config(self):
        return {"start": self.start}


def images():
    return bd.Net(
        [
            bd.Convolution(filters=3, size=(3, 2), pad=1, stride=1, init=0.2),
            bd.BatchNormalization(axis="channel", momentum=0.8),
            bd.Relu(),
            bd.Pooling(2, 2, mean=True),
            bd.Residual([bd.BatchNormalization(), bd.Residual([bd.Tanh()]), bd.LeakyRelu(0.2)]),
            bd.Flatten(),
            bd.Dropout(0.3, inverted=True),
            bd.Affine(units=8, init="xavier"),
            bd.Sigmoid(),
            bd.Affine(units=3),
        ],
        loss=bd.SoftmaxWithLoss(eps=1e-7),
        input_shape=(1, 5, 5),
        seed=2**64 - 1,
    )


def mlp(dtype="float32", *middle):
    return bd.Net(
        [bd.Affine(units=8), *middle, bd.Affine(units=3)],
        loss=bd.SoftmaxWithLoss(), input_shape=25, dtype=dtype, seed=3,
    )  # fmt: skip


NETS = {
    "images": images,
    "float64": lambda: mlp("float64"),
    "python": lambda: mlp("float32", Scale(), bd.Residual([Scale(0.5), bd.Relu()])),
    "given arrays": lambda: bd.Net(
        [bd.Affine(np.ones((25, 3)), np.zeros(3))], loss=bd.SoftmaxWithLoss(), input_shape=25
    ),
    "without parameters": lambda: bd.Net([bd.Tanh()], loss=bd.IdentityWithLoss(), input_shape=25),
    "yes or no": lambda: bd.Net([bd.Affine(units=1)], loss=bd.SigmoidWithLoss(), input_shape=25),
}
OPTIMIZERS = [bd.SGD, bd.Momentum, bd.Nesterov, bd.AdaGrad, bd.RMSprop, bd.Adam]
CUSTOM = {"Scale": Scale}


def data_for(net, n=20):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, *net.input_shape))
    if isinstance(net.loss_layer, bd.IdentityWithLoss):
        return x, rng.normal(size=(n, 25))
    return x, rng.integers(0, 3, n) if isinstance(net.loss_layer, bd.SoftmaxWithLoss) else rng.integers(0, 2, n)


def state(net):
    arrays = {**net.params, **{"buffers." + name: array for name, array in net.buffers.items()}}
    if net.optimizer is not None:
        for part, of in net.optimizer.state.items():
            arrays |= {f"{part}.{name}": array for name, array in of.items()}
    found = {name: (array.dtype, array.shape, array.tobytes()) for name, array in arrays.items()}
    return found, net._core.updates, net._core.rng, net.seed, net.dtype, repr(net)[:100], repr(net.optimizer)


def by_file(net, tmp_path):
    net.save(tmp_path / "net.safetensors")
    return bd.load(tmp_path / "net.safetensors", custom=CUSTOM)


COPIES = {
    "file": by_file,
    "pickle": lambda net, _: pickle.loads(pickle.dumps(net)),
    "deepcopy": lambda net, _: copy.deepcopy(net),
}

# ---- It goes on ----


@pytest.mark.parametrize("way", COPIES)
@pytest.mark.parametrize("name", NETS)
def test_training_goes_on_bit_for_bit(name, way, tmp_path):
    """Mid-schedule, with dropout, batch norm, Python layers, and an optimiser that keeps a state."""
    if way == "pickle" and name == "python":
        sys.modules.setdefault(Scale.__module__, sys.modules[__name__])
    net = NETS[name]()
    x, t = data_for(net)
    options = {"batch_size": 6, "schedule": bd.CosineDecay(40), "weight_decay": 0.01, "progress": False}
    assert state(COPIES[way](net, tmp_path)) == state(net)  # before any training as well
    net.fit(x, t, epochs=3, optimizer=bd.Adam(lr=0.01), **options)
    before = state(net)
    twin = COPIES[way](net, tmp_path)
    assert state(net) == state(twin) == before
    np.testing.assert_array_equal(net.predict(x), twin.predict(x))
    histories = [n.fit(x, t, epochs=3, **options) for n in (net, twin)]
    assert histories[0].step_loss == histories[1].step_loss
    assert state(net) == state(twin) != before


@pytest.mark.parametrize("way", COPIES)
@pytest.mark.parametrize("make_optimizer", OPTIMIZERS)
def test_every_optimizer_goes_on(make_optimizer, way, tmp_path):
    net = mlp()
    x, t = data_for(net)
    net.train_step(x, t, make_optimizer(lr=0.0123))
    twin = COPIES[way](net, tmp_path)
    for n in (net, twin):
        n.train_step(x, t)
    assert state(net) == state(twin)
    assert twin.optimizer is not net.optimizer
    assert twin.optimizer.iter == 2


def test_copies_share_nothing(tmp_path):
    net = NETS["python"]()
    x, t = data_for(net)
    net.train_step(x, t, bd.Adam())
    for way in COPIES.values():
        twin = way(net, tmp_path)
        before = state(net)
        twin.fit(x, t, epochs=1, progress=False)
        twin.params["W1"][...] = 0
        assert state(net) == before


def test_layers_and_optimizers_can_be_copied():
    for layer in (bd.Affine(np.ones((2, 3)), np.zeros(3)), Scale(2.0, 2), bd.Residual([bd.Tanh()]), bd.Dropout(0.2)):
        for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
            assert repr(twin) == repr(layer)
            for name, array in layer.params.items():
                assert twin.params[name] is not array
                np.testing.assert_array_equal(twin.params[name], array)
    net = mlp()
    net.train_step(*data_for(net), bd.Adam())
    for twin in (copy.deepcopy(net.optimizer), pickle.loads(pickle.dumps(net.optimizer))):
        assert (twin.iter, repr(twin)) == (1, repr(net.optimizer))
        np.testing.assert_array_equal(twin.m["W1"], net.optimizer.m["W1"])
        assert not np.shares_memory(twin.m["W1"], net.optimizer.m["W1"])
        with pytest.raises(ValueError, match="holds the state of other parameters"):
            mlp().train_step(*data_for(net), twin)


@pytest.mark.parametrize(
    "broken",
    [
        lambda s: (),
        lambda s: None,
        lambda s: {},
        lambda s: s | {"arguments": ()},
        lambda s: s | {"arguments": None},
        lambda s: s | {"params": {"W1": np.zeros(3)}},
        lambda s: s | {"params": {name: array[:1] for name, array in s["params"].items()}},
        lambda s: s | {"state": []},
        lambda s: s | {"rng": "ab"},
        lambda s: s | {"optimizer": (dict, {})},
        lambda s: s | {"more": 1},
    ],
)
def test_a_crafted_state_is_an_error(broken):  # B155
    net = mlp()
    net.train_step(*data_for(net), bd.Adam())
    good = net.__getstate__()
    with pytest.raises((TypeError, ValueError, KeyError, AttributeError)):
        bd.Net.__new__(bd.Net).__setstate__(broken(good))


def test_a_net_that_is_running_is_not_copied_half_way():  # B156
    """Between steps, in a callback, it may be; inside a Python layer's call it may not."""
    found = []

    class Saves(bd.Layer):
        def forward(self, x):
            if self.net is not None:
                with pytest.raises(RuntimeError, match="in use"):
                    copy.deepcopy(self.net)
                with pytest.raises(RuntimeError, match="in use"):
                    self.net.save("never")
            return x

        net = None

        def backward(self, dout):
            return dout

    layer = Saves()
    net = mlp("float32", layer)
    layer.net = net
    x, t = data_for(net)
    net.predict(x)
    layer.net = None
    net.fit(x, t, epochs=2, callbacks=[lambda n, e: found.append(copy.deepcopy(n))], progress=False)
    assert len(found) == 2
    assert state(found[1]) == state(net)
    assert not os.path.exists("never")


# ---- The format ----


@pytest.mark.parametrize("name", NETS)
def test_safetensors_reads_what_we_write(name, tmp_path):
    safetensors = pytest.importorskip("safetensors")
    from safetensors.numpy import load_file

    net = NETS[name]()
    net.fit(*data_for(net), epochs=1, progress=False)
    net.save(tmp_path / "n")
    found = load_file(tmp_path / "n")
    expected = checkpoint._arrays(net)
    assert set(found) == set(expected)
    for key, array in expected.items():
        assert found[key].dtype == array.dtype
        np.testing.assert_array_equal(found[key], array)
    with safetensors.safe_open(tmp_path / "n", "np") as file:
        assert file.metadata()["format"] == "badak"


def test_we_read_what_safetensors_writes(tmp_path):
    """Tensors alone are no net: the message says how they come into one, and they do."""
    pytest.importorskip("safetensors")
    from safetensors.numpy import load_file, save_file

    net = mlp()
    net.save(tmp_path / "n")
    save_file(load_file(tmp_path / "n"), tmp_path / "other")
    way = r"holds tensors \(W1, W2, b1, b2\), but no net.*load_file\(path\).*net.params\[name\] = array"
    with pytest.raises(bd.FormatError, match=way):
        bd.load(tmp_path / "other")
    other = mlp()
    for name, array in load_file(tmp_path / "other").items():
        other.params[name][...] = 0
        other.params[name] = array
    assert state(other) == state(net)


def test_the_golden_file_loads_for_ever():
    expected = json.loads((GOLDEN / "net-1.json").read_text())
    net = bd.load(GOLDEN / "net-1.safetensors")
    x = np.linspace(-1, 1, 96).reshape(6, 1, 4, 4)
    np.testing.assert_allclose(net.predict(x), expected["predictions"], rtol=1e-5, atol=1e-6)
    assert net.optimizer.iter == expected["updates"] == 10
    assert repr(net.optimizer) == "Adam(lr=0.01, beta1=0.9, beta2=0.999, eps=1e-07)"
    assert len(net.fit(x, np.arange(6) % 3, epochs=1, progress=False).loss) == 1


def test_the_same_net_is_the_same_file(tmp_path):
    net = images()
    net.save(tmp_path / "a")
    net.save(str(tmp_path / "b"))
    bd.load(os.fsencode(tmp_path / "a")).save(os.fsencode(tmp_path / "c"))
    files = [(tmp_path / name).read_bytes() for name in "abc"]
    assert files[0] == files[1] == files[2]
    net.save(tmp_path / "a")  # to where it came from
    assert (tmp_path / "a").read_bytes() == files[0]


def test_nan_in_weights_loads(tmp_path):  # B150
    net = mlp()
    net.params["W1"][0, 0] = np.nan
    net.save(tmp_path / "n")
    assert np.isnan(bd.load(tmp_path / "n").params["W1"][0, 0])


# ---- Python layers ----


def test_python_layers_are_named_by_the_caller(tmp_path):  # B149
    net = mlp("float32", Scale(0.5))
    net.save(tmp_path / "n")
    with pytest.raises(ValueError, match=r"a Python layer 'Scale': pass custom=\{'Scale'"):
        bd.load(tmp_path / "n")
    mlp("float32", bd.Residual([Scale()])).save(tmp_path / "inside")
    with pytest.raises(ValueError, match=r"^this net has a Python layer 'Scale': pass custom=\{'Scale'") as caught:
        bd.load(tmp_path / "inside")
    assert not isinstance(caught.value, bd.FormatError)
    loaded = bd.load(tmp_path / "n", custom={"Scale": lambda start: Scale(2 * start)})
    assert loaded.layers[1].start == 1.0
    np.testing.assert_array_equal(loaded.layers[1].params["scale"], 0.5)
    assert loaded.params["scale1"] is loaded.layers[1].params["scale"]
    with pytest.raises(ValueError, match=r"scale1 is \(8,\) in the file, \(5,\) in the net|shape"):
        bd.load(tmp_path / "n", custom={"Scale": lambda start: Scale(start, 5)})
    with pytest.raises(TypeError, match="must return a badak layer"):
        bd.load(tmp_path / "n", custom={"Scale": lambda start: None})
    with pytest.raises(ValueError, match=r"scale1 is \(8,\) in the file, not there in the net") as caught:
        bd.load(tmp_path / "n", custom={"Scale": lambda start: bd.Relu()})
    assert not isinstance(caught.value, bd.FormatError)  # the file is fine
    with pytest.raises(TypeError, match=r"custom\['Scale'\]\(start=0.5\): .*'start'.*config\(\)"):
        bd.load(tmp_path / "n", custom={"Scale": lambda begin: Scale(begin)})
    with pytest.raises(ZeroDivisionError):
        bd.load(tmp_path / "n", custom={"Scale": lambda start: 1 / 0})
    for custom in ([], {"Scale": 1}, "Scale"):
        with pytest.raises(TypeError, match="custom must be a dict"):
            bd.load(tmp_path / "n", custom=custom)


def test_a_config_that_is_no_json_is_refused(tmp_path):
    layer = Scale()
    layer.start = np.ones(3)
    with pytest.raises(TypeError, match=r"config\(\) of a Python layer must return JSON's types"):
        mlp("float32", layer).save(tmp_path / "n")
    layer.start = np.nan
    with pytest.raises(ValueError, match=r"config\(\) of a Python layer must return .* finite numbers"):
        mlp("float32", layer).save(tmp_path / "n")
    layer.start = [layer.start]
    layer.start.append(layer.start)
    with pytest.raises(ValueError, match=r"config\(\) of a Python layer must return"):
        mlp("float32", layer).save(tmp_path / "n")
    assert list(tmp_path.iterdir()) == []


# ---- Files ----

needs_posix = pytest.mark.skipif(os.name != "posix", reason="POSIX files")


@needs_posix
def test_paths_that_are_no_files(tmp_path):  # B133 B154
    net = mlp()
    os.mkfifo(tmp_path / "fifo")
    for path, error in [
        (tmp_path, IsADirectoryError),
        (tmp_path / "fifo", ValueError),
        ("/dev/zero", ValueError),
        (3, TypeError),
        (None, TypeError),
        ("a\0b", ValueError),
        ("\ud800", ValueError),
        (str(tmp_path / ("x" * 5000)), OSError),
        (str(tmp_path / "new") + os.sep, OSError),
        ("", OSError),
    ]:
        with pytest.raises(error):
            bd.load(path)
        with pytest.raises(error):
            net.save(path)
    with pytest.raises(FileNotFoundError):
        bd.load(tmp_path / "missing")
    with pytest.raises(FileNotFoundError):
        net.save(tmp_path / "missing" / "n")
    assert os.listdir(tmp_path) == ["fifo"]


@needs_posix
def test_mode_and_link_are_kept(tmp_path):  # F19 F20
    net = mlp()
    net.save(tmp_path / "n")
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE((tmp_path / "n").stat().st_mode) == 0o666 & ~umask
    (tmp_path / "n").chmod(0o640)
    (tmp_path / "link").symlink_to("n")
    net.save(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert stat.S_IMODE((tmp_path / "n").stat().st_mode) == 0o640
    assert sorted(os.listdir(tmp_path)) == ["link", "n"]


@pytest.mark.parametrize("call", ["write", "fsync", "replace", "open", "chmod"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), MemoryError(), KeyboardInterrupt()])
def test_a_save_that_fails_leaves_the_old_file(call, error, tmp_path, monkeypatch):
    old, new = mlp(), mlp("float64")
    old.save(tmp_path / "n")
    before, (x, t) = (tmp_path / "n").read_bytes(), data_for(new)

    def fail(*arguments, **options):
        raise error

    with monkeypatch.context() as patch:
        if call == "write":
            patch.setattr(checkpoint, "_pieces", lambda array, kept=checkpoint._pieces, count=[0]: (
                fail() if count.__setitem__(0, count[0] + 1) or count[0] > 5 else kept(array)))  # fmt: skip
        else:
            patch.setattr(os, call, fail)
        with pytest.raises(type(error)):
            new.save(tmp_path / "n")
    assert (tmp_path / "n").read_bytes() == before
    assert os.listdir(tmp_path) == ["n"]
    new.train_step(x, t, bd.SGD())  # it can be used
    new.save(tmp_path / "n")
    assert bd.load(tmp_path / "n").dtype == np.float64


@needs_posix
def test_what_may_not_be_read_or_written():  # B133
    """To the owner of the machine nothing is forbidden, so a process of its own gives that up."""
    code = """
import os, sys, badak as bd
net = bd.Net([bd.Affine(units=2)], loss=bd.SoftmaxWithLoss(), input_shape=2, seed=1)
folder = sys.argv[1]
net.save(folder + "/n")
os.chmod(folder + "/n", 0)
os.chmod(folder, 0o555)
if os.geteuid() == 0:
    os.setuid(65534)
for call in (lambda: bd.load(folder + "/n"), lambda: net.save(folder + "/n"), lambda: net.save(folder + "/new")):
    try:
        call()
    except PermissionError as error:
        print(error.filename is not None)
"""
    with tempfile.TemporaryDirectory() as folder:
        found = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, env=environment())
        assert found.stdout == "True\n" * 3, found.stderr
        assert os.listdir(folder) == ["n"]


@needs_posix
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS, errno.EXDEV])
@pytest.mark.parametrize("call", ["open", "fsync", "chmod", "replace", "listdir", "close"])
def test_every_call_of_the_system_may_fail(call, number, tmp_path, monkeypatch):  # F09
    """The n-th of each kind: the error passes, the file is the old one or, once it has its name, the new one."""
    old, new = mlp(), mlp("float64")
    new.save(tmp_path / "n")
    after = (tmp_path / "n").read_bytes()
    old.save(tmp_path / "n")
    before = (tmp_path / "n").read_bytes()
    kept = getattr(os, call)
    for nth in itertools.count(1):
        count = itertools.count(1)

        def fails(*arguments, count=count, nth=nth, **options):
            if next(count) == nth:
                if call == "close":
                    kept(*arguments)
                raise OSError(number, "mine")
            return kept(*arguments, **options)

        with monkeypatch.context() as patch:
            patch.setattr(os, call, fails)
            try:
                new.save(tmp_path / "n")
            except OSError as error:
                assert error.errno == number
                assert (tmp_path / "n").read_bytes() == (after if nth > 1 or call == "close" else before)
            else:
                break
        assert os.listdir(tmp_path) == ["n"]
        old.save(tmp_path / "n")
    assert nth == {"open": 3, "fsync": 3}.get(call, 2)  # the file, then its folder


class Slow(io.FileIO):
    """Writes one byte at a time, and none beyond a limit."""

    limit = 10**9

    def write(self, data):
        if self.tell() >= self.limit:
            raise OSError(errno.EIO, "mine")
        return super().write(memoryview(data)[:1])


@pytest.mark.parametrize("limit", [10**9, 0, 1, 8, 100, 1000, 1500])
def test_writes_may_be_short_or_fail_at_any_byte(limit, tmp_path, monkeypatch):  # F09 F10
    old, new = bd.Net([bd.Tanh()], loss=bd.IdentityWithLoss(), input_shape=2, seed=1), mlp()
    old.save(tmp_path / "n")
    before = (tmp_path / "n").read_bytes()

    def slow(handle, mode, buffering):
        file = Slow(handle, mode)
        file.limit = limit
        return io.BufferedWriter(file)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdopen", slow)
        if limit < 10**9:
            with pytest.raises(OSError, match="mine"):
                new.save(tmp_path / "n")
        else:
            new.save(tmp_path / "n")
    assert os.listdir(tmp_path) == ["n"]
    assert ((tmp_path / "n").read_bytes() == before) == (limit < 10**9)
    assert state(bd.load(tmp_path / "n")) == state(old if limit < 10**9 else new)


def test_a_second_error_while_the_first_is_handled(tmp_path, monkeypatch):  # F64
    """Both are told, and the old file stands; what could not be removed goes when a later process saves."""
    net = mlp()
    net.save(tmp_path / "n")
    before = (tmp_path / "n").read_bytes()

    def full(*arguments):
        raise OSError(errno.ENOSPC, "mine")

    def no_memory(*arguments):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        patch.setattr(os, "unlink", no_memory)
        with pytest.raises(MemoryError) as caught:
            net.save(tmp_path / "n")
    assert caught.value.__context__.errno == errno.ENOSPC
    assert (tmp_path / "n").read_bytes() == before
    net.save(tmp_path / "n")
    assert (tmp_path / "n").read_bytes() == before


@needs_posix
def test_the_order_that_makes_a_save_last(tmp_path, monkeypatch):  # F16
    """Numbers on the disk before the name, the name before the call returns."""
    calls = []
    for name in ("fsync", "replace"):
        kept = getattr(os, name)

        def noted(*arguments, name=name, kept=kept):
            isdir = name == "fsync" and stat.S_ISDIR(os.fstat(arguments[0]).st_mode)
            calls.append((name, os.stat(arguments[0]).st_size if name == "replace" else isdir))
            return kept(*arguments)

        monkeypatch.setattr(os, name, noted)
    mlp().save(tmp_path / "n")
    assert calls == [("fsync", False), ("replace", (tmp_path / "n").stat().st_size), ("fsync", True)]


@needs_posix
def test_killed_before_the_file_has_its_name(tmp_path):  # F15
    code = SAVING.replace("while True", "import os; os.replace = lambda *names: os.kill(os.getpid(), 9)\nwhile True")
    net = mlp()
    net.save(tmp_path / "n")
    before = (tmp_path / "n").read_bytes()
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path / "n")], env=environment(), capture_output=True)
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / "n").read_bytes() == before
    assert len(os.listdir(tmp_path)) == 2
    net.save(tmp_path / "n")
    assert os.listdir(tmp_path) == ["n"]


@pytest.mark.skipif(sys.platform != "linux", reason="mounts")
def test_a_full_disk(tmp_path):  # F11
    code = """
import os, sys, badak as bd
os.chdir(sys.argv[1])
small, large = [bd.Net([bd.Affine(units=n)], loss=bd.SoftmaxWithLoss(), input_shape=50, seed=1) for n in (2, 1000)]
small.save("n")
before = open("n", "rb").read()
try:
    large.save("n")
except OSError as error:
    print(error.errno, os.listdir("."), open("n", "rb").read() == before)
"""
    mount = 'mount -t tmpfs -o size=64k none "$2" || exit 77; exec "$0" -c "$1" "$2"'
    found = subprocess.run(
        ["unshare", "-m", "sh", "-c", mount, sys.executable, code, str(tmp_path)],
        capture_output=True, text=True, env=environment(),
    )  # fmt: skip
    if found.returncode in (1, 77):
        pytest.skip("may not mount a small disk")
    assert found.stdout == f"{errno.ENOSPC} ['n'] True\n", found.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="limits")
def test_a_file_that_may_not_grow(tmp_path):  # F12
    code = f"""
import resource, signal, os
import badak as bd
net = bd.Net([bd.Affine(units=500)], loss=bd.SoftmaxWithLoss(), input_shape=500, seed=1)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    net.save({str(tmp_path / "n")!r})
except OSError as error:
    print(error.errno, os.listdir({str(tmp_path)!r}))
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment())
    assert found.stdout == "27 []\n", found.stderr


def environment():
    package = os.path.dirname(os.path.dirname(bd.__file__))
    return {**os.environ, "PYTHONPATH": os.pathsep.join([package, *filter(None, sys.path)])}


SAVING = """
import sys, badak as bd
nets = [bd.Net([bd.Affine(units=60)], loss=bd.SoftmaxWithLoss(), input_shape=700, seed=seed) for seed in (1, 2)]
print("ready", flush=True)
while True:
    for net in nets:
        net.save(sys.argv[1])
"""


def killed_while_it_saves(nets, path, after):
    """Fork a process that saves the nets again and again, and kill it after so many seconds."""
    begun, tell = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks where threads run
        child = os.fork()
    if child == 0:
        try:
            os.write(tell, b"!")
            for net in itertools.cycle(nets):
                net.save(path)
        finally:
            os._exit(1)
    os.close(tell)
    assert os.read(begun, 1) == b"!"
    os.close(begun)
    time.sleep(after)
    os.kill(child, signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


@needs_posix
def test_killed_while_saving(tmp_path):  # F14
    """Whatever the moment, the file is the old one or the new one; what is left over goes at the next save."""
    path = tmp_path / "n"
    nets = [bd.Net([bd.Affine(units=60)], loss=bd.SoftmaxWithLoss(), input_shape=700, seed=seed) for seed in (1, 2)]
    whole = []
    for net in nets:
        net.save(path)
        whole.append(path.read_bytes())
    rng, left, found = random.Random(0), 0, [0, 0]
    for _ in range(200):
        killed_while_it_saves(nets, path, rng.uniform(0, 0.02))
        found[whole.index(path.read_bytes())] += 1
        names = os.listdir(tmp_path)
        left += len(names) > 1
        assert len(names) <= 2
    assert all(found)
    bd.load(path)
    nets[0].save(path)
    assert os.listdir(tmp_path) == ["n"]
    print(f"200 kills: {found[0]} times the one file, {found[1]} times the other; {left} left a temporary file")


@needs_posix
def test_two_processes_save_to_one_path(tmp_path):  # F18
    path = tmp_path / "n"
    mlp().save(path)
    saving = [
        subprocess.Popen([sys.executable, "-c", SAVING, str(path)], stdout=subprocess.PIPE, env=environment())
        for _ in range(2)
    ]
    try:
        for process in saving:
            process.stdout.readline()
        for _ in range(50):
            bd.load(path)
            assert all(process.poll() is None for process in saving)
    finally:
        for process in saving:
            process.kill()
            process.communicate()
