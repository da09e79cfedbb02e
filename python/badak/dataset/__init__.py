"""Data to learn from: MNIST inside the package, and a strict reader of its IDX format."""

from .idx import load_idx
from .mnist import load_mnist

__all__ = ["load_idx", "load_mnist"]
