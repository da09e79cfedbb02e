"""The keywords of fit, and other arguments of a net's methods (B095, B104-B109, B114, B119, B120)."""

import numpy as np

import badak as bd

from .world import World, case, each, fail, failure_of, fresh_net, refused, resident_bytes, rows, with_index


def fit(w, **options):
    return w.net.fit(w.x, w.t, **{"epochs": 1, "seed": 3, "progress": False, **options})


def fit_x(w, x):
    return w.net.fit(x, w.t, epochs=1, seed=3)


def bound_elsewhere(w):
    adam = bd.Adam()
    fresh_net().train_step(w.x, w.t, adam)
    return adam


NO_INTEGERS = [
    ("float", 2.5, TypeError, "must be an integer, got float"),
    ("whole float", 3.0, TypeError, "must be an integer, got float"),
    ("str", "3", TypeError, "must be an integer, got str"),
    ("list", [3], TypeError, "must be an integer, got list"),
    ("B070 bool", True, TypeError, "must be an integer, got bool"),
    ("B070 np.bool_", np.True_, TypeError, "must be an integer, got (numpy.)?bool"),
    ("0-d bool array", np.array(True), TypeError, "must be an integer"),
    ("0-d float array", np.array(3.0), TypeError, "must be an integer"),
    ("1-d array", np.array([3]), TypeError, "must be an integer"),
    ("B062 2**70", 2**70, OverflowError, "does not fit 64 bits"),
    ("-2**70", -(2**70), OverflowError, "does not fit 64 bits"),
    ("B075 __index__ raises", with_index(fail), LookupError, "mine"),
    ("B075 __index__ gives str", with_index(lambda: "3"), TypeError, "__index__ returned non-int"),
]


@each("name", ["epochs", "batch_size", "seed"])
@each(
    ("value", "error", "message"),
    rows([*NO_INTEGERS, ("-1", -1, ValueError, "= -1: expected"), ("None", None, TypeError, "must be an integer")]),
)
def counts_of_fit(world, name, value, error, message):  # B095, B106, B107
    if name == "seed" and value is None:
        fit(world, seed=None)
        return
    named = "" if error is LookupError or "__index__" in message else name
    refused(world, lambda: fit(world, **{name: value}), error, f"{named}.*{message}", value)


ZERO_LR = bd.SGD()
ZERO_LR.lr = 0.0
TEXT_BETA = bd.Adam()
TEXT_BETA.beta1 = "0.9"

