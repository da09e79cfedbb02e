"""Labels and targets (B051-B058, B064)."""

import numpy as np

import badak as bd

from .world import INT64_MIN, case, crossed, each, fresh_net, refused

CLASSES = r"expected 0 to 2"
NEEDS = r"\bt has shape .* needs (integer labels|rows)"
BAD_LABELS = [
    ("B051 label C", lambda t: np.where(t == 1, 3, t), ValueError, rf"label 3 of sample \d+ is not a class: {CLASSES}"),
    ("B052 label -1", lambda t: np.where(t == 1, -1, t), ValueError, rf"label -1 of sample \d+ .*{CLASSES}"),
    (
        "B053 label INT64_MIN",
        lambda t: np.where(t == 1, INT64_MIN, t),
        ValueError,
        rf"label -9223372036854775808 .*{CLASSES}",
    ),
    ("B054 label 2**63+5", lambda t: np.where(t == 1, np.uint64(2**63 + 5), t.astype("u8")), ValueError, CLASSES),
    ("B054 label 2**64-1", lambda t: np.where(t == 1, np.uint64(2**64 - 1), t.astype("u8")), ValueError, CLASSES),
    ("label 255 as uint8", lambda t: np.full(12, 255, "u1"), ValueError, rf"label 255 of sample 0.*{CLASSES}"),
    ("B055 float labels", lambda t: t.astype(float), TypeError, NEEDS),
    ("B055 list of floats", lambda t: t.astype(float).tolist(), TypeError, NEEDS),
    ("B056 fractions", lambda t: t + 0.5, TypeError, NEEDS),
    ("B056 NaN", lambda t: np.full(12, np.nan), TypeError, NEEDS),
    ("B056 infinity", lambda t: np.full(12, np.inf), TypeError, NEEDS),
    ("B057 (N, 2)", lambda t: np.zeros((12, 2), int), ValueError, NEEDS),
    ("B057 (N, 4)", lambda t: np.eye(4)[t], ValueError, NEEDS),
    ("(N, C, 1)", lambda t: np.eye(3)[t][:, :, None], ValueError, NEEDS),
    ("(N, 1, 1)", lambda t: t[:, None, None], ValueError, NEEDS),
    ("(N, 1) of floats", lambda t: t[:, None].astype(float), (TypeError, ValueError), NEEDS),
    ("0-d", lambda t: 1, ValueError, NEEDS),
    ("no labels", lambda t: t[:0], ValueError, "x has 12 samples, but t has 0"),
    ("B047 one label less", lambda t: t[1:], ValueError, "x has 12 samples, but t has 11"),
    ("B058 soft, negative", lambda t: np.eye(3)[t] - 0.25, ValueError, r"row 0 of the labels holds -0.25"),
    ("B058 soft, NaN", lambda t: np.eye(3)[t] * np.nan, ValueError, "row 0 of the labels holds -?nan"),
    ("B058 soft, infinite", lambda t: np.full((12, 3), np.inf), ValueError, "row 0 of the labels holds inf"),
    ("None", lambda t: None, TypeError, NEEDS),
    ("str", lambda t: "abc", TypeError, NEEDS),
    ("str array", lambda t: t.astype(str), TypeError, NEEDS),
    ("object array", lambda t: t.astype(object), TypeError, NEEDS),
    ("complex", lambda t: t + 0j, TypeError, NEEDS),
    ("datetime64", lambda t: t.astype("M8[s]"), TypeError, NEEDS),
    ("timedelta64", lambda t: t.astype("m8[s]"), TypeError, NEEDS),
    ("structured", lambda t: np.zeros(12, [("a", "i4")]), TypeError, NEEDS),
    ("longdouble", lambda t: t.astype(np.longdouble), TypeError, NEEDS),
    ("masked", lambda t: np.ma.masked_array(t, mask=t == 0), TypeError, "t is a masked array"),
    ("ragged", lambda t: [[1, 2], [3]], ValueError, "inhomogeneous"),
    ("set", lambda t: {0, 1}, TypeError, NEEDS),
]
T_OF_NET = {
    "loss": lambda w, t: w.net.loss(w.x, t),
    "accuracy": lambda w, t: w.net.accuracy(w.x, t),
    "gradient": lambda w, t: w.net.gradient(w.x, t),
    "numerical_gradient": lambda w, t: w.net.numerical_gradient(w.x, t),
    "train_step": lambda w, t: w.net.train_step(w.x, t),
    "fit": lambda w, t: w.net.fit(w.x, t, epochs=1, seed=3),
    "fit, first": lambda w, t: fresh_net().fit(w.x, t, epochs=1, optimizer=w.sgd),
    "validation": lambda w, t: w.net.fit(w.x, w.t, epochs=1, seed=3, validation=(w.x, t)),
    "SoftmaxWithLoss": lambda w, t: w.softmax.forward(w.x[:, :3], t),
    "cross_entropy_error": lambda w, t: bd.cross_entropy_error(np.ones((12, 3)), t),
}


@each(("call", "make", "error", "message"), crossed(T_OF_NET, BAD_LABELS))
def bad_labels(world, call, make, error, message):
    t = make(world.t)
    refused(world, lambda: call(world, t), error, message, t)


@case
def the_message_shows_the_label_that_was_given(world):  # B054: not what a cast would make of it
    t = np.full(12, 2**63 + 5, np.uint64)
    refused(world, lambda: world.net.loss(world.x, t), ValueError, f"label {2**63 + 5} of sample 0")


ROWS = r"\bt has shape .* needs rows of numbers"
BAD_ROWS = [
    ("B064 (N,)", lambda t: t[:, 0], ValueError, ROWS),
    ("(N, 1)", lambda t: t[:, :1], ValueError, ROWS),
    ("(N, C + 1)", lambda t: np.ones((12, 4)), ValueError, ROWS),
    ("labels", lambda t: np.zeros(12, int), ValueError, ROWS),
    ("0-d", lambda t: 1.0, ValueError, ROWS),
    ("a row less", lambda t: t[1:], ValueError, "x has 12 samples, but t has 11"),
    ("no rows", lambda t: t[:0], ValueError, "x has 12 samples, but t has 0"),
    ("None", lambda t: None, TypeError, ROWS),
    ("complex", lambda t: t + 0j, TypeError, ROWS),
    ("object", lambda t: t.astype(object), TypeError, ROWS),
    ("longdouble", lambda t: t.astype(np.longdouble), TypeError, ROWS),
    ("masked", lambda t: np.ma.masked_array(t, mask=t > 0), TypeError, "t is a masked array"),
]


@each(
    ("call", "make", "error", "message"),
    crossed(
        {
            "loss": lambda w, t: w.regression.loss(w.x, t),
            "gradient": lambda w, t: w.regression.gradient(w.x, t),
            "numerical_gradient": lambda w, t: w.regression.numerical_gradient(w.x, t),
            "train_step": lambda w, t: w.regression.train_step(w.x, t),
            "fit": lambda w, t: w.regression.fit(w.x, t, epochs=1, seed=3),
            "validation": lambda w, t: w.regression.fit(w.x, w.rows, epochs=1, seed=3, validation=(w.x, t)),
            "IdentityWithLoss": lambda w, t: w.identity.forward(w.x[:, :3], t),
        },
        BAD_ROWS,
    ),
)
def bad_targets_of_a_regression(world, call, make, error, message):
    t = make(world.rows)
    refused(world, lambda: call(world, t), error, message, t)
