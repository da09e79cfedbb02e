"""A saved net that is damaged, forged or something else: refused with a FormatError, whatever was done to it."""

import hashlib
import io
import json
import random

import numpy as np
import pytest

import badak as bd
from badak import checkpoint


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


def test_every_truncation_is_refused(raw):  # B135
    for size in range(len(raw)):
        refused(raw[:size])


@pytest.mark.parametrize("more", [b"\0", b" ", b"\x80\x04N."], ids=["zero", "space", "pickle"])
def test_what_is_appended_is_refused(raw, more):  # B137
    refused(raw + more)
    refused(raw + raw)


def test_every_flipped_bit_is_refused(raw):  # B136
    for i in range(8 * len(raw)):
        broken = bytearray(raw)
        broken[i // 8] ^= 1 << i % 8
        refused(bytes(broken))


def test_a_flip_in_the_numbers_is_a_checksum_error(raw):  # B136
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
        (b"learning is fun\n" * 9, "its first 8 bytes are not the length of a header"),
        (b"\x89PNG\r\n\x1a\n" + b"x" * 100, "this looks like a picture"),
        ((2**63).to_bytes(8, "little") + b"{}", "its first 8 bytes are not the length of a header"),
        ((2**64 - 1).to_bytes(8, "little") + b"{}", "its first 8 bytes are not the length of a header"),
        ((1 << 25).to_bytes(8, "little") + b" " * (1 << 25), "its first 8 bytes are not the length of a header"),
        ((700).to_bytes(8, "little") + b'{"__meta', "cut short: it has 16 bytes, its header alone takes 708"),
        ((5).to_bytes(8, "little") + b"\xff\xfe{}}", "not JSON"),
        ((200000).to_bytes(8, "little") + b"[" * 200000, "not JSON"),
        ((3).to_bytes(8, "little") + b"NaN", "NaN stands in"),
        ((13).to_bytes(8, "little") + b'{"a":1,"a":2}', "twice"),
        ((2).to_bytes(8, "little") + b"[]", "metadata of a badak net are missing"),
    ],
)
def test_what_is_no_saved_net_says_what_it_is(content, message, tmp_path):  # B134 B138 B140 B141
    (tmp_path / "n").write_bytes(content)
    with pytest.raises(bd.FormatError, match=message) as caught:
        bd.load(tmp_path / "n")
    assert str(tmp_path / "n") in str(caught.value)


def test_a_file_that_is_cut_short_says_so(raw):  # B135
    assert refused(raw[:-1]) == "it is cut short: its numbers take 24 bytes, but only 23 follow the header"
    assert refused(raw[:20]).startswith("it is cut short: it has 20 bytes, its header alone takes ")


def forged(raw, change):
    """The file with its header changed and its checksum made right again: structure alone must refuse it."""
    size = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + size])
    data = change(header)
    data = raw[8 + size :] if data is None else data
    header["__metadata__"]["sha256"] = "0" * 64
    return sealed(json.dumps(header, separators=(",", ":")).encode(), data)


