"""Making layers and optimisers, and optimisers by hand (B067-B105, B108, B109)."""

import sys

import numpy as np

import badak as bd

from .use import NO_INTEGERS
from .world import Row, case, digest, each, misaligned, read_only, refused, rows

W, B = np.ones((4, 3)), np.ones(3)


PARAMETER_ROWS = [
    ("list", lambda: W.tolist(), TypeError, "must be a float32 or float64 NumPy array, got list"),
    ("str", lambda: "abc", TypeError, "must be a float32 or float64 NumPy array, got str"),
    ("integers", lambda: W.astype(int), TypeError, "has dtype int64: .*must be float32 or float64 already"),
    ("float16", lambda: W.astype("f2"), TypeError, "has dtype float16"),
    ("longdouble", lambda: W.astype(np.longdouble), TypeError, "has dtype .*: .*must be float32 or float64"),
    ("complex", lambda: W + 0j, TypeError, "has dtype complex128"),
    ("object", lambda: W.astype(object), TypeError, "has dtype object"),
    ("masked", lambda: np.ma.masked_array(W, mask=W > 0), TypeError, "is a masked array"),
    ("B019 read-only", lambda: read_only(W), ValueError, "is read-only: .*copy"),
    ("B019 broadcast", lambda: np.broadcast_to(1.0, (4, 3)), ValueError, "is read-only"),
    ("misaligned", lambda: misaligned(W), ValueError, "is not aligned in memory: .*copy"),
    (
        "byte-swapped",
        lambda: W.astype(">f8" if sys.byteorder == "little" else "<f8"),
        ValueError,
        r"is not in native byte order: .*astype\(float\) makes one",
    ),
]


@each(("make", "error", "message"), rows(PARAMETER_ROWS))
def arrays_that_cannot_be_parameters(world, make, error, message):
    array = make()
    refused(world, lambda: bd.Affine(array, B), error, rf"\bW {message}", array)
    refused(world, lambda: setattr(world.affine, "W", array), error, rf"\bW {message}", array)
    params = {"W": array, "b": B.copy()}
    refused(world, lambda: world.sgd.update(params, {"W": W, "b": B}), error, message, array)
    np.testing.assert_array_equal(params["b"], B)


