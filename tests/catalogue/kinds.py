"""Options of convolution, pooling, batch normalisation and dropout (B070-B092), and the windows of im2col."""

import numpy as np

import badak as bd

from .world import ONES, each, refused, rows

IMAGES = np.ones((2, 1, 4, 4))
FILTERS, ONE_EACH = np.ones((3, 1, 2, 2)), np.ones(3)
im2col, col2im = bd.util.im2col, bd.util.col2im


def window(**options):
    """A net of one convolution, for small images."""
    layer = bd.Convolution(**{"filters": 1, "size": 2, **options})
    return bd.Net([layer], loss=bd.IdentityWithLoss(), input_shape=(1, 4, 4))


def pool(*args, **options):
    return bd.Pooling(*args, **options).forward(IMAGES)


def norm(**options):
    """Batch normalisation of four features, run once."""
    return bd.BatchNormalization(**{"gamma": np.ones(4), "beta": np.ones(4), **options}).forward(ONES)


WINDOW_ROWS = [
    ("Convolution()", lambda: bd.Convolution(), TypeError, r"arrays \(W, b\), or filters=... and size=..."),
    ("Convolution(30, 5)", lambda: bd.Convolution(30, 5), TypeError, "filters=... and size=... inside a Net"),
    ("Convolution filters alone", lambda: bd.Convolution(filters=3), TypeError, "not half"),
    ("Convolution W alone", lambda: bd.Convolution(FILTERS), TypeError, "not half"),
    ("Convolution both", lambda: bd.Convolution(FILTERS, ONE_EACH, size=2), TypeError, "not both"),
    ("Convolution W 2-d", lambda: bd.Convolution(ONES, ONE_EACH), ValueError, "W has 2 dimensions, expected 4"),
    ("Convolution W empty", lambda: bd.Convolution(np.ones((3, 0, 2, 2)), ONE_EACH), ValueError, "at least 1"),
    ("Convolution b of another shape", lambda: bd.Convolution(FILTERS, np.ones(2)), ValueError, r"b has shape \(2,\)"),
    ("filters=0", lambda: window(filters=0), ValueError, "filters = 0 is out of range: .*at least 1"),
    ("B077 size=0", lambda: window(size=0), ValueError, "= 0 is out of range: .*at least 1"),
    ("B077 size=-1", lambda: window(size=-1), ValueError, "= -1 is out of range"),
    ("B077 size=()", lambda: window(size=()), ValueError, r"size must be one size or \(height, width\), got \(\)"),
    ("B077 size=(3,)", lambda: window(size=(3,)), ValueError, "size must be one size or"),
    ("B077 size of three", lambda: window(size=(3, 3, 3)), ValueError, "size must be one size or"),
    ("B078 size=str", lambda: window(size="3"), TypeError, "must be an integer, got str"),
    ("B078 size=3.5", lambda: window(size=3.5), TypeError, "must be an integer, got float"),
    ("B078 size=(3, str)", lambda: window(size=(3, "3")), TypeError, "must be an integer, got str"),
    ("B070 size=True", lambda: window(size=True), TypeError, "must be an integer, got bool"),
    ("B079 stride=0", lambda: window(stride=0), ValueError, "stride = 0 is out of range: .*at least 1"),
    ("B080 stride=-1", lambda: window(stride=-1), ValueError, "stride = -1 is out of range"),
    ("stride=2**63", lambda: window(stride=2**63), OverflowError, "stride does not fit 64 bits"),
    ("B082 dilation=0", lambda: window(dilation=0), ValueError, "dilation = 0 is out of range"),
    ("B082 dilation=-1", lambda: window(dilation=-1), ValueError, "dilation = -1 is out of range"),
    ("B083 groups", lambda: window(groups=2), TypeError, "unexpected keyword argument 'groups'"),
    ("B084 pad=-1", lambda: window(pad=-1), ValueError, "pad = -1 is out of range"),
    ("B085 pad=2**62", lambda: window(pad=2**62), ValueError, "pad = .* is out of range|more than"),
    ("B085 pad=2**48", lambda: window(pad=2**48), ValueError, "pad = .* is out of range|more than"),
    ("B087 pad=str", lambda: window(pad="sam"), TypeError, "pad must be an integer, got str"),
    ("B088 larger than the image", lambda: window(size=5), ValueError, "window spans 5, but the padded image only 4"),
    ("B089 wraps", lambda: window(size=1250999896764, dilation=1250999896764), ValueError, "more than|out of range"),
    ("Pooling()", lambda: bd.Pooling(), TypeError, "pool_h"),
    ("B077 pool_h=0", lambda: pool(0, 2), ValueError, "pool_h = 0"),
    ("B077 pool_w=-1", lambda: pool(2, -1), ValueError, "pool_w = -1"),
    ("B078 pool_h=str", lambda: pool("2", 2), TypeError, "pool_h must be an integer, got str"),
    ("B078 pool_w=2.0", lambda: pool(2, 2.0), TypeError, "pool_w must be an integer, got float"),
    ("B079 pooling stride=0", lambda: pool(2, 2, stride=0), ValueError, "stride = 0"),
    ("B084 pooling pad=-1", lambda: pool(2, 2, pad=-1), ValueError, "pad = -1"),
    (
        "B086 pad as large as the pool",
        lambda: pool(2, 2, pad=2),
        ValueError,
        "pad = 2 must be smaller than the pool",
    ),
    ("B088 pool larger than the image", lambda: pool(5, 5), ValueError, "window spans 5, but the padded image only 4"),
    ("mean=str", lambda: bd.Pooling(2, 2, mean="yes"), TypeError, "mean must be True or False, got str"),
    ("im2col filter_h=0", lambda: im2col(IMAGES, 0, 2), ValueError, "filter_h = 0: expected at least 1"),
    ("im2col filter_w=str", lambda: im2col(IMAGES, 2, "2"), TypeError, "filter_w must be an integer, got str"),
    ("im2col stride=0", lambda: im2col(IMAGES, 2, 2, 0), ValueError, "stride = 0: expected at least 1"),
    ("im2col pad=-1", lambda: im2col(IMAGES, 2, 2, 1, -1), ValueError, "pad = -1: expected at least 0"),
    ("im2col pad=2**62", lambda: im2col(IMAGES, 2, 2, 1, 2**62), ValueError, "more than"),
    ("im2col too large", lambda: im2col(IMAGES, 2, 2, 1, 2**30), ValueError, "col would have more than"),
    ("im2col 2**70", lambda: im2col(IMAGES, 2**70, 2), OverflowError, "filter_h does not fit 64 bits"),
    ("im2col 2-d", lambda: im2col(ONES, 2, 2), ValueError, "x has 2 dimensions, expected 4"),
    ("im2col larger than the image", lambda: im2col(IMAGES, 5, 5), ValueError, "window spans 5"),
    ("col2im shape", lambda: col2im(ONES, (1, 2), 2, 2), ValueError, r"input_shape must be \(N, C, H, W\)"),
    ("col2im negative", lambda: col2im(ONES, (-1, 1, 4, 4), 2, 2), ValueError, "input_shape"),
    ("col2im wraps", lambda: col2im(ONES, (2**32, 2**32, 4, 4), 2, 2), ValueError, "more than"),
    ("col2im size", lambda: col2im(ONES, (1, 1, 4, 4), 2, 2), ValueError, "col holds 48 numbers, expected 36"),
    ("col2im no shape", lambda: col2im(ONES, None, 2, 2), TypeError, ""),
    ("col2im shape of floats", lambda: col2im(ONES, (1.0, 1, 4, 4), 2, 2), TypeError, "must be an integer"),
]