def sealed(text, data):
    """The file of a header's text, whose checksum is zeros so far, and numbers."""
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
    "B139 version": set_at("__metadata__", "version", value="2"),
    "B139 version 0": set_at("__metadata__", "version", value="0"),
    "B139 version 2**32 - 1": set_at("__metadata__", "version", value=str(2**32 - 1)),
    "B139 no version": lambda h: h["__metadata__"].pop("version") and None,
    "B152 more metadata": set_at("__metadata__", "more", value="1"),
    "B152 metadata that is no text": set_at("__metadata__", "generator", value=[1, 2]),
    "B142 shape wraps": set_at("W1", "shape", value=[4194305, 4194305, 211106198978564]),
    "B143 shape negative": set_at("W1", "shape", value=[-1, -1]),
    "B143 shape of floats": set_at("W1", "shape", value=[1.0, 1]),
    "B143 shape of bools": set_at("W1", "shape", value=[True, 1]),
    "B143 shape of text": set_at("W1", "shape", value=["1", 1]),
    "B143 shape too deep": set_at("W1", "shape", value=[1] * 100),
    "B143 shape beyond 64 bits": set_at("W1", "shape", value=[2**70, 1]),
    "B144 shape with 0": set_at("W1", "shape", value=[0, 1]),
    "B149 another shape": set_at("W1", "shape", value=[1]),
    "B145 dtype": set_at("W1", "dtype", value="O"),
    "B145 big-endian": set_at("W1", "dtype", value=">f4"),
    "B145 integers": set_at("W1", "dtype", value="I32"),
    "B145 dtype a list": set_at("W1", "dtype", value=["F32"]),
    "B146 overlap": set_at("b1", "data_offsets", value=[0, 4]),
    "B146 offsets of text": set_at("b1", "data_offsets", value="48"),
    "B146 hole": set_at("b1", "data_offsets", value=[8, 12]),
    "B146 reversed": set_at("b1", "data_offsets", value=[8, 4]),
    "B146 beyond the end": set_at("b1", "data_offsets", value=[4, 400]),
    "B152 an entry of another kind": set_at("b1", value=3),
    "B147 a tensor less": lambda h: h.pop("b1") and None,
    "B147 a tensor renamed": lambda h: h.update({"../x": h.pop("b1")}),
    "B147 a tensor more": lambda h: h.update(more={"dtype": "F32", "shape": [0], "data_offsets": [24, 24]}),
    "B147 an absolute name": lambda h: h.update({"/etc/x": h.pop("b1")}),
    "B147 a name with NUL": lambda h: h.update({"a\0b": h.pop("b1")}),
    "B147 a name of 1 MB": lambda h: h.update({"x" * 10**6: h.pop("b1")}),
    "B148 a path as layer": in_json("architecture", set_at("layers", 0, "kind", value="../../evil.py")),
    "B148 unknown layer": in_json("architecture", set_at("layers", 0, "kind", value="os.system")),
    "B148 layer a list": in_json("architecture", set_at("layers", 0, "kind", value=["Affine"])),
    "B152 layer of nothing": in_json("architecture", set_at("layers", 0, value=None)),
    "B152 no layers": in_json("architecture", set_at("layers", value=[])),
    "B152 layers a number": in_json("architecture", set_at("layers", value=5)),
    "B152 a loss inside": in_json("architecture", set_at("layers", 0, value={"kind": "SigmoidWithLoss", "hyper": {}})),
    "B152 no loss": in_json("architecture", set_at("loss", value={"kind": "Relu", "hyper": {}})),
    "B152 huge": in_json("architecture", set_at("layers", 0, "hyper", "units", value=2**40)),
    "B152 wide": in_json("architecture", set_at("layers", 0, "hyper", "units", value=10**9)),
    "B152 negative units": in_json("architecture", set_at("layers", 0, "hyper", "units", value=-1)),
    "B152 units of text": in_json("architecture", set_at("layers", 0, "hyper", "units", value="1")),
    "B152 units beyond 64 bits": in_json("architecture", set_at("layers", 0, "hyper", "units", value=2**70)),
    "B152 more options": in_json("architecture", set_at("layers", 0, "hyper", "more", value=1)),
    "B152 input 0": in_json("architecture", set_at("input_shape", value=[0])),
    "B152 input of text": in_json("architecture", set_at("input_shape", value=["1"])),
    "B152 input a number": in_json("architecture", set_at("input_shape", value=1)),
    "B152 dtype of the net": in_json("architecture", set_at("dtype", value="float16")),
    "B152 other dtype of the net": in_json("architecture", set_at("dtype", value="float64")),
    "B152 seed": in_json("architecture", set_at("seed", value=-1)),
    "B152 no seed": in_json("architecture", lambda a: a.pop("seed") and None),
    "B152 architecture a list": set_at("__metadata__", "architecture", value="[]"),
    "B152 unknown optimizer": in_json("optimizer", set_at("kind", value="eval")),
    "B151 another optimizer": in_json("optimizer", set_at("kind", value="AdaGrad")),
    "B152 lr": in_json("optimizer", set_at("hyper", "lr", value=-1)),
    "B151 updates": in_json("optimizer", set_at("updates", value=-1)),
    "B151 updates beyond": in_json("optimizer", set_at("updates", value=2**63)),
    "B151 updates of a float": in_json("optimizer", set_at("updates", value=1.5)),
    "B152 no optimizer": set_at("__metadata__", "optimizer", value="null"),
    "B152 generator": in_json("generator", lambda g: [1]),
    "B152 generator negative": in_json("generator", lambda g: [-1, 0]),
    "B151 negative squares": lambda h: np.full(8, -1, "<f4").tobytes(),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_file_with_a_right_checksum_is_refused(
    raw, name
):  # B139 B142 B143 B144 B145 B146 B147 B148 B149 B151 B152
    assert read(forged(raw, lambda header: None)).optimizer.iter == 1
    assert len(refused(forged(raw, FORGERIES[name]))) < 1000


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"shape":[1,1]', b'"shape":[1e400,1]'),
        (b'"shape":[1,1]', b'"shape":[NaN,1]'),
        (b'"shape":[1,1]', b'"shape":[1,1],"shape":[1,1]'),
        (b'"shape":[1,1]', b'"shape":' + b"[" * 10**5 + b"]" * 10**5),
        (b'"shape":[1,1]', b'"shape":[' + b"1" * 10**4 + b",1]"),
        (b'"shape":[1,1]', b'"shape": [1,1]'),
        (b'"W1":', b'"\\u00571":'),
        (b'"W1":', b'"\\ud800":'),
    ],
    ids=["1e400", "NaN", "twice", "100000 deep", "10000 digits", "a space", "escaped", "surrogate"],
)
def test_odd_json_with_a_right_checksum_is_refused(raw, old, new):  # B141
    size = int.from_bytes(raw[:8], "little")
    text = raw[8 : 8 + size].rstrip()
    digest = json.loads(text)["__metadata__"]["sha256"].encode()
    text = text.replace(digest, b"0" * 64)
    assert read(sealed(text, raw[8 + size :])).optimizer.iter == 1
    assert old in text
    refused(sealed(text.replace(old, new, 1), raw[8 + size :]))


