"""``badak demo``: a network learns to read MNIST's digits, its gradients are checked, and all of it is drawn."""

import time

import numpy as np

import badak as bd

HELD_OUT = 10_000  # of the training images: validation data

# Chosen once, by the accuracy on the held-out training images: 0.9748, the mean over five seeds. The test images were
# not looked at for it. Without the warm-up Adam's first steps kill several of the 50 ReLUs.
EPOCHS = 10
LEARNING_RATE = 0.005  # falls linearly, epoch by epoch
WARM_UP = 0.2  # of it in the first epoch

LEAST_ACCURACY = 0.965  # on the test images; what less has to be a mistake somewhere
CHECKED_IMAGES = 8  # before training
HARDEST = 2  # images of each digit, after training


def run(out, *, epochs=EPOCHS, seed=0):
    """Run the demo, talking about it.

    Parameters
    ----------
    out : str or None
        Where the picture goes; None: no picture.
    epochs, seed : int

    Returns
    -------
    int
        0 if all gradients are right and the test accuracy is as high as it should be, otherwise 1.
    """
    print(f"badak {bd.__version__}, {bd.cpu_info()['isa']} kernels\n")
    (x, t), (x_test, t_test) = bd.load_mnist()
    x, x_held_out = x[:-HELD_OUT], x[-HELD_OUT:]
    t, t_held_out = t[:-HELD_OUT], t[-HELD_OUT:]
    print(f"MNIST: {len(x):,} images to train on, {HELD_OUT:,} held out to validate, {len(x_test):,} to test\n")

    net = make_net(seed)
    print(f"{net}\n")

    few = x[:CHECKED_IMAGES], t[:CHECKED_IMAGES]
    print(f"Analytic against numerical gradients on {CHECKED_IMAGES} training images, before training:")
    before = bd.gradcheck(net, *few)
    print(f"{before}\n")

    print("Training by backpropagation in the C core:", flush=True)
    began = time.perf_counter()
    history = train(net, x, t, (x_held_out, t_held_out), epochs)
    seconds = time.perf_counter() - began
    accuracy = net.accuracy(x_test, t_test)
    print(f"trained in {seconds:.1f} s\n\ntest accuracy {accuracy:.4f}\n")

    print(f"The gradients after training, on the {HARDEST} images of each digit that it finds hardest:")
    hard = hardest(net, x, t)
    after = bd.gradcheck(net, x[hard], t[hard])
    print(f"{after}\n")

    if out is not None:
        headline = (
            f"test accuracy {accuracy:.4f} on {len(x_test):,} unseen images   |   "
            f"{epochs} epochs of {len(x):,} images in {seconds:.1f} s"
        )
        draw(out, net, history, before, x_test, t_test, headline, seed)
    return verdict(before.ok and after.ok, accuracy)


def make_net(seed):
    """784-50-10, as in chapters 4 and 5 of the book."""
    return bd.Net(
        [bd.Affine(units=50), bd.Relu(), bd.Affine(units=10)],
        loss=bd.SoftmaxWithLoss(),
        input_shape=(784,),
        seed=seed,
    )


def train(net, x, t, validation, epochs):
    """Adam with a warm-up, then a learning rate that falls linearly; returns the History."""

    def slow_down(net, event):
        net.optimizer.lr = LEARNING_RATE * max(1 - event.epoch / event.epochs, 0.01)

    optimizer = bd.Adam(lr=LEARNING_RATE * WARM_UP)
    return net.fit(x, t, epochs=epochs, optimizer=optimizer, validation=validation, callbacks=[slow_down])


def probabilities(net, x):
    """What the net's scores say, as a probability for each digit."""
    return bd.softmax(net.predict(x))


def hardest(net, x, t):
    """Which images of each digit the net gives least probability to be what they are.

    A trained net has next to no gradient on what it knows, and these ask something of every output.
    """
    of_truth = probabilities(net, x)[np.arange(len(t)), t]
    order = np.argsort(of_truth, kind="stable")
    return np.concatenate([order[t[order] == digit][:HARDEST] for digit in range(10)])


