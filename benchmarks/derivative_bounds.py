"""How far ``bd.derivative`` can be believed: random smooth functions, and families that are made to deceive it.

    python benchmarks/derivative_bounds.py

For each family: how many bounds hold, how many are called PASS and are wrong (there must be none), the median of
bound / error, the median of the certified digits, evaluations.
"""

import sys

import numpy as np

import badak as bd


def smooth():
    """(name, f(x, a), slope(x, a), how x is drawn)"""
    sin, cos, exp = np.sin, np.cos, np.exp
    near = (-4, 4)
    return [
        ("sin ax", lambda x, a: sin(a * x), lambda x, a: a * cos(a * x), near),
        ("exp ax", lambda x, a: exp(a * x), lambda x, a: a * exp(a * x), near),
        ("tanh ax", lambda x, a: np.tanh(a * x), lambda x, a: a / np.cosh(a * x) ** 2, near),
        ("x^3 - ax", lambda x, a: x**3 - a * x, lambda x, a: 3 * x**2 - a, near),
        (
            "1 / (1 + a^2 x^2)",
            lambda x, a: 1 / (1 + a * a * x * x),
            lambda x, a: -2 * a * a * x / (1 + (a * x) ** 2) ** 2,
            near,
        ),
        ("log(x^2 + a^2 + 1)", lambda x, a: np.log(x * x + a * a + 1), lambda x, a: 2 * x / (x * x + a * a + 1), near),
        (
            "sqrt(x^2 + 1) cos a",
            lambda x, a: np.sqrt(x * x + 1) * cos(a),
            lambda x, a: x / np.sqrt(x * x + 1) * cos(a),
            near,
        ),
        (
            "exp(-x^2) sin ax",
            lambda x, a: exp(-x * x) * sin(a * x),
            lambda x, a: exp(-x * x) * (a * cos(a * x) - 2 * x * sin(a * x)),
            near,
        ),
        ("1e6 + sin ax", lambda x, a: 1e6 + sin(a * x), lambda x, a: a * cos(a * x), near),
        ("1e-9 sin ax", lambda x, a: 1e-9 * sin(a * x), lambda x, a: 1e-9 * a * cos(a * x), near),
    ]


def f32(y):
    return float(np.float32(y))


def nasty():
    """(name, f, slope, points): each slope is that of f, or of what f rounds."""
    random = np.random.default_rng(7)
    xs = random.uniform(-2, 2, 60)
    noise = np.random.default_rng(8)
    relu = lambda x: max(x, 0.0)  # noqa: E731
    step = lambda x: float(x > 0)  # noqa: E731
    d = 10 ** random.uniform(-9, -3, 60)
    big = 1e6 * random.uniform(0.5, 2, 60)
    tiny = 10 ** random.uniform(-300, -6, 60)
    cases = [
        ("sin(1e4 x)", lambda x: np.sin(1e4 * x), lambda x: 1e4 * np.cos(1e4 * x), xs),
        (
            "x + sin(2 pi 640 x) / 1e3",
            lambda x: x + np.sin(2 * np.pi * 640 * x) / 1e3,
            lambda x: 1 + 1.28 * np.pi * np.cos(2 * np.pi * 640 * x),
            xs,
        ),
        (
            "x + sin(2 pi 3200 x)",
            lambda x: x + np.sin(2 * np.pi * 3200 * x),
            lambda x: 1 + 6400 * np.pi * np.cos(2 * np.pi * 3200 * x),
            xs,
        ),
        ("exp(50 x)", lambda x: np.exp(50 * x), lambda x: 50 * np.exp(50 * x), xs),
        ("cbrt near 0", np.cbrt, lambda x: np.cbrt(x) / (3 * x), np.concatenate([d, -d])),
        ("sqrt near 0", np.sqrt, lambda x: 0.5 / np.sqrt(x), d),
        ("log near 0", np.log, lambda x: 1 / x, tiny),
        ("x log x near 0", lambda x: x * np.log(x), lambda x: np.log(x) + 1, d),
        (
            "1 / (x - 1e-3)",
            lambda x: 1 / (x - 1e-3),
            lambda x: -1 / (x - 1e-3) ** 2,
            np.concatenate([[0.0], d[d < 9e-4], -d, xs]),
        ),
        ("1e8 + sin x", lambda x: 1e8 + np.sin(x), np.cos, xs),
        ("(1e10 + sin x) - 1e10", lambda x: (1e10 + np.sin(x)) - 1e10, np.cos, xs),
        ("(x^2 + 1e6) - (1e6 + x)", lambda x: (x * x + 1e6) - (1e6 + x), lambda x: 2 * x - 1, xs),
        (
            "relu(x - 1) + x, kink at d",
            lambda x: relu(x - 1) + x,
            lambda x: 1.0 + (x > 1),
            np.concatenate([1 + d, 1 - d]),
        ),
        ("relu(x), kink at d", relu, lambda x: float(x > 0), np.concatenate([d, -d])),
        (
            "x^2 + |x| / 10, kink at d",
            lambda x: x * x + abs(x) / 10,
            lambda x: 2 * x + np.sign(x) / 10,
            np.concatenate([d, -d]),
        ),
        (
            "x + clip(x, -1e-9, 1e-9)",
            lambda x: x + min(max(x, -1e-9), 1e-9),
            lambda x: 1.0 + (abs(x) < 1e-9),
            np.concatenate([d, [0.0]]),
        ),
        (
            "x + clip(x, -1e-7, 1e-7)",
            lambda x: x + min(max(x, -1e-7), 1e-7),
            lambda x: 1.0 + (abs(x) < 1e-7),
            np.concatenate([d, [0.0]]),
        ),
        ("sin x + step(x), jump at d", lambda x: np.sin(x) + step(x), np.cos, np.concatenate([d, -d])),
        ("sin x + 1e-6 step(x), jump at d", lambda x: np.sin(x) + 1e-6 * step(x), np.cos, np.concatenate([d, -d])),
        ("floor(8 x)", lambda x: float(np.floor(8 * x)), lambda x: 0.0, xs),
        ("x = 0", lambda x: np.exp(x) * np.sin(3 * x), lambda x: 3.0, [0.0]),
        ("sin, x about 1e6", np.sin, np.cos, big),
        ("x^2, x about 1e6", lambda x: x * x, lambda x: 2 * x, big),
        ("sin(x / 1e6), x about 1e6", lambda x: np.sin(x / 1e6), lambda x: np.cos(x / 1e6) / 1e6, big),
        ("x^2, tiny x", lambda x: x * x, lambda x: 2 * x, tiny),
        ("exp, tiny x", np.exp, lambda x: 1.0, tiny),
        ("sin in float32, unsaid", lambda x: f32(np.sin(x)), np.cos, xs),
        ("1 + x / 1e9 in float32", lambda x: f32(1.3 + x * 1e-9), lambda x: 1e-9, xs),
        ("exp in float32, times pi", lambda x: f32(np.exp(x)) * np.pi, lambda x: np.pi * np.exp(x), xs),
        ("float32 x inside, tanh", lambda x: float(np.tanh(np.float32(x))), lambda x: 1 / np.cosh(x) ** 2, xs),
        ("round(sin x, 6)", lambda x: round(np.sin(x), 6), np.cos, xs),
        ("round(2 x, 6)", lambda x: round(2 * x, 6), lambda x: 2.0, np.concatenate([xs, [0.5, 0.25, 1.0]])),
        ("sin x, noise 1e-8", lambda x: np.sin(x) + 1e-8 * noise.uniform(-1, 1), np.cos, xs),
        ("x^2, noise 1e-4", lambda x: x * x + 1e-4 * noise.normal(), lambda x: 2 * x, xs),
        ("noise alone", lambda x: noise.normal(), lambda x: 0.0, xs),
        ("0.1, noise 1e-12", lambda x: 0.1 + 1e-12 * noise.normal(), lambda x: 0.0, xs),
        ("constants", lambda x: 3.7, lambda x: 0.0, xs),
        (
            "sum of 1000 cosines",
            lambda x: float(np.cos(np.arange(1000) * x).sum()),
            lambda x: float(-(np.arange(1000) * np.sin(np.arange(1000) * x)).sum()),
            xs,
        ),
        ("x^2 at 0, cos at 0", lambda x: x * x + np.cos(x), lambda x: 0.0, [0.0]),
    ]
    return cases


