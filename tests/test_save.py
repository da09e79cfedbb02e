"""A net in a file: training goes on bit for bit, no damage passes, no file is half-written."""

import copy
import hashlib
import io
import json
import os
import pathlib
import pickle
import random
import signal
import stat
import subprocess
import sys
import time

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
def test_a_crafted_state_is_an_error(broken):
    net = mlp()
    net.train_step(*data_for(net), bd.Adam())
    good = net.__getstate__()
    with pytest.raises((TypeError, ValueError, KeyError, AttributeError)):
        bd.Net.__new__(bd.Net).__setstate__(broken(good))


def test_a_net_that_is_running_is_not_copied_half_way():
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
    """The same content through the other's hands, in its order of keys, is refused only by our checksum or order."""
    pytest.importorskip("safetensors")
    from safetensors.numpy import load_file, save_file

    net = mlp()
    net.save(tmp_path / "n")
    save_file(load_file(tmp_path / "n"), tmp_path / "other")
    with pytest.raises(bd.FormatError, match="the metadata of a badak net are missing"):
        bd.load(tmp_path / "other")
    raw = (tmp_path / "other").read_bytes()  # as a plain file of tensors it is understood by our parser
    header = checkpoint._parse(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    assert {name: tuple(entry["shape"]) for name, entry in header.items()} == {
        n: a.shape for n, a in net.params.items()
    }


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


# ---- Damage ----


def read(raw, custom=None):
    return checkpoint._read(io.BytesIO(raw), len(raw), custom or {})


def refused(raw, error=bd.FormatError):
    with pytest.raises(error) as caught:
        read(raw)
    return str(caught.value)


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    path = tmp_path_factory.mktemp("raw") / "n"
    net = bd.Net([bd.Affine(units=1)], loss=bd.SigmoidWithLoss(), input_shape=1, seed=1)
    net.train_step([[1.0]], [1], bd.Adam())
    net.save(path)
    return path.read_bytes()


def test_every_truncation_is_refused(raw):
    for size in range(len(raw)):
        refused(raw[:size])
    refused(raw + b"\0")
    refused(raw + raw)


def test_every_flipped_bit_is_refused(raw):
    for i in range(8 * len(raw)):
        broken = bytearray(raw)
        broken[i // 8] ^= 1 << i % 8
        refused(bytes(broken))


def test_a_flip_in_the_numbers_is_a_checksum_error(raw):
    refused(raw[:-1] + bytes([raw[-1] ^ 1]), bd.ChecksumError)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it has 0 bytes"),
        (b"PK\x03\x04" + b"x" * 100, "zip"),
        (b"\x1f\x8b" + b"x" * 100, "gzip"),
        (b"\x93NUMPY" + b"x" * 100, "NumPy"),
        (b"\x80\x04" + b"x" * 100, "pickle"),
        (b"<!doctype html>", "HTML"),
        ((2**63).to_bytes(8, "little") + b"{}", "header should take"),
        ((2**64 - 1).to_bytes(8, "little") + b"{}", "header should take"),
        ((1 << 25).to_bytes(8, "little") + b" " * (1 << 25), "header should take"),
        ((5).to_bytes(8, "little") + b"\xff\xfe{}}", "not JSON"),
        ((200000).to_bytes(8, "little") + b"[" * 200000, "not JSON"),
        ((3).to_bytes(8, "little") + b"NaN", "NaN stands in"),
        ((13).to_bytes(8, "little") + b'{"a":1,"a":2}', "twice"),
        ((2).to_bytes(8, "little") + b"[]", "metadata of a badak net are missing"),
    ],
)
def test_what_is_no_saved_net_says_what_it_is(content, message, tmp_path):
    (tmp_path / "n").write_bytes(content)
    with pytest.raises(bd.FormatError, match=message) as caught:
        bd.load(tmp_path / "n")
    assert str(tmp_path / "n") in str(caught.value)


def forged(raw, change):
    """The file with its header changed and its checksum made right again: structure alone must refuse it."""
    size = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + size])
    data = change(header)
    data = raw[8 + size :] if data is None else data
    header["__metadata__"]["sha256"] = "0" * 64
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    start = len(text).to_bytes(8, "little")
    digest = hashlib.sha256(start + text + data).hexdigest()
    return start + text.replace(b"0" * 64, digest.encode()) + data


