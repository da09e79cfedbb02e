"""How much of what a function gives is rounding: of its outputs, and of the gradients that somebody computed."""

import numpy as np

from ._slope import FLOAT64_EPS

FLOAT32_EPS = 2.0**-23
COARSE, FINER = 1e-7, 8  # relative moves that show rounding: this one, and so many more, each a quarter of the last
STAIRS = 1e-6, 1e-5, 1e-4  # and where those change nothing at all


def signed(rng, shape):
    """Numbers of both signs, none of them near 0: nothing can hide behind a small one."""
    return rng.uniform(0.5, 1.5, shape) * rng.choice([-1.0, 1.0], shape)


def noise_of_outputs(output_along, y, least):
    """(a bound on the rounding error of each number of the output, the rounding unit that it computes with).

    That is the number's own rounding unit (that of a narrower float if all that moves fits one), or more where
    larger terms inside the function have cancelled: this is seen by moving so little that it hardly changes. Where such
    moves change nothing at all, although a larger one does, the function goes in stairs, as code does that computes in
    float32 inside: then the height of a stair is looked for.

    ``output_along(step)``: the output with everything moved by `step` of its size. `least`: the unit of y's dtype.
    """
    far = output_along(1e-3)
    moved = np.isfinite(far) & (far != y)
    unit = max(precision(far[moved]) if moved.any() else FLOAT64_EPS, least)
    coarse, still = _roughness(output_along, COARSE)
    if unit > 1e-12:
        return _noise(np.maximum(unit * np.abs(y), coarse)), unit
    rounding = FLOAT64_EPS * np.abs(y)
    if not still.any() and np.all(coarse <= 16 * rounding):
        return _noise(np.maximum(rounding, coarse)), unit
    found = [_roughness(output_along, COARSE * 4.0**-k) for k in range(1, FINER + 1)]
    level = _noise_level([coarse, *(rough for rough, _ in found)], rounding)
    change = np.where(moved, np.abs(far - y), 0.0)
    frozen = np.all([still, *(quiet for _, quiet in found)], axis=0) & (change * COARSE > 16 * rounding)
    for scale in STAIRS:
        if not frozen.any():
            break
        stairs, quiet = _roughness(output_along, scale)
        level = np.where(frozen, np.maximum(level, stairs), level)
        if (frozen & (stairs > 16 * rounding)).any():
            unit = FLOAT32_EPS
            break
        frozen = frozen & quiet
    return _noise(np.maximum(rounding, level)), unit


def _roughness(output_along, scale):
    """(what is not smooth of neighbouring values, whether most of them are the same), of each output.

    Not at the point itself, where the function may have a kink or jump; the median: one elsewhere is no noise.
    """
    close = np.array([output_along(step * scale) for step in range(1, 11)])
    third = np.median(np.abs(np.diff(close, 3, axis=0)), axis=0)  # what is smooth is gone
    same = np.median(np.abs(np.diff(close, 1, axis=0)), axis=0) == 0
    return np.where(np.isfinite(third), third, 0.0), same


def _noise_level(rough, rounding):
    """The roughness that is noise, from that at steps coarse to fine.

    Noise is the same at every step, stairs are all there or not at all; but what grows with the cube of the step is a
    curve, and so is everything at larger steps.
    """
    level, curve = rough[-1], np.zeros(np.shape(rounding), bool)
    for finer, coarser in zip(rough[:0:-1], rough[-2::-1], strict=True):
        curve |= (coarser > 16 * level) & (coarser < 400 * finer)
        level = np.where(curve, level, np.maximum(level, coarser))
    return level


def _noise(values):
    return np.where(np.isfinite(values), values, 0.0)


def rounding_of_gradient(gradient, name, others, unit, told):
    """What rounding does to each element of an analytic gradient, measured: it is asked for at other scales.

    `unit`: of the function, whose gradient may be as coarse; float32 is let pass in any case. `told`: the code was
    meant to compute with that unit.
    """
    own = min(precision(gradient), max(unit, FLOAT32_EPS))
    floor = 4 * FLOAT64_EPS * np.abs(gradient)
    most = 64 * own * np.abs(gradient).max(initial=0)
    for scale, found in others:
        other = found.get(name)
        if other is not None and np.asarray(other).dtype.kind in "fiub" and np.shape(other) == gradient.shape:
            spread = 8 * np.abs(np.asarray(other, dtype=float) / scale - gradient)
            floor = np.maximum(floor, np.minimum(np.where(np.isfinite(spread), spread, 0.0), most))
    if told:
        floor = np.maximum(floor, 16 * own * np.abs(gradient))
        if own > 1e-9:
            floor = np.maximum(floor, own * np.abs(gradient).max(initial=0))
    return floor


def precision(values):
    """The rounding unit of the narrowest float type that holds all of these float64 numbers.

    Numbers of a few bits, such as whole ones, say nothing about the type.
    """
    values = np.ravel(np.asarray(values, dtype=float))
    values = values[np.isfinite(values) & (values != 0)]
    if not values.size:
        return FLOAT64_EPS
    whole = np.ldexp(np.frexp(values)[0], 53).astype(np.int64)
    bits = 54 - int(np.frexp((whole & -whole).astype(float))[1].min())
    for most, unit in ((5, FLOAT64_EPS), (8, 2.0**-7), (11, 2.0**-10), (24, FLOAT32_EPS)):
        if bits <= most:
            return unit
    return FLOAT64_EPS


def precision_of_dtype(dtype):
    """The rounding unit of a dtype."""
    return float(np.finfo(dtype).eps) if dtype.kind == "f" and dtype.itemsize < 8 else FLOAT64_EPS
