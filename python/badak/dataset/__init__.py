"""Data to learn from: MNIST inside the package, a strict reader of its IDX format, and toy sets."""

from .idx import load_idx
from .mnist import load_mnist
from .toy import regression1d, spiral, xor

__all__ = ["load_idx", "load_mnist", "regression1d", "spiral", "xor"]