def in_json(part, change):
    """A change of what a text in the metadata says."""

    def made(header):
        value = json.loads(header["__metadata__"][part])
        value = change(value) or value
        header["__metadata__"][part] = json.dumps(value, separators=(",", ":"))

    return made


def set_at(*keys, value):
    def change(header):
        for key in keys[:-1]:
            header = header[key]
        header[keys[-1]] = value

    return change


FORGERIES = {
    "version": set_at("__metadata__", "version", value="2"),
    "version 0": set_at("__metadata__", "version", value="0"),
    "no version": lambda h: h["__metadata__"].pop("version") and None,
    "more metadata": set_at("__metadata__", "more", value="1"),
    "metadata that is no text": set_at("__metadata__", "generator", value=[1, 2]),
    "shape wraps": set_at("W1", "shape", value=[4194305, 4194305, 211106198978564]),
    "shape negative": set_at("W1", "shape", value=[-1, -1]),
    "shape of floats": set_at("W1", "shape", value=[1.0, 1]),
    "shape of bools": set_at("W1", "shape", value=[True, 1]),
    "shape of text": set_at("W1", "shape", value=["1", 1]),
    "shape too deep": set_at("W1", "shape", value=[1] * 100),
    "another shape": set_at("W1", "shape", value=[1]),
    "dtype": set_at("W1", "dtype", value="O"),
    "big-endian": set_at("W1", "dtype", value=">f4"),
    "integers": set_at("W1", "dtype", value="I32"),
    "dtype a list": set_at("W1", "dtype", value=["F32"]),
    "overlap": set_at("b1", "data_offsets", value=[0, 4]),
    "hole": set_at("b1", "data_offsets", value=[8, 12]),
    "reversed": set_at("b1", "data_offsets", value=[8, 4]),
    "beyond the end": set_at("b1", "data_offsets", value=[4, 400]),
    "an entry of another kind": set_at("b1", value=3),
    "a tensor less": lambda h: h.pop("b1") and None,
    "a tensor renamed": lambda h: h.update({"../x": h.pop("b1")}),
    "unknown layer": in_json("architecture", set_at("layers", 0, "kind", value="os.system")),
    "layer a list": in_json("architecture", set_at("layers", 0, "kind", value=["Affine"])),
    "layer of nothing": in_json("architecture", set_at("layers", 0, value=None)),
    "no layers": in_json("architecture", set_at("layers", value=[])),
    "layers a number": in_json("architecture", set_at("layers", value=5)),
    "a loss inside": in_json("architecture", set_at("layers", 0, value={"kind": "SigmoidWithLoss", "hyper": {}})),
    "no loss": in_json("architecture", set_at("loss", value={"kind": "Relu", "hyper": {}})),
    "huge": in_json("architecture", set_at("layers", 0, "hyper", "units", value=2**40)),
    "wide": in_json("architecture", set_at("layers", 0, "hyper", "units", value=10**9)),
    "negative units": in_json("architecture", set_at("layers", 0, "hyper", "units", value=-1)),
    "units of text": in_json("architecture", set_at("layers", 0, "hyper", "units", value="1")),
    "units beyond 64 bits": in_json("architecture", set_at("layers", 0, "hyper", "units", value=2**70)),
    "more options": in_json("architecture", set_at("layers", 0, "hyper", "more", value=1)),
    "input 0": in_json("architecture", set_at("input_shape", value=[0])),
    "input of text": in_json("architecture", set_at("input_shape", value=["1"])),
    "input a number": in_json("architecture", set_at("input_shape", value=1)),
    "dtype of the net": in_json("architecture", set_at("dtype", value="float16")),
    "other dtype of the net": in_json("architecture", set_at("dtype", value="float64")),
    "seed": in_json("architecture", set_at("seed", value=-1)),
    "no seed": in_json("architecture", lambda a: a.pop("seed") and None),
    "architecture a list": set_at("__metadata__", "architecture", value="[]"),
    "unknown optimizer": in_json("optimizer", set_at("kind", value="eval")),
    "another optimizer": in_json("optimizer", set_at("kind", value="AdaGrad")),
    "lr": in_json("optimizer", set_at("hyper", "lr", value=-1)),
    "updates": in_json("optimizer", set_at("updates", value=-1)),
    "updates beyond": in_json("optimizer", set_at("updates", value=2**63)),
    "updates of a float": in_json("optimizer", set_at("updates", value=1.5)),
    "no optimizer": set_at("__metadata__", "optimizer", value="null"),
    "generator": in_json("generator", lambda g: [1]),
    "generator negative": in_json("generator", lambda g: [-1, 0]),
    "negative squares": lambda h: np.full(8, -1, "<f4").tobytes(),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_file_with_a_right_checksum_is_refused(raw, name):
    assert read(forged(raw, lambda header: None)).optimizer.iter == 1
    refused(forged(raw, FORGERIES[name]))


def test_a_file_that_changes_while_it_is_read_is_refused(raw):
    class Changing(io.BytesIO):
        def seek(self, *where):
            self.getbuffer()[-1] ^= 1
            return super().seek(*where)

    with pytest.raises(bd.ChecksumError, match="changed while it was read"):
        checkpoint._read(Changing(raw), len(raw), {})


def test_nan_in_weights_loads(tmp_path):
    net = mlp()
    net.params["W1"][0, 0] = np.nan
    net.save(tmp_path / "n")
    assert np.isnan(bd.load(tmp_path / "n").params["W1"][0, 0])


# ---- Python layers ----


def test_python_layers_are_named_by_the_caller(tmp_path):
    net = mlp("float32", Scale(0.5))
    net.save(tmp_path / "n")
    with pytest.raises(ValueError, match=r"a Python layer 'Scale': pass custom=\{'Scale'"):
        bd.load(tmp_path / "n")
    loaded = bd.load(tmp_path / "n", custom={"Scale": lambda start: Scale(2 * start)})
    assert loaded.layers[1].start == 1.0
    np.testing.assert_array_equal(loaded.layers[1].params["scale"], 0.5)
    assert loaded.params["scale1"] is loaded.layers[1].params["scale"]
    with pytest.raises(ValueError, match=r"scale1 is \(8,\) in the file, \(5,\) in the net|shape"):
        bd.load(tmp_path / "n", custom={"Scale": lambda start: Scale(start, 5)})
    with pytest.raises(TypeError, match="must return a badak layer"):
        bd.load(tmp_path / "n", custom={"Scale": lambda start: None})
    for custom in ([], {"Scale": 1}, "Scale"):
        with pytest.raises(TypeError, match="custom must be a dict"):
            bd.load(tmp_path / "n", custom=custom)


def test_a_config_that_is_no_json_is_refused(tmp_path):
    layer = Scale()
    layer.start = np.ones(3)
    with pytest.raises(TypeError, match=r"config\(\) of a Python layer must return JSON's types"):
        mlp("float32", layer).save(tmp_path / "n")
    assert list(tmp_path.iterdir()) == []


# ---- Files ----

needs_posix = pytest.mark.skipif(os.name != "posix", reason="POSIX files")


@needs_posix
def test_paths_that_are_no_files(tmp_path):
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
def test_mode_and_link_are_kept(tmp_path):
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


@pytest.mark.skipif(sys.platform != "linux", reason="limits")
def test_a_file_that_may_not_grow(tmp_path):
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


@needs_posix
@pytest.mark.slow
def test_killed_while_saving(tmp_path):
    """Whatever the moment, the file is the old one or the new one; what is left over goes at the next save."""
    path = tmp_path / "n"
    nets = [bd.Net([bd.Affine(units=60)], loss=bd.SoftmaxWithLoss(), input_shape=700, seed=seed) for seed in (1, 2)]
    whole = set()
    for net in nets:
        net.save(path)
        whole.add(path.read_bytes())
    rng, left = random.Random(0), 0
    for _ in range(20 * int(os.environ.get("BADAK_SOAK", "1"))):
        process = subprocess.Popen(
            [sys.executable, "-c", SAVING, str(path)], stdout=subprocess.PIPE, env=environment()
        )  # fmt: skip
        assert process.stdout.readline() == b"ready\n"
        time.sleep(rng.uniform(0, 0.02))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert path.read_bytes() in whole
        left += len(os.listdir(tmp_path)) > 1
        assert len(os.listdir(tmp_path)) <= 2
    bd.load(path)
    nets[0].save(path)
    assert os.listdir(tmp_path) == ["n"]
    print(f"{left} kills left a temporary file")


@needs_posix
def test_two_processes_save_to_one_path(tmp_path):
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