OTHER_ROWS = [
    ("B091 ratio=-0.1", lambda: bd.Dropout(-0.1), ValueError, "dropout_ratio = -0.1 is out of range"),
    ("B091 ratio=1", lambda: bd.Dropout(1.0), ValueError, "dropout_ratio = 1.0 is out of range"),
    ("B091 ratio=1.5", lambda: bd.Dropout(1.5), ValueError, "dropout_ratio = 1.5 is out of range"),
    ("B091 ratio=nan", lambda: bd.Dropout(np.nan), ValueError, "dropout_ratio = nan is out of range"),
    ("B091 ratio=str", lambda: bd.Dropout("0.5"), TypeError, "dropout_ratio must be a number, got str"),
    ("inverted=str", lambda: bd.Dropout(inverted="yes"), TypeError, "inverted must be True or False"),
    ("LeakyRelu slope=2", lambda: bd.LeakyRelu(2), ValueError, "slope = 2 is out of range"),
    ("LeakyRelu slope=nan", lambda: bd.LeakyRelu(np.nan), ValueError, "slope = nan is out of range"),
    ("B092 eps=0", lambda: bd.BatchNormalization(eps=0), ValueError, "eps = 0 is out of range"),
    ("B092 eps=-1", lambda: bd.BatchNormalization(eps=-1), ValueError, "eps = -1 is out of range"),
    ("B092 eps=nan", lambda: bd.BatchNormalization(eps=np.nan), ValueError, "eps = nan is out of range"),
    ("B092 momentum=2", lambda: bd.BatchNormalization(momentum=2), ValueError, "momentum = 2 is out of range"),
    ("axis=1", lambda: bd.BatchNormalization(axis=1), ValueError, "axis must be .feature. or .channel., got 1"),
    ("gamma alone", lambda: bd.BatchNormalization(ONE_EACH), TypeError, "gamma and beta, or neither"),
    ("gamma a list", lambda: norm(gamma=[1.0] * 4), TypeError, "gamma must be a float32 or float64 NumPy array"),
    ("gamma complex", lambda: norm(gamma=ONES[0] + 0j), TypeError, "gamma"),
    ("gamma of another shape", lambda: norm(gamma=np.ones(3)), ValueError, r"\(12, 4\).*gamma has shape \(3,\)"),
    ("beta of another shape", lambda: norm(beta=np.ones(3)), ValueError, r"beta has shape \(3,\), expected \(4,\)"),
    ("beta of another dtype", lambda: norm(beta=np.ones(4, "f4")), TypeError, "gamma is float64, but beta is float32"),
    ("running_mean a str", lambda: norm(running_mean="x"), TypeError, "running_mean must hold real"),
    ("running_mean of another shape", lambda: norm(running_mean=np.ones(3)), ValueError, "running_mean has shape"),
    ("running_mean complex", lambda: norm(running_mean=np.ones(4) + 0j), TypeError, "running_mean must hold real"),
    ("running_var masked", lambda: norm(running_var=np.ma.masked_array(np.ones(4), mask=True)), TypeError, "masked"),
    ("running_var of None", lambda: norm(running_var=[None] * 4), TypeError, "running_var must hold real numbers"),
]


@each(("call", "error", "message"), rows(WINDOW_ROWS + OTHER_ROWS))
def options_of_layers(world, call, error, message):
    refused(world, call, error, message)