OBJECT_0D = np.array(None)
AFFINE_ROWS = [
    ("nothing", lambda: bd.Affine(), TypeError, r"arrays \(W, b\) or units=..."),
    ("the book's sizes", lambda: bd.Affine(784, 50), TypeError, r"arrays \(W, b\), or units=50 inside a Net"),
    ("a number", lambda: bd.Affine(50), TypeError, "units=50"),
    ("a NumPy number", lambda: bd.Affine(np.int64(784), np.int64(50)), TypeError, "units=50"),
    ("W alone", lambda: bd.Affine(W), TypeError, r"arrays \(W, b\) or units=..."),
    ("b alone", lambda: bd.Affine(b=B), TypeError, r"arrays \(W, b\) or units=..."),
    ("both", lambda: bd.Affine(W, B, units=3), TypeError, "not both"),
    ("W 1-d", lambda: bd.Affine(B, B), ValueError, r"W has 1 dimensions?, expected 2"),
    ("W 3-d", lambda: bd.Affine(np.ones((1, 4, 3)), B), ValueError, r"W has 3 dimensions, expected 2"),
    ("B067 no inputs", lambda: bd.Affine(np.ones((0, 3)), B), ValueError, r"W has shape \(0, 3\)"),
    ("B067 no units", lambda: bd.Affine(np.ones((4, 0)), np.ones(0)), ValueError, r"W has shape \(4, 0\)"),
    ("b too long", lambda: bd.Affine(W, np.ones(4)), ValueError, r"b has shape \(4,\), expected \(3,\)"),
    ("b 2-d", lambda: bd.Affine(W, np.ones((1, 3))), ValueError, r"b has shape \(1, 3\), expected \(3,\)"),
    ("b of another dtype", lambda: bd.Affine(W, B.astype("f4")), TypeError, "W is float64, but b is float32"),
    (
        "b list",
        lambda: bd.Affine(W, [1.0, 1.0, 1.0]),
        TypeError,
        "b must be a float32 or float64 NumPy array, got list",
    ),
    ("b str", lambda: bd.Affine(W, "abc"), TypeError, r"\bb must be"),
    ("b complex", lambda: bd.Affine(W, 1j), TypeError, r"\bb must be"),
    ("b complex 0-d", lambda: bd.Affine(W, np.complex128(1)), TypeError, r"\bb\b"),
    ("b str 0-d", lambda: bd.Affine(W, np.array("x")), TypeError, r"\bb\b"),
    ("b object 0-d", lambda: bd.Affine(W, OBJECT_0D), TypeError, r"\bb\b"),
    ("b datetime 0-d", lambda: bd.Affine(W, np.datetime64(0, "s")), TypeError, r"\bb\b"),
    ("b bool", lambda: bd.Affine(W, True), TypeError, r"\bb\b"),
    ("b too large", lambda: bd.Affine(W, 10**400), OverflowError, ""),
    ("b read-only", lambda: bd.Affine(W, read_only(B)), ValueError, "b is read-only"),
    ("B067 units=0", lambda: bd.Affine(units=0), ValueError, "units = 0 is out of range: .*at least 1"),
    ("B068 units=-1", lambda: bd.Affine(units=-1), ValueError, "units = -1 is out of range: .*at least 1"),
    ("units=2**48+1", lambda: bd.Affine(units=2**48 + 1), ValueError, "units = 281474976710657 is out of range"),
    ("units=2**63-1", lambda: bd.Affine(units=2**63 - 1), ValueError, "units = 9223372036854775807 is out of range"),
    (
        "B093 init unknown",
        lambda: bd.Affine(units=3, init="h"),
        ValueError,
        'init must be "he", "xavier" or a standard deviation',
    ),
    ("init ''", lambda: bd.Affine(units=3, init=""), ValueError, 'init must be "he", "xavier"'),
    ("init surrogate", lambda: bd.Affine(units=3, init="\ud800"), ValueError, 'init must be "he", "xavier"'),
    ("init NUL", lambda: bd.Affine(units=3, init="he\0"), ValueError, 'init must be "he", "xavier"'),
    ("B093 init=None", lambda: bd.Affine(units=3, init=None), TypeError, "init must be"),
    ("init=list", lambda: bd.Affine(units=3, init=[0.1]), TypeError, "init must be a number, got list"),
    ("init=bytes", lambda: bd.Affine(units=3, init=b"he"), TypeError, "init must be a number, got bytes"),
    ("init=True", lambda: bd.Affine(units=3, init=True), TypeError, "init must be a number, got bool"),
    ("init=1j", lambda: bd.Affine(units=3, init=1j), TypeError, "init must be a number, got complex"),
    ("B094 init=nan", lambda: bd.Affine(units=3, init=np.nan), ValueError, "init = nan is out of range"),
    ("B094 init=inf", lambda: bd.Affine(units=3, init=np.inf), ValueError, "init = inf is out of range"),
    ("B094 init=-1", lambda: bd.Affine(units=3, init=-1), ValueError, "init = -1 is out of range: .*at least 0"),
    ("B094 init=-2.0", lambda: bd.Affine(units=3, init=-2.0), ValueError, "init = -2.0 is out of range"),
    ("B096 unknown keyword", lambda: bd.Affine(units=3, stride=1), TypeError, "unexpected keyword argument 'stride'"),
]

LAYER_ROWS = [
    ("Layer itself", lambda: bd.Layer(), TypeError, ""),
    ("Relu(1)", lambda: bd.Relu(1), TypeError, "positional"),
    ("Sigmoid(x=1)", lambda: bd.Sigmoid(x=1), TypeError, "unexpected keyword"),
    ("Residual()", lambda: bd.Residual(), TypeError, "layers"),
    ("Residual(None)", lambda: bd.Residual(None), TypeError, ""),
    ("Residual([])", lambda: bd.Residual([]), ValueError, "at least one layer"),
    ("Residual([None])", lambda: bd.Residual([None]), TypeError, "Residual takes badak layers, got NoneType"),
    ("Residual([class])", lambda: bd.Residual([bd.Relu]), TypeError, "Residual takes badak layers, got the class Relu"),
    ("Residual(layer)", lambda: bd.Residual(bd.Relu()), TypeError, ""),
    ("Residual(str)", lambda: bd.Residual("abc"), TypeError, "Residual takes badak layers, got str"),
    ("Residual of one twice", lambda: bd.Residual([LONELY, LONELY]), ValueError, "same"),
    ("SoftmaxWithLoss eps=-1", lambda: bd.SoftmaxWithLoss(eps=-1), ValueError, "eps = -1 is out of range"),
    ("SoftmaxWithLoss eps=nan", lambda: bd.SoftmaxWithLoss(eps=np.nan), ValueError, "eps = nan is out of range"),
    ("SoftmaxWithLoss eps=2", lambda: bd.SoftmaxWithLoss(eps=2), ValueError, "eps = 2 is out of range"),
    ("SoftmaxWithLoss eps=str", lambda: bd.SoftmaxWithLoss(eps="0"), TypeError, "eps must be a number, got str"),
    ("SoftmaxWithLoss eps=None", lambda: bd.SoftmaxWithLoss(eps=None), TypeError, "eps must be a number, got NoneType"),
    ("SoftmaxWithLoss eps=True", lambda: bd.SoftmaxWithLoss(eps=True), TypeError, "eps must be a number, got bool"),
    ("IdentityWithLoss(1)", lambda: bd.IdentityWithLoss(1), TypeError, "positional"),
]
LONELY = bd.Tanh()