def verdict(gradients_ok, accuracy):
    """Say what went wrong, if anything; returns the exit code."""
    if not gradients_ok:
        print("NOT OK: a gradient did not pass")
    if accuracy < LEAST_ACCURACY:
        print(f"NOT OK: the test accuracy is below {LEAST_ACCURACY}, which {EPOCHS} epochs reach")
    return 0 if gradients_ok and accuracy >= LEAST_ACCURACY else 1


# -- the picture ------------------------------------------------------------------------------

WIDTH, HEIGHT, DPI = 1400, 920, 100  # pixels
STYLE = {
    "font.size": 10.5,
    "axes.titlesize": 12.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "image.interpolation": "nearest",
}


def draw(out, net, history, report, x_test, t_test, headline, seed):
    """Draw the picture and say where it is, or why there is none."""
    import logging

    from . import _draw

    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # not a word about its font cache
    try:
        _draw.need_matplotlib()
    except ImportError as error:
        print(f"No picture: {error}")
        return
    import matplotlib.style

    with matplotlib.style.context(["default", STYLE]):
        figure = picture(net, history, report, x_test, t_test, headline, seed)
        try:
            figure.savefig(out, dpi=DPI, format="png", pil_kwargs={"optimize": True})
        except OSError as error:
            print(f"No picture: {error}")
            return
    print(f"picture: {out}")


def picture(net, history, report, x_test, t_test, headline, seed):
    """A Figure: how it learned, what it reads, what it looks for, and whether the gradients are right."""
    import matplotlib
    from matplotlib.figure import Figure

    from . import _draw

    figure = Figure(figsize=(WIDTH / DPI, HEIGHT / DPI), dpi=DPI, facecolor="white")

    def place(left, top, width, height, title):
        axes = figure.add_axes((left / WIDTH, 1 - (top + height) / HEIGHT, width / WIDTH, height / HEIGHT))
        axes.set_title(title, pad=10)
        return axes

    def write(left, top, text, **kwargs):
        figure.text(left / WIDTH, 1 - top / HEIGHT, text, va="top", **kwargs)

    write(28, 20, "badak: a 784-50-10 network reads handwritten digits", fontsize=19, weight="bold")
    write(28, 54, headline, fontsize=12, color="#444444")

    _draw.learning_loss(history, place(95, 115, 230, 260, "Loss"))
    _draw.learning_accuracy(history, place(395, 115, 230, 260, "Accuracy"))
    for axes in figure.axes:
        axes.set_ylabel("")  # it is the title already
    _draw.gradients(report, place(95, 470, 530, 390, "Gradients before training: numerical against analytic"))

    p = probabilities(net, x_test)
    said, sure = p.argmax(axis=1), p.max(axis=1)
    at_random = np.random.default_rng(seed).choice(len(x_test), 24, replace=False)
    mistakes = np.flatnonzero(said != t_test)
    mistakes = mistakes[np.argsort(-sure[mistakes], kind="stable")][:8]
    for which, top, height, title in (
        (at_random, 115, 276, "Test digits drawn at random: what it reads, how sure it is"),
        (mistakes, 432, 92, "Its most confident mistakes"),
    ):
        axes = place(690, top, 672, height, title)
        _draw.predictions(x_test[which].reshape(-1, 28, 28), t_test[which], p[which], axes, columns=8)

    axes = place(690, 573, 640, 320, "What its 50 hidden units look for: the weights W1")
    few_colours = matplotlib.colormaps["RdBu_r"].resampled(33)  # for a small file
    _draw.filters(net.params["W1"].T.reshape(-1, 28, 28), axes, columns=10, cmap=few_colours)
    _draw.scale(axes, place(1332, 633, 8, 200, ""))
    return figure