FIT_ROWS = [
    ("B107 batch_size=0", lambda w: fit(w, batch_size=0), ValueError, "batch_size = 0: expected at least 1"),
    ("seed=2**64", lambda w: fit(w, seed=2**64), OverflowError, "seed = 18446744073709551616 does not fit 64 bits"),
    ("B096 unknown keyword", lambda w: fit(w, lr=1), TypeError, "unexpected keyword argument 'lr'"),
    ("no epochs", lambda w: w.net.fit(w.x, w.t), TypeError, "epochs"),
    ("no t", lambda w: w.net.fit(w.x, epochs=1), TypeError, "'t'"),
    ("epochs by position", lambda w: w.net.fit(w.x, w.t, 1), TypeError, "positional"),
    ("optimizer=str", lambda w: fit(w, optimizer="adam"), TypeError, "optimizer must be one of badak's.*got str"),
    ("optimizer=class", lambda w: fit(w, optimizer=bd.Adam), TypeError, "optimizer must be one of badak's.*got type"),
    ("optimizer=float", lambda w: fit(w, optimizer=0.1), TypeError, "optimizer must be one of badak's.*got float"),
    (
        "B108 bound elsewhere",
        lambda w: fit(w, optimizer=bound_elsewhere(w)),
        ValueError,
        "holds the state of other parameters",
    ),
    ("B108 used by hand", lambda w: fit(w, optimizer=w.adam), ValueError, "holds the state of other parameters"),
    ("B104 optimizer spoilt", lambda w: fit(w, optimizer=ZERO_LR), ValueError, "lr = 0.0 is out of range"),
    ("optimizer spoilt by type", lambda w: fit(w, optimizer=TEXT_BETA), TypeError, "beta1 must be a number, got str"),
    ("B119 callbacks=5", lambda w: fit(w, callbacks=5), TypeError, "callback"),
    ("B119 callbacks=None", lambda w: fit(w, callbacks=None), TypeError, "callback"),
    ("B119 callbacks=function", lambda w: fit(w, callbacks=print), TypeError, "callback"),
    ("B119 callbacks=[None]", lambda w: fit(w, callbacks=[None]), TypeError, "callback must be callable.*got NoneType"),
    ("B119 callbacks=str", lambda w: fit(w, callbacks="abc"), TypeError, "callback must be callable.*got str"),
    ("callbacks raises", lambda w: fit(w, callbacks=map(fail, [1])), LookupError, "mine"),
    ("validation=array", lambda w: fit(w, validation=w.x), TypeError, r"validation must be a pair \(x, t\)"),
    ("validation=str", lambda w: fit(w, validation="xt"), TypeError, "validation must be a pair"),
    ("validation of one", lambda w: fit(w, validation=(w.x,)), TypeError, "validation must be a pair"),
    ("validation of three", lambda w: fit(w, validation=(w.x, w.t, 1)), TypeError, "validation must be a pair"),
    (
        "B120 validation width",
        lambda w: fit(w, validation=(w.x[:, :3], w.t)),
        ValueError,
        "validation: x has shape.*expected 4",
    ),
    ("validation=0.2", lambda w: fit(w, validation=0.2), TypeError, r"validation must be a pair \(x, t\), got float"),
    ("validation of other counts", lambda w: fit(w, validation=(w.x, w.t[:5])), ValueError, "validation: x has 12 sam"),
    ("validation the wrong way round", lambda w: fit(w, validation=(w.t, w.x)), ValueError, "validation: x has 1 dim"),
    ("x and t the wrong way round", lambda w: w.net.fit(w.t, w.x, epochs=1, seed=3), ValueError, "x has 1 dimension"),
    ("a callback class", lambda w: fit(w, callbacks=[bd.EarlyStopping]), TypeError, "write EarlyStopping"),
    ("a callback alone", lambda w: fit(w, callbacks=bd.EarlyStopping(2)), TypeError, r"a list of callables.*\[...\]"),
    ("a callback of one argument", lambda w: fit(w, callbacks=[lambda e: 0]), TypeError, "called as callback.net, ev"),
    ("a schedule of none", lambda w: fit(w, schedule=lambda: 0), TypeError, "called as schedule.step"),
    ("a schedule of NaN", lambda w: fit(w, schedule=lambda s: np.nan, seed=None), ValueError, "what schedule.* = nan"),
    ("a schedule of None", lambda w: fit(w, schedule=lambda s: None, seed=None), TypeError, "what schedule.*must be a"),
    ("a schedule raises", lambda w: fit(w, schedule=lambda s: fail(), seed=None), LookupError, "mine"),
    ("optimizer of another library", lambda w: fit(w, optimizer=World), TypeError, "optimizer must be one of badak's"),
    ("weight_decay=NaN", lambda w: fit(w, weight_decay=np.nan), ValueError, "weight_decay = nan"),
    ("weight_decay=None", lambda w: fit(w, weight_decay=None), TypeError, "weight_decay must be a number"),
    ("x one sample", lambda w: w.net.fit(w.x[0], w.t[0], epochs=1, seed=3), ValueError, r"pass x\[None\]"),
    ("x texts", lambda w: w.net.fit(w.x.astype(str), w.t, epochs=1, seed=3), TypeError, "x must hold real numbers"),
    ("x too large for float32", lambda w: fit_x(w, np.full((12, 4), 1e39)), ValueError, "NaN or infinity"),
    ("save to a folder", lambda w: w.net.save("/"), IsADirectoryError, "director"),
    ("save to a number", lambda w: w.net.save(3), TypeError, "PathLike"),
    ("save into nowhere", lambda w: w.net.save("/nowhere/n"), FileNotFoundError, "/nowhere"),
    ("save to /dev/full", lambda w: w.net.save("/dev/full"), (ValueError, FileNotFoundError), "regular file|"),
    ("checkup of other counts", lambda w: w.net.checkup(w.x, w.t[:3]), ValueError, "x has 12 samples, but t has 3"),
    ("validation empty", lambda w: fit(w, validation=(w.x[:0], w.t[:0])), ValueError, "validation: x has no samples"),
    ("validation=(None, None)", lambda w: fit(w, validation=(None, None)), TypeError, "validation: x must hold real"),
    ("shuffle=str", lambda w: fit(w, shuffle="no"), TypeError, "shuffle must be True or False, got str"),
    ("shuffle=None", lambda w: fit(w, shuffle=None), TypeError, "shuffle must be True or False"),
    ("shuffle=array", lambda w: fit(w, shuffle=w.t), TypeError, "shuffle must be True or False"),
    ("progress=str", lambda w: fit(w, progress="no"), TypeError, "progress must be True or False"),
    ("B035 NaN", lambda w: w.net.fit(w.x * np.nan, w.t, epochs=1, seed=3), ValueError, "x holds NaN or infinity"),
    ("B036 infinity", lambda w: w.net.fit(w.x / 0, w.t, epochs=1, seed=3), ValueError, "x holds NaN or infinity"),
    ("NaN in t", lambda w: w.regression.fit(w.x, w.rows * np.nan, epochs=1, seed=3), ValueError, "t holds NaN or inf"),
    ("NaN in validation", lambda w: fit(w, validation=(w.x * np.nan, w.t)), ValueError, "validation: x holds NaN"),
]

