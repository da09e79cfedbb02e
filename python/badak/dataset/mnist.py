"""The MNIST handwritten digits, inside the package: nothing to download.

The counterpart of the book's ``dataset/mnist.py``, without what that needs for its download and its cache. The four
files are the original ones; see ``files/LICENSE-MNIST.md`` for their authors and licence.
"""

import os
import pickle  # noqa: F401
import struct

import numpy as np

from ..errors import ChecksumError, FormatError
from .idx import load_idx

__all__ = [
    "download_mnist",
    "img_dim",
    "img_size",
    "init_mnist",
    "load_mnist",
    "test_num",
    "train_num",
    *("np", "os", "pickle"),  # the book's module hands them on
]

train_num = 60000
test_num = 10000
img_dim = (1, 28, 28)
img_size = 784

_CLASSES = 10
_FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "files")

# Of the uncompressed content: a digest of the .gz would change with every recompression.
_SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}


def load_mnist(normalize=True, flatten=True, one_hot_label=False):
    """Load MNIST: 60,000 training and 10,000 test images of 28 x 28 pixels, with their labels.

    Each call reads the files anew and verifies their SHA-256; the arrays belong to the caller.

    Parameters
    ----------
    normalize : bool
        True: pixels are float32 from 0.0 to 1.0. False: uint8 from 0 to 255.
    flatten : bool
        True: an image is a row of 784 pixels. False: it has the shape (1, 28, 28).
    one_hot_label : bool
        True: a label is a row of ten zeros but for a one, such as [0, 0, 1, 0, 0, 0, 0, 0, 0, 0].
        False: it is the digit, such as 2.

    Returns
    -------
    (x_train, t_train), (x_test, t_test) : tuple of two tuples of numpy.ndarray
        Images ``x``: float32 or uint8, shape (N, 784) or (N, 1, 28, 28).
        Labels ``t``: uint8, shape (N,); or one-hot: float64, shape (N, 10).

    Raises
    ------
    TypeError
        An argument is neither True nor False.
    ChecksumError
        A file of the installed package was changed.
    FormatError
        A file of the installed package is damaged.

    Notes
    -----
    Y. LeCun, C. Cortes, C. J. C. Burges: The MNIST database of handwritten digits (CC BY-SA 3.0).
    Book: section 3.6.1.
    """
    _require_bools(normalize=normalize, flatten=flatten, one_hot_label=one_hot_label)

    def load_part(part):
        images, labels = read_part(_FOLDER, part, _SHA256)
        return (
            _shape_images(images, normalize, flatten),
            np.eye(_CLASSES)[labels] if one_hot_label else labels,
        )

    return load_part("train"), load_part("t10k")


def download_mnist():
    """Do nothing: MNIST is inside badak. (In the book it fetches the files.)"""


def init_mnist():
    """Do nothing: MNIST is inside badak. (In the book it fetches the files and converts them.)"""


def read_part(folder, part, sha256):
    """Read and verify one pair of files in MNIST's format.

    Parameters
    ----------
    folder : str
        Holds ``{part}-images-idx3-ubyte.gz`` and ``{part}-labels-idx1-ubyte.gz``.
    part : str
        "train" or "t10k".
    sha256 : mapping of str to str
        The SHA-256 of each file's uncompressed content, by file name without ``.gz``.

    Returns
    -------
    images : numpy.ndarray
        uint8, shape (N, 28, 28).
    labels : numpy.ndarray
        uint8 from 0 to 9, shape (N,).

    Raises
    ------
    FormatError
        A file is malformed, holds something else, or the two counts differ.
    ChecksumError
        A well-formed file is not the one that `sha256` names.
    """
    images_name, labels_name = f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte"
    images_path = os.path.join(folder, f"{images_name}.gz")
    labels_path = os.path.join(folder, f"{labels_name}.gz")

    images, labels = _read_images(images_path), _read_labels(labels_path)
    if len(images) != len(labels):
        raise FormatError(
            f"{images_path!r} holds {len(images)} images, "
            f"but {labels_path!r} holds {len(labels)} labels; expected as many"
        )
    _check_sha256(images, images_path, sha256[images_name])
    _check_sha256(labels, labels_path, sha256[labels_name])
    return images, labels


def _read_images(path):
    images = load_idx(path)
    if images.dtype != np.uint8 or images.shape[1:] != img_dim[1:]:
        raise FormatError(
            f"{path!r}: expected images, uint8 of shape (N, 28, 28) (magic number 0x00000803), "
            f"found {images.dtype} of shape {images.shape}"
        )
    return images


def _read_labels(path):
    labels = load_idx(path)
    if labels.dtype != np.uint8 or labels.ndim != 1:
        raise FormatError(
            f"{path!r}: expected labels, uint8 of shape (N,) (magic number 0x00000801), "
            f"found {labels.dtype} of shape {labels.shape}"
        )
    largest = labels.max(initial=0)
    if largest >= _CLASSES:
        raise FormatError(f"{path!r}: expected labels from 0 to 9, found {largest}")
    return labels


def _check_sha256(array, path, expected):
    import hashlib  # here, to keep `import badak` cheap

    # The reader is strict: a uint8 file is exactly this header and the array's bytes, so hashing
    # them is hashing the file, without a second copy of it in memory.
    header = struct.pack(f">HBB{array.ndim}I", 0, 0x08, array.ndim, *array.shape)
    digest = hashlib.sha256(header)
    digest.update(array)
    found = digest.hexdigest()
    if found != expected:
        raise ChecksumError(f"{path!r}: the SHA-256 of its uncompressed content is {found}, expected {expected}")


def _shape_images(images, normalize, flatten):
    if normalize:
        images = np.divide(images, 255, dtype=np.float32)  # one pass, no float copy in between
    return images.reshape(len(images), *((img_size,) if flatten else img_dim))


def _require_bools(**arguments):
    for name, value in arguments.items():
        if not isinstance(value, (bool, np.bool_)):
            raise TypeError(f"load_mnist: {name} must be True or False, got {type(value).__name__}")
