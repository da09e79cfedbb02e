"""The cases that the gradient checker is judged on: exact definitions, in families, right ones and every bug of theirs.

``tests/test_gradcheck_cases.py`` runs them all through ``bd.gradcheck``; ``benchmarks/gradcheck_vs.py`` shows how other
checkers fare. The definitions are in ``judged/``, a file for each kind:

functions   smooth functions of the textbooks and the bugs that people write into their backward
layers      objects with forward and backward, networks with params, loss and gradient
kinks       bends, ties, jumps, flats
large       one wrong element of many, errors that cancel, many kinks at once
numerics    scales, domains, curvature, cancellation, noise, float32, layouts, what is no gradient at all
conduct     arguments changed, random numbers, memory between the calls
extremes    what an adversary thought of: ripples, tiny scales, ties, saturation
"""

from judged import conduct, extremes, functions, kinks, large, layers, numerics

CASES = [*functions.CASES, *layers.CASES, *kinks.CASES, *large.CASES, *numerics.CASES, *conduct.CASES, *extremes.CASES]
BY_NAME = {case.name: case for case in CASES}
assert len(BY_NAME) == len(CASES), "two cases have the same name"

# Right, but their own rounding or noise hides the slope: UNRESOLVED is honest.
NOISY = [case.name for case in CASES if case.noisy]
# Wrong, but not in the given data.
INVISIBLE = [case.name for case in CASES if case.invisible]