METHOD_ROWS = [
    ("loss train=str", lambda w: w.net.loss(w.x, w.t, "yes"), TypeError, "train must be True or False"),
    ("loss train=array", lambda w: w.net.loss(w.x, w.t, train=w.t), TypeError, "train must be True or False"),
    ("forward keep=str", lambda w: w.net.forward(w.x, keep="yes"), TypeError, "keep must be True or False"),
    ("predict()", lambda w: w.net.predict(), TypeError, "'x'"),
    ("predict(x, t)", lambda w: w.net.predict(w.x, w.t), TypeError, "positional"),
    ("accuracy of a regression", lambda w: w.regression.accuracy(w.x, w.rows), TypeError, "accuracy needs classes"),
    ("train_step optimizer=str", lambda w: w.net.train_step(w.x, w.t, "adam"), TypeError, "optimizer must be one of"),
    ("train_step optimizer=class", lambda w: w.net.train_step(w.x, w.t, bd.SGD), TypeError, "optimizer must be one of"),
    ("train_step unbound", lambda w: fresh_net().train_step(w.x, w.t), TypeError, "None, and none is bound yet"),
    (
        "B108 train_step bound elsewhere",
        lambda w: w.net.train_step(w.x, w.t, bound_elsewhere(w)),
        ValueError,
        "other parameters",
    ),
    ("B108 train_step used by hand", lambda w: w.net.train_step(w.x, w.t, w.adam), ValueError, "other parameters"),
    (
        "train_step optimizer spoilt",
        lambda w: w.net.train_step(w.x, w.t, ZERO_LR),
        ValueError,
        "lr = 0.0 is out of range",
    ),
]


@each(("call", "error", "message"), rows(FIT_ROWS + METHOD_ROWS))
def arguments_of_a_nets_methods(world, call, error, message):
    with np.errstate(all="ignore"):
        refused(world, lambda: call(world), error, message)


@each("where", ["train_step", "fit"])
def a_bound_optimiser_that_was_spoilt(world, where):  # B104
    world.net.optimizer.lr = np.nan
    control = World()
    call = {
        "train_step": lambda: world.net.train_step(world.x, world.t),
        "fit": lambda: world.net.fit(world.x, world.t, epochs=1, seed=3),
    }[where]
    before = world.state()
    assert failure_of(call)[0] is ValueError
    after = world.state()
    for key in before:
        if key != ("net", "optimizer"):  # NaN is not equal to itself
            assert after[key] == before[key], key
    world.net.optimizer.lr = control.net.optimizer.lr
    assert world.goes_on_undisturbed()


@each("where", ["train_step", "fit"])
@each(
    ("x", "t"),
    rows(
        [
            ("x is None", None, np.zeros(3, int)),
            ("x of another width", np.ones((3, 5)), np.zeros(3, int)),
            ("no samples", np.ones((0, 4)), np.zeros(0, int)),
            ("t is no class", np.ones((3, 4)), np.full(3, 7)),
            ("t of floats", np.ones((3, 4)), np.ones(3)),
        ]
    ),
)
def a_refused_first_call_binds_no_optimiser(world, where, x, t):
    def train(optimizer):
        if where == "fit":
            return world.net.fit(x, t, epochs=1, optimizer=optimizer, progress=False)
        return world.net.train_step(x, t, optimizer)

    new = bd.Adam()
    before = world.state()
    assert failure_of(lambda: train(new))[0] in (TypeError, ValueError)
    assert world.state() == before
    assert new.m is None
    assert new.iter == 0
    assert world.goes_on_undisturbed()
    world.net.train_step(world.x, world.t, new)


BAD_STEPS = [
    (0, ValueError),
    (0.0, ValueError),
    (1e-400, ValueError),
    (-1e-5, ValueError),
    (np.nan, ValueError),
    (np.inf, ValueError),
    (1e300, ValueError),
    ("1e-4", TypeError),
    (None, TypeError),
    (1j, TypeError),
    (True, TypeError),
    ([1e-4], TypeError),
    (np.array([1e-4, 1e-4]), TypeError),
]


@each(("h", "error"), BAD_STEPS)
def h_of_numerical_gradients_of_a_net(world, h, error):  # B114
    refused(world, lambda: world.net.numerical_gradient(world.x, world.t, h=h), error, r"\bh\b", h)


@each(("h", "error"), BAD_STEPS)
def h_of_numerical_gradients_of_functions(world, h, error):  # B114
    x = np.ones(3)
    refused(world, lambda: bd.numerical_gradient(np.sum, x, h), error, r"\bh\b", h, x)


@case
def too_many_samples_for_any_memory(world):  # B074
    x = np.broadcast_to(np.ones((1, 4)), (2**46, 4))
    t = np.broadcast_to(np.zeros(1, int), 2**46)
    before = resident_bytes()
    for call in (
        lambda: world.net.predict(x),
        lambda: world.net.loss(x, t),
        lambda: world.net.gradient(x, t),
        lambda: world.net.train_step(x, t),
        lambda: fit(world, validation=(x, t)),
        lambda: world.affine.forward(x),
        lambda: bd.sigmoid(x),
    ):
        refused(world, call, MemoryError, "")
    assert resident_bytes() - before < 8 << 20
