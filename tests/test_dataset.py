"""badak.dataset: the strict IDX reader and MNIST. Row numbers (B157...) are the catalogue's."""

import gzip
import hashlib
import itertools
import os
import pathlib
import struct
import subprocess
import sys
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from badak.dataset import idx, load_idx, load_mnist, mnist
from badak.errors import ChecksumError, FormatError, GradientError

TYPE_BYTES = {"uint8": 0x08, "int8": 0x09, "int16": 0x0B, "int32": 0x0C,
              "float32": 0x0D, "float64": 0x0E}  # fmt: skip
MIB = 1 << 20
HUGE = 0xFFFFFFFF


# ---- Building files ----


def idx_header(*shape, dtype="uint8"):
    return struct.pack(f">HBB{len(shape)}I", 0, TYPE_BYTES[dtype], len(shape), *shape)


def idx_bytes(array):
    body = array.astype(array.dtype.newbyteorder(">")).tobytes()
    return idx_header(*array.shape, dtype=array.dtype.name) + body


def deflated_zeros(prefix, count):
    """A gzip file of `prefix` and `count` zeros, built without holding the zeros."""
    deflater = zlib.compressobj(9, wbits=31)
    parts = [deflater.compress(prefix)]
    parts += [deflater.compress(bytes(MIB)) for _ in range(count // MIB)]
    return b"".join([*parts, deflater.flush()])


IMAGES = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
RAW = idx_bytes(IMAGES)
GZIP = gzip.compress(RAW, mtime=0)


@pytest.fixture
def write(tmp_path):
    def write_file(content, name="digits-idx3-ubyte"):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write_file


def assert_refused(path, *words):
    """`load_idx` raises FormatError, and its message has the file's name and all the `words`."""
    with pytest.raises(FormatError) as caught:
        load_idx(path)
    message = str(caught.value)
    for word in (pathlib.Path(path).name, *words):
        assert word in message


def peak_memory_of(call):
    """The most memory, in bytes, that was allocated at a time during `call()`."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


both_encodings = pytest.mark.parametrize(
    "encode", [bytes, lambda raw: gzip.compress(raw, mtime=0)], ids=["raw", "gzip"]
)


# ---- Exceptions ----


def test_exception_hierarchy():
    assert issubclass(FormatError, ValueError)
    assert issubclass(ChecksumError, FormatError)
    assert issubclass(GradientError, AssertionError)


# ---- load_idx: what it accepts ----


@both_encodings
@pytest.mark.parametrize("shape", [(7,), (2, 3), (2, 3, 4), (1, 2, 1, 3)])
@pytest.mark.parametrize("dtype", TYPE_BYTES)
def test_round_trip(write, dtype, shape, encode):
    expected = np.random.default_rng(0).integers(-100, 100, shape).astype(dtype)
    loaded = load_idx(write(encode(idx_bytes(expected))))
    assert loaded.shape == shape
    assert loaded.dtype == np.dtype(dtype)
    assert loaded.dtype.isnative
    assert loaded.flags.c_contiguous and loaded.flags.writeable and loaded.flags.aligned
    np.testing.assert_array_equal(loaded, expected)


@settings(deadline=None)
@given(
    dtype=st.sampled_from(sorted(TYPE_BYTES)),
    shape=st.lists(st.integers(1, 5), min_size=1, max_size=5),
    compress=st.booleans(),
    data=st.data(),
)
def test_round_trip_of_any_bits(tmp_path_factory, dtype, shape, compress, data):
    """Every bit pattern survives, NaN payloads too."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    body = data.draw(st.binary(min_size=size, max_size=size))
    content = idx_header(*shape, dtype=dtype) + body
    path = tmp_path_factory.getbasetemp() / "any-bits"
    path.write_bytes(gzip.compress(content) if compress else content)
    loaded = load_idx(path)
    assert loaded.shape == tuple(shape)
    bits = f"u{loaded.itemsize}"
    np.testing.assert_array_equal(loaded.ravel().view(bits), np.frombuffer(body, f">{bits}"))


@both_encodings
def test_content_larger_than_one_piece(write, encode):
    expected = np.random.default_rng(0).integers(0, 256, (3, MIB), dtype=np.uint8)
    np.testing.assert_array_equal(load_idx(write(encode(idx_bytes(expected)))), expected)


def test_compression_is_detected_by_content_not_name(write):
    np.testing.assert_array_equal(load_idx(write(GZIP, "no-suffix")), IMAGES)
    np.testing.assert_array_equal(load_idx(write(RAW, "misnamed.gz")), IMAGES)


@pytest.mark.parametrize("convert", [str, os.fsencode, pathlib.Path])
def test_path_types(write, convert):
    np.testing.assert_array_equal(load_idx(convert(write(RAW))), IMAGES)


def test_each_call_gives_a_fresh_array(write):
    path = write(RAW)
    load_idx(path)[:] = 99
    np.testing.assert_array_equal(load_idx(path), IMAGES)


@both_encodings
@pytest.mark.parametrize("dtype", TYPE_BYTES)
def test_b162_no_items_gives_an_empty_array(write, dtype, encode):
    loaded = load_idx(write(encode(idx_header(0, 28, 28, dtype=dtype))))
    assert loaded.shape == (0, 28, 28)
    assert loaded.dtype == np.dtype(dtype)
    assert loaded.flags.writeable


def test_most_dimensions(write):
    shape = (1,) * 32
    assert load_idx(write(idx_header(*shape) + b"\x05")).shape == shape


# ---- load_idx: paths ----


@pytest.mark.parametrize("path", [0, 3, True, None, 1.5, [b"x"], bytearray(b"x")])
def test_not_a_path(path):
    with pytest.raises(TypeError, match="PathLike"):
        load_idx(path)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        load_idx(tmp_path / "missing")
    assert not isinstance(caught.value, ValueError)


@pytest.mark.skipif(os.name == "nt", reason="Windows reports PermissionError")
def test_directory(tmp_path):
    with pytest.raises(IsADirectoryError):
        load_idx(tmp_path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file(write):
    path = write(RAW)
    path.chmod(0)
    with pytest.raises(PermissionError):
        load_idx(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_pipe_is_refused_without_waiting_for_a_writer(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    assert_refused(path, "not a regular file")


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="no /dev/zero here")
def test_device_is_refused():
    assert_refused("/dev/zero", "not a regular file")


@pytest.mark.skipif(os.name == "nt", reason="Windows can encode lone surrogates")
@pytest.mark.parametrize(("path", "words"), [("a\0b", "null"), ("\ud800", "surrogates not allowed")])
def test_impossible_path(path, words):
    with pytest.raises(ValueError, match=words) as caught:
        load_idx(path)
    assert not isinstance(caught.value, FormatError)


@pytest.mark.skipif(os.name == "nt", reason="another error there")
def test_path_too_long():
    with pytest.raises(OSError, match="too long"):
        load_idx("x" * 5000)


# ---- load_idx: headers ----


@both_encodings
@pytest.mark.parametrize(
    ("start", "words"),
    [
        pytest.param(b"\0\0\0\0", ["type byte 0x00", "expected one of 0x08"], id="B157-zero"),
        pytest.param(b"\3\x08\0\0", ["03 08 00 00", "expected 00 00", "little-endian"], id="B157-swapped"),
        pytest.param(b"\0\1\x08\3", ["00 01 08 03", "expected 00 00"], id="second-zero"),
        pytest.param(b"\0\0\x07\3", ["type byte 0x07", "expected one of 0x08"], id="B159-0x07"),
        pytest.param(b"\0\0\x0a\3", ["type byte 0x0a", "expected one of 0x08"], id="B159-0x0a"),
        pytest.param(b"\0\0\xff\3", ["type byte 0xff", "expected one of 0x08"], id="B159-0xff"),
        pytest.param(b"\0\0\x08\0", ["0 dimensions", "expected 1 to 32"], id="B159-ndim-0"),
        pytest.param(b"\0\0\x08\x21", ["33 dimensions", "expected 1 to 32"], id="B159-ndim-33"),
        pytest.param(b"\0\0\x08\xc8", ["200 dimensions", "expected 1 to 32"], id="B159-ndim-200"),
        pytest.param(b"PK\3\4", ["50 4b 03 04", "zip archive"], id="zip"),
        pytest.param(b"<!doctype html>", ["3c 21 64 6f", "web page"], id="html"),
        pytest.param(b"\x89PNG\r\n", ["89 50 4e 47", "expected 00 00"], id="png"),
    ],
)
def test_wrong_magic_number(write, encode, start, words):
    assert_refused(write(encode(start + RAW[4:])), *words)


def test_b158_gzip_inside_gzip(write):
    assert_refused(write(gzip.compress(GZIP)), "1f 8b", "gzip", "compressed twice")


@both_encodings
@pytest.mark.parametrize("size", range(16))
def test_b164_header_cut(write, encode, size):
    part = "magic number" if size < 4 else "dimension sizes"
    assert_refused(write(encode(RAW[:size])), "ends early", part)


@both_encodings
@pytest.mark.parametrize("shape", [(2, 0, 4), (2, 3, 0), (0, 0, 4), (0, 3, 0)])
def test_b162_empty_items(write, encode, shape):
    assert_refused(write(encode(idx_header(*shape))), str(shape), "expected no 0 after the first")


@both_encodings
@pytest.mark.parametrize("shape", [(HUGE, HUGE, HUGE), (0, HUGE, HUGE, HUGE), (1 << 31,) * 4])
def test_b161_product_overflows(write, encode, shape):
    assert_refused(write(encode(idx_header(*shape))), str(shape), "expected at most")


def test_b161_product_that_wraps_to_the_true_size(write):
    """2**31 * 2**31 * 4 elements are 0 modulo 2**64: as many as the file holds."""
    assert_refused(write(idx_header(1 << 31, 1 << 31, 4)), "expected at most")


@both_encodings
@pytest.mark.parametrize("shape", [(HUGE, 1, 1), (HUGE, 28, 28), (HUGE,)])
def test_b160_huge_count_allocates_nothing_ahead(write, encode, shape):
    path = write(encode(idx_header(*shape) + bytes(16)))
    assert peak_memory_of(lambda: assert_refused(path, "expected")) < MIB


# ---- load_idx: bodies ----


def test_b163_raw_body_of_wrong_size(write):
    assert_refused(write(RAW[:-1]), "holds 39 bytes", "expected 40")
    assert_refused(write(RAW + b"\0"), "holds 41 bytes", "expected 40")


def test_b163_gzip_body_of_wrong_size(write):
    assert_refused(write(gzip.compress(RAW[:-1])), "found 23 bytes", "expected 24")
    assert_refused(write(gzip.compress(RAW + b"\0")), "goes on after the 24 bytes")


def test_file_that_shrinks_while_it_is_read(write, monkeypatch):
    """The size was right when it was asked for; the bytes are counted all the same."""
    monkeypatch.setattr(idx, "_check_file_size", lambda file, nbytes: None)
    assert_refused(write(RAW[:-1]), "found 23 bytes of elements, expected 24")


@pytest.mark.parametrize("size", range(len(RAW)))
def test_every_truncation_of_a_raw_file(write, size):
    assert_refused(write(RAW[:size]))


# ---- load_idx: gzip ----


@pytest.mark.parametrize("size", range(len(GZIP)))
def test_b167_every_truncation_of_a_gzip_file(write, size):
    assert_refused(write(GZIP[:size]))


def test_b167_gzip_cut_within_real_data(write):
    with open(packaged("t10k-labels-idx1-ubyte"), "rb") as file:
        content = file.read()
    for size in range(18, len(content), 13):
        assert_refused(write(content[:size]), "truncated")


def test_every_bit_flip_in_a_gzip_file(write):
    """Refused, but where gzip holds no data: flags to system in the header, the last padding."""
    harmless = []
    for position, bit in itertools.product(range(len(GZIP)), range(8)):
        flipped = bytearray(GZIP)
        flipped[position] ^= 1 << bit
        path = write(bytes(flipped))
        try:
            loaded = load_idx(path)
        except FormatError as error:
            assert path.name in str(error)
        else:
            np.testing.assert_array_equal(loaded, IMAGES)
            harmless.append(position)
    padding = len(GZIP) - 9  # the unused bits of the byte before CRC and length
    assert set(harmless) <= {*range(3, 10), padding}


def flip(content, position):
    changed = bytearray(content)
    changed[position] ^= 0xFF
    return bytes(changed)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(b"", ["ends early", "found 0 bytes"], id="B168-empty-file"),
        pytest.param(gzip.compress(b""), ["ends early", "found 0 bytes"], id="B168-empty-gzip"),
        pytest.param(GZIP + GZIP, ["second gzip member"], id="B168-two-members"),
        pytest.param(
            gzip.compress(RAW[:20]) + gzip.compress(RAW[20:]),
            ["second gzip member"],
            id="B168-split-in-two",
        ),
        pytest.param(GZIP + gzip.compress(b""), ["second gzip member"], id="B168-empty-member"),
        pytest.param(GZIP + bytes(8), ["trailing bytes"], id="B167-trailing-zeros"),
        pytest.param(GZIP + b"junk", ["trailing bytes"], id="B167-trailing-junk"),
        pytest.param(GZIP + b"\x1f", ["trailing bytes"], id="B167-trailing-byte"),
        pytest.param(flip(GZIP, -8), ["damaged gzip", "data check"], id="B167-crc"),
        pytest.param(flip(GZIP, -1), ["damaged gzip", "length check"], id="B167-isize"),
        pytest.param(flip(GZIP, 2), ["damaged gzip", "compression method"], id="B167-method"),
        pytest.param(flip(GZIP, 3), ["damaged gzip", "header flags"], id="B167-flags"),
        pytest.param(flip(GZIP, 12), ["damaged gzip"], id="B167-body"),
        pytest.param(GZIP[:-8], ["truncated"], id="B167-no-trailer"),
    ],
)
def test_malformed_gzip(write, content, words):
    assert_refused(write(content), *words)


@pytest.mark.parametrize("junk", [b"\0", b"junk", GZIP])
def test_junk_after_a_gzip_member_that_fills_one_piece(write, junk):
    """The file itself is asked for more: what was read so far ends with the member."""
    header = b"\x1f\x8b\x08\x08" + bytes(6)  # announces a file name, here a long one
    name = b"n" * (idx._PIECE - len(GZIP) - 1) + b"\0"
    member = header + name + GZIP[10:]
    assert len(member) == idx._PIECE
    np.testing.assert_array_equal(load_idx(write(member)), IMAGES)
    assert_refused(write(member + junk), "second gzip member" if junk == GZIP else "trailing bytes")


def test_damaged_gzip_keeps_zlibs_error_as_its_cause(write):
    with pytest.raises(FormatError) as caught:
        load_idx(write(flip(GZIP, -8)))
    assert isinstance(caught.value.__cause__, zlib.error)


def test_gzip_header_with_every_optional_field(write):
    """FEXTRA, FNAME, FCOMMENT and FHCRC are legal."""
    header = b"\x1f\x8b\x08\x1e" + bytes(4) + b"\0\3" + b"\2\0ab" + b"name\0" + b"comment\0"
    header += struct.pack("<H", zlib.crc32(header) & 0xFFFF)
    path = write(header + gzip.compress(RAW, mtime=0)[10:])
    np.testing.assert_array_equal(load_idx(path), IMAGES)


def test_b169_bomb_stops_after_what_the_header_promises(write):
    bomb = deflated_zeros(idx_header(10), 64 * MIB)
    assert len(bomb) < 70_000
    path = write(bomb)
    assert peak_memory_of(lambda: assert_refused(path, "goes on after the 10 bytes")) < MIB


def test_b169_bomb_behind_the_gzip_header_of_no_idx_file(write):
    path = write(deflated_zeros(b"", 64 * MIB))
    assert peak_memory_of(lambda: assert_refused(path, "type byte 0x00")) < MIB


def test_memory_follows_the_data(write):
    size = 16 * MIB
    path = write(deflated_zeros(idx_header(size), size))
    assert peak_memory_of(lambda: load_idx(path)) < 1.3 * size


@settings(deadline=None)
@given(
    content=st.one_of(
        st.binary(max_size=64),
        st.binary(max_size=32).map(lambda tail: b"\x1f\x8b\x08\0" + tail),
        st.tuples(
            st.sampled_from(sorted(TYPE_BYTES.values())),
            st.lists(st.integers(0, 3) | st.integers(0, HUGE), max_size=4),
            st.binary(max_size=32),
        ).map(
            lambda t: struct.pack(f">HBB{len(t[1])}I", 0, t[0], len(t[1]), *t[1]) + t[2],
        ),
    ),
    compress=st.booleans(),
)
def test_any_bytes_give_an_array_or_a_format_error(tmp_path_factory, content, compress):
    path = tmp_path_factory.getbasetemp() / "any-bytes"
    path.write_bytes(gzip.compress(content) if compress else content)
    try:
        loaded = load_idx(path)
    except FormatError as error:
        assert path.name in str(error)
    else:
        assert loaded.nbytes + 4 + 4 * loaded.ndim == len(content)


# ---- MNIST: the packaged files ----


def packaged(name):
    return os.path.join(os.path.dirname(mnist.__file__), "files", f"{name}.gz")


@pytest.mark.parametrize(
    ("name", "size", "digest"),
    [
        (
            "train-images-idx3-ubyte",
            47_040_016,
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        ),
        (
            "train-labels-idx1-ubyte",
            60_008,
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        ),
        (
            "t10k-images-idx3-ubyte",
            7_840_016,
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        ),
        (
            "t10k-labels-idx1-ubyte",
            10_008,
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    ],
)
def test_packaged_files_are_the_originals(name, size, digest):
    with gzip.open(packaged(name)) as file:
        content = file.read()
    assert len(content) == size
    assert hashlib.sha256(content).hexdigest() == digest


def test_licence_is_packaged_with_the_files():
    licence = pathlib.Path(mnist.__file__).parent / "files" / "LICENSE-MNIST.md"
    text = licence.read_text(encoding="utf-8")
    for word in ("CC-BY-SA-3.0", "Yann LeCun", "Corinna Cortes", "Christopher J.C. Burges"):
        assert word in text


# ---- load_mnist ----


@pytest.fixture(scope="module")
def pixels():
    """((x_train, t_train), (x_test, t_test)) as the files have them."""
    return load_mnist(normalize=False, flatten=False)


def test_defaults(pixels):
    for (x, t), (raw_x, raw_t) in zip(load_mnist(), pixels, strict=True):
        assert x.dtype == np.float32
        assert x.shape == (len(raw_x), 784)
        assert x.min() == 0.0 and x.max() == 1.0
        # The book's own arithmetic, bit for bit.
        np.testing.assert_array_equal(x, raw_x.reshape(-1, 784).astype(np.float32) / 255.0)
        assert t.dtype == np.uint8
        np.testing.assert_array_equal(t, raw_t)


def test_pixels_as_they_are(pixels):
    for (x, t), count in zip(pixels, (60_000, 10_000), strict=True):
        assert x.dtype == np.uint8
        assert x.shape == (count, 1, 28, 28)
        assert x.min() == 0 and x.max() == 255
        assert t.dtype == np.uint8
        assert t.shape == (count,)
        assert set(t.tolist()) == set(range(10))


def test_known_values(pixels):
    (x_train, t_train), (x_test, t_test) = pixels
    assert t_train[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert t_test[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert np.bincount(t_train).tolist() == [
        5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949,
    ]  # fmt: skip
    assert round(float(x_train.mean()) / 255, 4) == 0.1307
    assert round(float(x_train.std()) / 255, 4) == 0.3081
    assert x_test[0, 0, 7, 6:10].tolist() == [84, 185, 159, 151]


@pytest.mark.parametrize("normalize", [True, False, np.True_])
@pytest.mark.parametrize("flatten", [True, False, np.False_])
@pytest.mark.parametrize("one_hot_label", [True, False])
def test_every_combination_of_arguments(normalize, flatten, one_hot_label):
    parts = load_mnist(normalize, flatten, one_hot_label)
    assert isinstance(parts, tuple)
    for (x, t), count in zip(parts, (60_000, 10_000), strict=True):
        assert x.shape == ((count, 784) if flatten else (count, 1, 28, 28))
        assert x.dtype == (np.float32 if normalize else np.uint8)
        assert t.shape == ((count, 10) if one_hot_label else (count,))
        assert t.dtype == (np.float64 if one_hot_label else np.uint8)
        assert x.flags.c_contiguous and x.flags.writeable
        assert t.flags.c_contiguous and t.flags.writeable


def test_one_hot_labels(pixels):
    parts = load_mnist(normalize=False, one_hot_label=True)
    for (_, one_hot), (_, labels) in zip(parts, pixels, strict=True):
        assert set(np.unique(one_hot)) == {0.0, 1.0}
        np.testing.assert_array_equal(one_hot.sum(axis=1), 1.0)
        np.testing.assert_array_equal(one_hot.argmax(axis=1), labels)


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("one_hot_label", [True, False])
def test_each_call_of_load_mnist_gives_fresh_arrays(normalize, one_hot_label):
    first = load_mnist(normalize=normalize, one_hot_label=one_hot_label)
    expected = [array.copy() for part in first for array in part]
    for part in first:
        for array in part:
            array[:] = 3
    second = load_mnist(normalize=normalize, one_hot_label=one_hot_label)
    for array, copy in zip([array for part in second for array in part], expected, strict=True):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize("name", ["normalize", "flatten", "one_hot_label"])
@pytest.mark.parametrize("value", [1, 0, 1.0, None, "yes", np.array([True]), np.int64(1)])
def test_arguments_must_be_bools(name, value):
    with pytest.raises(TypeError, match=f"{name} must be True or False, got"):
        load_mnist(**{name: value})


def test_module_is_the_books():
    namespace = {}
    exec("from badak.dataset.mnist import *", namespace)
    assert namespace["load_mnist"] is load_mnist
    assert namespace["np"] is np
    assert (namespace["train_num"], namespace["test_num"]) == (60_000, 10_000)
    assert (namespace["img_dim"], namespace["img_size"]) == ((1, 28, 28), 784)


def test_import_is_cheap():
    """What only reading needs is imported when reading."""
    script = (
        "import sys, numpy; before = set(sys.modules); import badak.dataset;"
        "print(sorted({'gzip', 'hashlib', 'zlib'} & (set(sys.modules) - before)))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


# ---- Damaged or exchanged files in MNIST's format ----


class Folder:
    """A small pair of files in MNIST's format, to be damaged."""

    images_name = "train-images-idx3-ubyte"
    labels_name = "train-labels-idx1-ubyte"

    def __init__(self, path):
        self.path = path
        self.images = np.random.default_rng(0).integers(0, 256, (5, 28, 28), dtype=np.uint8)
        self.labels = np.array([3, 1, 4, 1, 9], dtype=np.uint8)
        self.write(self.images_name, self.images)
        self.write(self.labels_name, self.labels)
        self.sha256 = {
            self.images_name: hashlib.sha256(idx_bytes(self.images)).hexdigest(),
            self.labels_name: hashlib.sha256(idx_bytes(self.labels)).hexdigest(),
        }

    def write(self, name, array):
        (self.path / f"{name}.gz").write_bytes(gzip.compress(idx_bytes(array)))

    def read(self):
        return mnist.read_part(self.path, "train", self.sha256)

    def assert_refused(self, *words):
        with pytest.raises(FormatError) as caught:
            self.read()
        assert type(caught.value) is FormatError
        for word in words:
            assert word in str(caught.value)


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def test_intact_folder(folder):
    images, labels = folder.read()
    np.testing.assert_array_equal(images, folder.images)
    np.testing.assert_array_equal(labels, folder.labels)


def test_b157_labels_in_place_of_images(folder):
    folder.write(folder.images_name, folder.labels)
    folder.assert_refused(folder.images_name, "0x00000803", "found uint8 of shape (5,)")


def test_b157_images_in_place_of_labels(folder):
    folder.write(folder.labels_name, folder.images)
    folder.assert_refused(folder.labels_name, "0x00000801", "found uint8 of shape (5, 28, 28)")


@pytest.mark.parametrize("shape", [(5, 28, 27), (5, 784), (5, 1, 28, 28)])
def test_images_of_another_shape(folder, shape):
    folder.write(folder.images_name, np.zeros(shape, np.uint8))
    folder.assert_refused(folder.images_name, "expected images", str(shape))


@pytest.mark.parametrize("dtype", ["int8", "int32", "float64"])
def test_files_of_another_dtype(folder, dtype):
    folder.write(folder.labels_name, folder.labels.astype(dtype))
    folder.assert_refused(folder.labels_name, "expected labels", f"found {dtype}")
    folder.write(folder.images_name, np.zeros((5, 28, 28), dtype))
    folder.assert_refused(folder.images_name, "expected images", f"found {dtype}")


@pytest.mark.parametrize("label", range(10, 256))
def test_b165_labels_above_nine(folder, label):
    folder.labels[2] = label
    folder.write(folder.labels_name, folder.labels)
    folder.assert_refused(folder.labels_name, "expected labels from 0 to 9", f"found {label}")


@pytest.mark.parametrize("count", [0, 4, 6])
def test_b166_counts_differ(folder, count):
    folder.write(folder.labels_name, np.zeros(count, np.uint8))
    folder.assert_refused(folder.images_name, "5 images", folder.labels_name, f"{count} labels")


def test_b170_one_pixel_changed(folder):
    folder.images[3, 14, 14] ^= 1
    folder.write(folder.images_name, folder.images)
    with pytest.raises(ChecksumError) as caught:
        folder.read()
    message = str(caught.value)
    assert folder.images_name in message
    assert folder.sha256[folder.images_name] in message
    assert hashlib.sha256(idx_bytes(folder.images)).hexdigest() in message


def test_b170_two_labels_exchanged(folder):
    folder.write(folder.labels_name, folder.labels[::-1])
    with pytest.raises(ChecksumError, match=folder.labels_name):
        folder.read()


def test_b170_load_mnist_verifies_its_files(folder, monkeypatch):
    """load_mnist itself refuses well-formed files that are not MNIST."""
    monkeypatch.setattr(mnist, "_FOLDER", folder.path)
    with pytest.raises(ChecksumError, match=folder.images_name):
        load_mnist()


def test_missing_file_of_a_folder(folder):
    (folder.path / f"{folder.labels_name}.gz").unlink()
    with pytest.raises(FileNotFoundError):
        folder.read()


def test_truncated_file_of_a_folder(folder):
    path = folder.path / f"{folder.images_name}.gz"
    path.write_bytes(path.read_bytes()[:-9])
    folder.assert_refused(folder.images_name, "truncated")