@each(("call", "error", "message"), rows(AFFINE_ROWS + LAYER_ROWS))
def making_a_layer(world, call, error, message):
    refused(world, call, error, message)


@each(("value", "error", "message"), rows(NO_INTEGERS))
def units(world, value, error, message):  # B069, B070, B072, B075
    named = "" if error is LookupError or "__index__" in message else "units"
    refused(world, lambda: bd.Affine(units=value), error, f"{named}.*{message}", value)


@case
def a_layer_without_arrays_says_what_is_missing(world):
    refused(world, lambda: bd.Affine(units=3).forward(world.x), RuntimeError, "has no arrays: inside a Net")


@each(
    ("name", "value", "error", "message"),
    [
        ("W", None, TypeError, "W must be a float32 or float64 NumPy array, got NoneType"),
        ("W", np.ones((4, 6)), ValueError, r"b has shape \(5,\), expected \(6,\)"),
        ("W", np.ones((4, 5), np.float16), TypeError, "W has dtype float16"),
        ("W", np.ones(5), ValueError, "W has 1 dimensions"),
        ("b", np.ones(4), ValueError, r"b has shape \(4,\), expected \(5,\)"),
        ("b", None, TypeError, r"\bb must be"),
        ("b", "abc", TypeError, r"\bb must be"),
    ],
)
def assigning_parameters_of_a_layer(world, name, value, error, message):  # B100
    refused(world, lambda: setattr(world.affine, name, value), error, message, value)


@case
def parameters_of_a_layer_cannot_be_deleted(world):  # B100
    refused(world, lambda: delattr(world.affine, "W"), AttributeError, "W cannot be deleted")


BAD_REALS = [
    ("None", None, TypeError, "must be a number, got NoneType"),
    ("str", "0.1", TypeError, "must be a number, got str"),
    ("bool", True, TypeError, "must be a number, got bool"),
    ("np.bool_", np.True_, TypeError, "must be a number, got (numpy.)?bool"),
    ("complex", 1j, TypeError, "must be a number, got complex"),
    ("NumPy complex", np.complex64(1), TypeError, "must be a number, got numpy.complex64"),
    ("list", [0.1], TypeError, "must be a number, got list"),
    ("1-d array", np.array([0.1]), TypeError, "must be a number, got numpy.ndarray"),
    ("0-d object array", OBJECT_0D, TypeError, "must be a number"),
    ("NaN", np.nan, ValueError, "= nan is out of range: expected a finite number"),
    ("infinity", np.inf, ValueError, "= inf is out of range: expected a finite number"),
    ("-infinity", -np.inf, ValueError, "= -inf is out of range: expected a finite number"),
    ("-1", -1, ValueError, "= -1 is out of range"),
    ("10**400", 10**400, OverflowError, ""),
]


OPTIONS = [
    (bd.SGD, "lr"),
    (bd.Adam, "lr"),
    (bd.Adam, "beta1"),
    (bd.Adam, "beta2"),
    (bd.Adam, "eps"),
    (bd.Momentum, "momentum"),
    (bd.Nesterov, "momentum"),
    (bd.AdaGrad, "eps"),
    (bd.RMSprop, "decay_rate"),
]


@each(("kind", "name"), [Row(f"{kind.__name__} {name}", (kind, name)) for kind, name in OPTIONS])
@each(("value", "error", "message"), rows(BAD_REALS))
def options_of_optimisers(world, kind, name, value, error, message):  # B104, B105
    named = name if message else ""
    refused(world, lambda: kind(**{name: value}), error, f"{named} ?{message}", value)
    optimizer = kind()
    setattr(optimizer, name, value)
    params, grads = {"p": np.ones(3)}, {"p": np.ones(3)}
    refused(world, lambda: optimizer.update(params, grads), error, f"{named} ?{message}", value)
    np.testing.assert_array_equal(params["p"], np.ones(3))
    assert optimizer.iter == 0


