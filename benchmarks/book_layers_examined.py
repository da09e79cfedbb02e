"""The book's own layers and networks, as its repositories have them, under ``bd.gradcheck``: what it says of each.

    python benchmarks/book_layers_examined.py CHECKOUT [--write]       writes docs/book_layers_examined.md

CHECKOUT is one of the book's repositories (oreilly-japan or WegraLee, deep-learning-from-scratch); its `common` package
and networks are imported from there, unchanged. Nothing of their code is quoted. Each report is compared with what the
text around it says: a status or a conduct that is not expected ends the script with exit code 1.
"""

import argparse
import importlib.util
import re
import sys
from pathlib import Path

import numpy as np

import badak as bd

DOCS = Path(__file__).resolve().parent.parent / "docs" / "book_layers_examined.md"


class Book:
    """Modules of a checkout: ``book.layers``, ``book.module("ch07/simple_convnet.py")``."""

    def __init__(self, checkout):
        self.root = Path(checkout).resolve()
        sys.path.insert(0, str(self.root))
        import common.layers
        import common.multi_layer_net
        import common.multi_layer_net_extend

        self.layers = common.layers
        self.MultiLayerNet = common.multi_layer_net.MultiLayerNet
        self.MultiLayerNetExtend = common.multi_layer_net_extend.MultiLayerNetExtend

    def module(self, path):
        """A script of a chapter, imported under a name of its own."""
        name = "book_" + path.replace("/", "_").removesuffix(".py")
        spec = importlib.util.spec_from_file_location(name, self.root / path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module


def examined(book, deep=False):
    """(heading, what there is to see, status, conduct, the check) of each layer and network."""
    r = np.random.default_rng(0)
    normal = r.standard_normal
    layers, naive = book.layers, book.module("ch05/layer_naive.py")
    images = normal((2, 2, 6, 6))
    (x_train, t_train), _ = bd.load_mnist()
    (images_train, _), _ = bd.load_mnist(flatten=False)
    one_hot = np.eye(10)[t_train]
    sure = 4 * normal((4, 5))
    sure[np.arange(4), [0, 3, 1, 2]] -= 8.0  # labels that the scores think unlikely

    def check(thing, *inputs):
        # networks at one point only: in NumPy every evaluation of them is dear
        return lambda: bd.gradcheck(
            thing, *inputs, points=1 if hasattr(thing, "loss") and hasattr(thing, "params") else 3
        )

    yield "MulLayer (5.4.1)", "Right.", "PASS", (), check(naive.MulLayer(), 100.0, 2.0)
    yield "AddLayer (5.4.2)", "Right.", "PASS", (), check(naive.AddLayer(), 200.0, 450.0)
    yield (
        "Relu (5.5.1)",
        "The values are right, but `backward` writes into the array that it was given: whoever hands the same "
        "`dout` to two branches, as a residual block does, gets a wrong gradient in the second. The cure is to "
        "work on a copy.",
        "PASS",
        ("MUTATED_GY",),
        check(layers.Relu(), normal((3, 4))),
    )
    blank = normal((3, 4))
    blank[:, :2] = 0
    yield (
        "Relu, with inputs that are exactly 0",
        "At 0 there is no derivative: the slope is 0 to the left and 1 to the right. The book answers 0, which is "
        "one of the possible ones. A check that compares with central differences calls this wrong, because those "
        "say 1/2.",
        "KINK",
        ("MUTATED_GY",),
        check(layers.Relu(), blank),
    )
    yield "Sigmoid (5.5.2)", "Right.", "PASS", (), check(layers.Sigmoid(), normal((3, 4)))
    yield "Affine (5.6)", "Right.", "PASS", (), check(layers.Affine(normal((4, 3)), normal(3)), normal((5, 4)))
    yield (
        "Affine after images",
        "Right: four axes are flattened, and dx comes back in the shape of x.",
        "PASS",
        (),
        check(layers.Affine(normal((18, 3)), normal(3)), normal((2, 2, 3, 3))),
    )
    yield (
        "SoftmaxWithLoss (5.6.3)",
        "`backward` has a parameter `dout` and ignores it: right as the last layer, where it is 1, and wrong in "
        "front of anything else, such as a weight for the loss. What is explained is said of the next case.",
        "EXPLAINED",
        ("NOT_LINEAR_IN_GY",),
        check(layers.SoftmaxWithLoss(), normal((4, 5)), np.array([0, 3, 1, 2])),
    )
    yield (
        "SoftmaxWithLoss, where the labels are unlikely",
        "The loss is log(y + 1e-7), and `backward` differentiates log(y). Where y is small that can be seen: the "
        "checker finds the difference, finds that the 1e-7 explains all of it, and says so. It is harmless.",
        "EXPLAINED",
        ("NOT_LINEAR_IN_GY",),
        check(layers.SoftmaxWithLoss(), sure, np.eye(5)[[0, 3, 1, 2]]),
    )
    yield (
        "Dropout (6.3.3)",
        "Right: the mask that `forward` drew is drawn again for every evaluation.",
        "PASS",
        (),
        check(layers.Dropout(0.5), normal((3, 4))),
    )
    yield (
        "BatchNormalization (6.3.1)",
        "Right, its running statistics apart, which are state that `forward` is meant to change.",
        "PASS",
        (),
        check(layers.BatchNormalization(1 + r.random(3), normal(3)), normal((6, 3))),
    )
    yield (
        "BatchNormalization, a batch of one",
        "With one sample the output is beta whatever x and gamma are: both gradients are 0, of a right `backward` "
        "and of most wrong ones. That is no evidence, and is not counted as such.",
        "VACUOUS",
        (),
        check(layers.BatchNormalization(1 + r.random(3), normal(3)), normal((1, 3))),
    )
    yield (
        "Convolution (7.4.3)",
        "Right.",
        "PASS",
        (),
        check(layers.Convolution(normal((3, 2, 3, 3)), normal(3), stride=1, pad=1), images),
    )
    yield (
        "Convolution, stride 2 on an odd image",
        "Right.",
        "PASS",
        (),
        check(layers.Convolution(normal((2, 2, 3, 3)), normal(2), stride=2), normal((1, 2, 7, 7))),
    )
    yield "Pooling (7.4.4)", "Right.", "PASS", (), check(layers.Pooling(2, 2, stride=2), images)
    yield (
        "Pooling, windows that overlap",
        "Right.",
        "PASS",
        (),
        check(layers.Pooling(3, 3, stride=1), normal((1, 2, 5, 5))),
    )
    np.random.seed(0)
    few = slice(0, 3)
    yield (
        "TwoLayerNet (4.5), sigmoid",
        "Its `gradient` is written out by hand. Weights of blank pixels have the gradient 0, and that is right.",
        "EXPLAINED",
        (),
        check(book.module("ch04/two_layer_net.py").TwoLayerNet(784, 50, 10), x_train[few], one_hot[few]),
    )
    yield (
        "TwoLayerNet (5.7), ReLU",
        "The network of the book's own gradient check, on three images.",
        "EXPLAINED",
        (),
        check(book.module("ch05/two_layer_net.py").TwoLayerNet(784, 50, 10), x_train[few], one_hot[few]),
    )
    yield (
        "MultiLayerNet (6), weight decay 0.1",
        "Right: the decay is in the loss and in the gradient.",
        "EXPLAINED",
        (),
        check(book.MultiLayerNet(784, [30, 20], 10, weight_decay_lambda=0.1), x_train[few], one_hot[few]),
    )
    yield (
        "MultiLayerNetExtend (6), batch normalization and dropout",
        "Right, in training: the checker passes `train_flg=True`. Its affine biases have the gradient 0, because "
        "batch normalization takes away every constant.",
        "EXPLAINED",
        (),
        check(
            book.MultiLayerNetExtend(
                784, [20, 10], 10, use_dropout=True, dropout_ration=0.3, use_batchnorm=True, weight_decay_lambda=0
            ),
            x_train[:8],
            one_hot[:8],
        ),
    )
    yield (
        "MultiLayerNetExtend, a batch of one",
        "This is what `batch_norm_gradient_check` of chapter 6 does. Behind a batch of one all weights of the "
        "hidden layers have the gradient 0: the differences that it prints are 0 less 0, and would be for a wrong "
        "`backward`.",
        "VACUOUS",
        (),
        check(book.MultiLayerNetExtend(784, [20, 10], 10, use_batchnorm=True), x_train[:1], one_hot[:1]),
    )
    convnet = book.module("ch07/simple_convnet.py").SimpleConvNet
    small = {"filter_num": 4, "filter_size": 3, "pad": 0, "stride": 1}
    yield (
        "SimpleConvNet (7.5)",
        "The network of chapter 7's gradient check, in its size and with its random image.",
        "PASS",
        (),
        check(
            convnet((1, 10, 10), small, hidden_size=10, output_size=10, weight_init_std=0.01),
            r.random((1, 1, 10, 10)),
            np.array([[1]]),
        ),
    )
    yield (
        "SimpleConvNet, on two digits",
        "Where the paper is blank a window of zeros meets a bias of 0: the ReLU sits exactly on its kink, in a "
        "third of all places, and moving b1 moves them all. The book's slope of 0 there is a possible one.",
        "KINK",
        (),
        check(convnet(conv_param={"filter_num": 4, "filter_size": 5, "pad": 0, "stride": 1}, hidden_size=10),
              images_train[:2], t_train[:2]),
    )  # fmt: skip
    if not deep:
        return
    yield (
        "DeepConvNet (8.1)",
        "Right, in training with its dropout.",
        "KINK",
        (),
        check(book.module("ch08/deep_convnet.py").DeepConvNet(), images_train[:1], t_train[:1]),
    )


HEAD = """# The book's own layers, examined

Generated by `python benchmarks/book_layers_examined.py CHECKOUT --write`: every layer and network of the repository
[{repository}](https://github.com/{repository}), imported unchanged, under
`bd.gradcheck`, layers at three points, networks at one. The reports are printed as they are, without the seconds.

All of the book's gradients are right. What the checker has to say beyond that:

- `Relu.backward` changes the array that it is given.
- `SoftmaxWithLoss.backward` ignores `dout`.
- The loss has 1e-7 inside the logarithm and its gradient has not: visible where a label is unlikely, and explained.
- The check of batch normalization in chapter 6 uses a batch of one, which shows nothing.
- Networks on digits sit on kinks: blank paper times weights plus a bias of 0 is exactly 0.

| | verdict | conduct |
|---|---|---|
{table}
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkout", help="folder of the book's repository")
    parser.add_argument("--write", action="store_true", help="write docs/book_layers_examined.md")
    parser.add_argument("--deep", action="store_true", help="DeepConvNet as well, which takes long in NumPy")
    parser.add_argument("--only", default="", help="only what has this in its heading")
    options = parser.parse_args()
    sections, rows, surprises = [], [], []
    for heading, says, status, conduct, check in examined(Book(options.checkout), options.deep):
        if options.only not in heading:
            continue
        report = check()
        found = tuple(sorted({finding.split(":")[0] for finding in report.conduct}))
        text = re.sub(r", [0-9.e+-]+ s$", "", str(report), flags=re.M)
        print(f"== {heading}\n{text}\n", flush=True)
        if (report.status, found) != (status, conduct):
            surprises.append(f"{heading}: {report.status} {found}, expected {status} {conduct}")
        rows.append(f"| {heading} | {report.status} | {', '.join(found)} |")
        sections.append(f"## {heading}\n\n{says}\n\n```text\n{text}\n```\n")
    for surprise in surprises:
        print("NOT AS EXPECTED:", surprise, file=sys.stderr)
    if options.write and not surprises:
        name = Path(options.checkout).resolve().name.replace("+", "/")
        repository = name if "/" in name else "oreilly-japan/deep-learning-from-scratch"
        head = HEAD.format(repository=repository, table="\n".join(rows))
        DOCS.write_text("\n".join([head, *sections]))
    return bool(surprises)


if __name__ == "__main__":
    sys.exit(main())
