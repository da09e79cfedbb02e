"""A strict reader of IDX, the file format of MNIST.

An IDX file is a magic number (two zero bytes, a type byte, the number of dimensions), the size of
each dimension as a big-endian uint32, then the big-endian elements in C order, and nothing after.

Headers lie, so nothing is allocated because a header says so: memory grows only with bytes that
really arrived.
"""

import math
import os
import stat
import struct
import sys

import numpy as np

from ..errors import FormatError

__all__ = ["load_idx"]

_DTYPES = {
    0x08: np.dtype(np.uint8),
    0x09: np.dtype(np.int8),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}
_MAX_NDIM = 32  # what every supported NumPy can hold
_MAX_BYTES = sys.maxsize  # what one array can hold
_PIECE = 1 << 18  # bytes read or inflated at a time: bounds the memory a gzip bomb can claim

_GZIP_MAGIC = b"\x1f\x8b"
_GZIP_WBITS = 31  # tells zlib: a gzip header, and a CRC and length to verify at the end
_LOOKALIKES = {
    _GZIP_MAGIC: "gzip data inside gzip data: compressed twice?",
    b"PK": "a zip archive?",
    b"<": "a web page, saved by a failed download?",
}


def load_idx(path):
    """Read an IDX file, gzip-compressed or not, into a new array.

    Compression is detected by content, not by name. The file must be exactly what its header
    promises: truncation, trailing bytes, a second gzip member and a wrong gzip CRC are errors.

    Parameters
    ----------
    path : str, bytes or os.PathLike
        A regular file.

    Returns
    -------
    numpy.ndarray
        Writeable, C-contiguous and in native byte order, with the shape that the header gives:
        uint8, int8, int16, int32, float32 or float64. A first dimension of 0 (a file of no
        items) gives an empty array; any other dimension of 0 is an error.

    Raises
    ------
    FormatError
        The content is not valid IDX or gzip, or `path` is a pipe or a device.
    OSError
        The file does not exist, is a directory, or cannot be read.
    TypeError
        `path` is not a path; a file descriptor is not accepted.
    """
    name = os.fsdecode(path)
    try:
        with _open_regular_file(path) as file:
            return _read_array(file)
    except FormatError as error:
        raise FormatError(f"{name!r}: {error}") from error.__cause__


def _open_regular_file(path):
    # Asked before opening: to open a pipe would wait for its writer. A directory may pass,
    # because open() has the better error for it.
    mode = os.stat(path).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise FormatError("is not a regular file, expected an IDX file")
    return open(path, "rb")


def _read_array(file):
    compressed = file.peek(len(_GZIP_MAGIC)).startswith(_GZIP_MAGIC)
    stream = _GzipStream(file) if compressed else file

    dtype, shape = _read_header(stream)
    nbytes = math.prod(shape) * dtype.itemsize
    if not compressed:
        _check_file_size(file, nbytes)
    body = _read_exactly(stream, nbytes, "elements")
    if stream.read(1):
        raise FormatError(f"goes on after the {nbytes} bytes of elements that its header promises")
    return _as_native_array(body, dtype, shape)


def _read_header(stream):
    magic = bytes(_read_exactly(stream, 4, "magic number"))
    if magic[:2] != b"\0\0":
        raise FormatError(
            f"is not an IDX file: starts with the bytes {magic.hex(' ')}, expected 00 00{_guess_from(magic)}"
        )
    type_byte, ndim = magic[2:]
    if type_byte not in _DTYPES:
        known = ", ".join(f"0x{code:02x}" for code in _DTYPES)
        raise FormatError(f"has the IDX type byte 0x{type_byte:02x}, expected one of {known}")
    if not 1 <= ndim <= _MAX_NDIM:
        raise FormatError(f"has {ndim} dimensions, expected 1 to {_MAX_NDIM}")

    shape = struct.unpack(f">{ndim}I", _read_exactly(stream, 4 * ndim, "dimension sizes"))
    dtype = _DTYPES[type_byte]
    _check_shape(shape, dtype)
    return dtype, shape


def _guess_from(magic):
    if magic[2:] == b"\0\0" and magic[1] in _DTYPES:
        return " (a little-endian magic number?)"
    for prefix, guess in _LOOKALIKES.items():
        if magic.startswith(prefix):
            return f" ({guess})"
    return ""


def _check_shape(shape, dtype):
    count, *item_shape = shape
    if 0 in item_shape:
        raise FormatError(f"has the shape {shape}, expected no 0 after the first dimension")
    # NumPy limits the item size of an empty array as if it held one item.
    if max(count, 1) * math.prod(item_shape) * dtype.itemsize > _MAX_BYTES:
        raise FormatError(f"has the shape {shape} of {dtype.name}, expected at most {_MAX_BYTES} bytes")


def _check_file_size(file, nbytes):
    """Compare the size of an uncompressed file, its header just read, with what that promises."""
    found = os.fstat(file.fileno()).st_size
    expected = file.tell() + nbytes
    if found != expected:
        raise FormatError(f"holds {found} bytes, expected {expected} from its header")


def _read_exactly(stream, size, what):
    data = bytearray()
    while len(data) < size:
        piece = stream.read(min(_PIECE, size - len(data)))
        if not piece:
            raise FormatError(f"ends early: found {len(data)} bytes of {what}, expected {size}")
        data += piece
    return data


def _as_native_array(body, dtype, shape):
    """View the bytes of `body` as an array; swap them in place where the machine needs it."""
    array = np.ndarray(shape, dtype, buffer=body)
    if dtype.isnative:
        return array
    return array.byteswap(inplace=True).view(dtype.newbyteorder("="))


class _GzipStream:
    """Reads the content of a file that is one gzip member and nothing else.

    The standard `gzip` module joins further members silently, ignores zeros after the last one
    and raises three unrelated exceptions; this raises FormatError for all of it.
    """

    def __init__(self, file):
        import zlib  # here, to keep `import badak` cheap

        self._file = file
        self._inflater = zlib.decompressobj(_GZIP_WBITS)
        self._inflate_error = zlib.error

    def read(self, size):
        """Return 1 to `size` bytes, or none at the verified end; `size` must not be 0."""
        while not self._inflater.eof:
            piece = self._inflate(size)
            if piece:
                return piece
        self._check_nothing_follows()
        return b""

    def _inflate(self, size):
        compressed = self._inflater.unconsumed_tail or self._file.read(_PIECE)
        if not compressed:
            raise FormatError("ends early: its gzip data is truncated")
        try:
            return self._inflater.decompress(compressed, size)
        except self._inflate_error as error:
            raise FormatError(f"holds damaged gzip data: {error}") from error

    def _check_nothing_follows(self):
        rest = self._inflater.unused_data or self._file.read(len(_GZIP_MAGIC))
        if rest.startswith(_GZIP_MAGIC):
            raise FormatError("holds a second gzip member, expected one")
        if rest:
            raise FormatError("holds trailing bytes, expected none after its gzip data")