@each(
    ("call", "message"),
    rows(
        [
            ("lr=0", lambda: bd.SGD(lr=0), "SGD: lr = 0 is out of range: expected a finite number above 0"),
            ("lr=1e31", lambda: bd.SGD(lr=1e31), "SGD: lr = 1e.31 is out of range"),
            ("Adam lr=0", lambda: bd.Adam(lr=0.0), "Adam: lr = 0.0 is out of range"),
            ("B105 beta1=1", lambda: bd.Adam(beta1=1.0), "beta1 = 1.0 is out of range: .*at least 0 and below 1"),
            ("B105 beta2=-0.1", lambda: bd.Adam(beta2=-0.1), "beta2 = -0.1 is out of range"),
            ("B105 beta2=1", lambda: bd.Adam(beta2=1), "beta2 = 1 is out of range"),
            ("B105 eps=0", lambda: bd.Adam(eps=0), "eps = 0 is out of range: expected a finite number above 0"),
        ]
    ),
)
def options_of_optimisers_at_their_limits(world, call, message):
    refused(world, call, ValueError, message)


@case
def unknown_options_of_optimisers(world):
    refused(world, lambda: bd.SGD(momentum=0.9), TypeError, "unexpected keyword argument 'momentum'")
    refused(world, lambda: bd.Adam(0.1, 0.9, 0.999, 1e-7, 0), TypeError, "positional")


# ---- Optimisers by hand ----


UPDATE_ROWS = [
    ("params=None", None, {}, TypeError, ""),
    ("params=list", [W.copy()], [W], TypeError, "params must be a dict of arrays by name, got list"),
    ("grads=array", {"a": W.copy()}, W, TypeError, "grads must be a dict of arrays by name, got ndarray"),
    ("grads=None", {"a": W.copy()}, None, TypeError, ""),
    ("a gradient is missing", {"a": W.copy(), "b": B.copy()}, {"a": W}, KeyError, "b"),
    ("a gradient of another shape", {"a": W.copy(), "b": B.copy()}, {"a": W, "b": W}, ValueError, r"\(3,\).*\(4, 3\)"),
    (
        "a gradient that broadcasts",
        {"a": W.copy()},
        {"a": 1.0},
        ValueError,
        r"parameter has shape \(4, 3\), but its gradient has shape \(\)",
    ),
    (
        "a gradient is None",
        {"a": W.copy(), "b": B.copy()},
        {"a": W, "b": None},
        TypeError,
        "gradient must hold real numbers",
    ),
    ("a gradient is complex", {"a": W.copy()}, {"a": W + 0j}, TypeError, "gradient must hold real numbers"),
    ("a gradient is masked", {"a": W.copy()}, {"a": np.ma.masked_array(W, mask=W > 0)}, TypeError, "masked"),
    ("a gradient is an object", {"a": W.copy()}, {"a": W.astype(object)}, TypeError, "gradient must hold real numbers"),
    (
        "the second parameter is a list",
        {"a": W.copy(), "b": [1.0]},
        {"a": W, "b": [1.0]},
        TypeError,
        "parameter must be a float32 or float64",
    ),
    ("the second parameter is None", {"a": W.copy(), "b": None}, {"a": W, "b": 1.0}, TypeError, "parameter must be"),
    ("the second parameter is a bool", {"a": W.copy(), "b": True}, {"a": W, "b": 1.0}, TypeError, "parameter must be"),
    (
        "the second parameter is read-only",
        {"a": W.copy(), "b": read_only(B)},
        {"a": W, "b": B},
        ValueError,
        "read-only",
    ),
    ("a number with an array as gradient", {"a": W.copy(), "b": 1.0}, {"a": W, "b": B}, ValueError, "shape"),
]


@each("kind", [Row(kind.__name__, (kind,)) for kind in (bd.SGD, bd.Momentum, bd.Adam)])
@each(("params", "grads", "error", "message"), rows(UPDATE_ROWS))
def updates_are_all_or_nothing(world, kind, params, grads, error, message):
    optimizer = kind()
    values = list(params.values()) if isinstance(params, dict) else []
    before = digest(value for value in values if isinstance(value, np.ndarray))
    refused(world, lambda: optimizer.update(params, grads), error, message, *values)
    assert digest(value for value in values if isinstance(value, np.ndarray)) == before
    assert optimizer.iter == 0
    assert not any(optimizer.state.values())
    if values:
        assert list(params.values()) == values or all(a is b for a, b in zip(params.values(), values, strict=True))


@case
def state_that_no_longer_fits_is_refused(world):  # B109
    adam = bd.Adam()
    params = {"W": W.copy()}
    adam.update(params, {"W": W})
    kept = adam.m["W"].copy()
    other = {"W": np.ones((2, 2))}
    refused(world, lambda: adam.update(other, other), ValueError, "another shape than its parameter")
    single = {"W": W.astype("f4")}
    refused(world, lambda: adam.update(single, {"W": W}), TypeError, "another dtype than its parameter")
    np.testing.assert_array_equal(adam.m["W"], kept)
    np.testing.assert_array_equal(other["W"], np.ones((2, 2)))
    assert adam.iter == 1