def test_a_hundred_thousand_tensors_are_refused(raw):  # B141
    def more(header):
        nothing = {"dtype": "F32", "shape": [0], "data_offsets": [24, 24]}
        header.update({f"a{i}": nothing for i in range(10**5)})

    assert len(refused(forged(raw, more))) < 5000


ODD = [None, True, -1, 0, 1, 2, 2**31, 2**48, 2**53, 2**63, 2**64, 2**70, 0.5, -0.0, 1e308, "", "W1", "float64", "Relu"]
ODD += [[], {}, [0], [1], [1, 1], [[1]], {"kind": "Relu", "hyper": {}}, "x" * 1000, "\0", "\ud800"]


def changed(value, rng):
    """The value, JSON, with one thing in it exchanged, doubled or taken away."""
    places = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    if not places or rng.random() < 0.1:
        return rng.choice(ODD)
    value, place = value.copy(), rng.choice(list(places))
    kind = rng.random()
    if kind < 0.1:
        del value[place]
    elif kind < 0.15 and isinstance(value, dict):
        value[rng.choice(["W1", "b1", "kind", "layers", "more", "\0"])] = value.pop(place)
    elif kind < 0.2 and isinstance(value, list):
        value.append(value[place])
    elif isinstance(value[place], str) and value[place][:1] in ("{", "[") and rng.random() < 0.9:
        value[place] = json.dumps(changed(json.loads(value[place]), rng), separators=(",", ":"))
    else:
        value[place] = changed(value[place], rng)
    return value


@pytest.mark.parametrize("seed", range(10))
def test_random_changes_with_a_right_checksum_are_refused_or_a_net(raw, seed):  # B152
    rng, nets = random.Random(seed), 0
    for _ in range(200):

        def change(header):
            new = changed(header, rng)
            if isinstance(new, dict) and isinstance(new.get("__metadata__"), dict):
                header.clear()
                header.update(new)

        try:
            net = read(forged(raw, change))
        except bd.FormatError as error:
            assert len(str(error)) < 5000
        else:
            net.predict([[1.0]])
            nets += 1
    assert nets < 100


def test_a_file_that_changes_while_it_is_read_is_refused(raw):  # B153
    class Changing(io.BytesIO):
        def seek(self, *where):
            self.getbuffer()[-1] ^= 1
            return super().seek(*where)

    with pytest.raises(bd.ChecksumError, match="changed while it was read"):
        checkpoint._read(Changing(raw), len(raw), {})