def measure(calls):
    """Figures over (f, x, truth)."""
    kept, wrong, loose, digits, evaluations, passed = [], 0, [], [], [], 0
    for f, x, truth in calls:
        with np.errstate(all="ignore"):
            found = bd.derivative(f, x)
        error = abs(found.value - truth)
        # the formulas of the truth round as well
        holds = bool(error <= found.uncertainty + 4e-16 * abs(truth)) or found.status in ("DISCONTINUOUS", "NONFINITE")
        kept.append(holds)
        passed += found.status == "PASS"
        wrong += found.status == "PASS" and not holds
        if found.status == "PASS" and truth:
            loose.append(found.uncertainty / max(error, 1e-17 * abs(truth)))
            digits.append(-np.log10(max(found.uncertainty, 1e-17 * abs(truth)) / abs(truth)))
        evaluations.append(found.evaluations)
    return {
        "n": len(kept),
        "kept": float(np.mean(kept)),
        "passed": passed,
        "wrong": wrong,
        "loose": float(np.median(loose)) if loose else 0.0,
        "digits": float(np.median(digits)) if digits else 0.0,
        "evaluations": float(np.median(evaluations)),
    }


def smooth_calls(count, seed=5):
    random = np.random.default_rng(seed)
    families = smooth()
    for i in range(count):
        _, f, slope, (low, high) = families[i % len(families)]
        x, a = random.uniform(low, high), random.uniform(0.1, 4)
        yield (lambda x, f=f, a=a: f(x, a)), x, slope(x, a)


def nasty_calls():
    for name, f, slope, points in nasty():
        yield name, [(f, float(x), float(slope(x))) for x in points]


def main():
    row = "{:34} {:>5} {:>6} {:>6} {:>6} {:>12} {:>7} {:>6}"
    print(row.format("", "n", "hold", "PASS", "wrong", "bound/error", "digits", "evals"))

    def show(name, m):
        print(
            row.format(
                name,
                m["n"],
                f"{m['kept']:.3f}",
                m["passed"],
                m["wrong"],
                f"{m['loose']:.1f}",
                f"{m['digits']:.1f}",
                f"{m['evaluations']:.0f}",
            )
        )

    show("smooth, random", measure(smooth_calls(1000)))
    for name, calls in nasty_calls():
        show(name, measure(calls))


if __name__ == "__main__":
    sys.exit(main())
