"""Small sets of points to draw and to learn from in seconds. The same seed gives the same points."""

import operator

import numpy as np

__all__ = ["regression1d", "spiral", "xor"]


def spiral(n=100, classes=3, noise=0.2, seed=0):
    """Points in the plane on arms that wind around each other: no straight line divides them.

    Parameters
    ----------
    n : int
        Points of each class.
    classes : int
        Arms.
    noise : float
        How far a point strays along the turn, as a standard deviation in radians.
    seed : int

    Returns
    -------
    x : (n * classes, 2) float64 array
        Within the unit circle, one class after the other.
    t : (n * classes,) int array
    """
    n, noise, rng = _checked(n, noise, seed)
    classes = _count(classes, "classes")
    radius = np.tile(np.arange(n) / n, classes)
    t = np.repeat(np.arange(classes), n)
    angle = 4 * radius + 2 * np.pi * t / classes + noise * rng.standard_normal(n * classes)
    return np.stack([radius * np.sin(angle), radius * np.cos(angle)], axis=1), t


def xor(n=100, noise=0.15, seed=0):
    """Points around the corners (0, 0), (1, 0), (0, 1) and (1, 1), of class 1 where one coordinate is 1 and not both.

    Parameters
    ----------
    n : int
        Points around each corner.
    noise : float
        Standard deviation of their distance from it, in each direction; 0 gives the corners themselves.
    seed : int

    Returns
    -------
    x : (4 * n, 2) float64 array
    t : (4 * n,) int array
    """
    n, noise, rng = _checked(n, noise, seed)
    corners = np.tile([[0, 0], [1, 0], [0, 1], [1, 1]], (n, 1))
    return corners + noise * rng.standard_normal(corners.shape), corners[:, 0] ^ corners[:, 1]


def regression1d(n=100, noise=0.1, seed=0, f=None):
    """Points (x, f(x)) with noise on f(x), for x drawn from 0 to 1.

    Parameters
    ----------
    n : int
    noise : float
        Standard deviation of what is added to f(x).
    seed : int
    f : callable or None
        Of an array, element by element; sin(2 pi x) if not given.

    Returns
    -------
    x : (n, 1) float64 array, ascending
    t : (n, 1) float64 array
    """
    n, noise, rng = _checked(n, noise, seed)
    x = np.sort(rng.random((n, 1)), axis=0)
    t = np.sin(2 * np.pi * x) if f is None else np.asarray(f(x), dtype=float)
    if t.shape != x.shape:
        raise ValueError(f"f returned shape {t.shape} for x of shape {x.shape}: it must work element by element")
    return x, t + noise * rng.standard_normal(x.shape)


def _checked(n, noise, seed):
    noise = float(noise)
    if not 0 <= noise < np.inf:
        raise ValueError(f"noise = {noise}: expected 0 or more")
    return _count(n, "n"), noise, np.random.default_rng(seed)


def _count(value, name):
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be an integer, got {type(value).__name__}")
    value = operator.index(value)
    if value < 1:
        raise ValueError(f"{name} = {value}: expected at least 1")
    return value
