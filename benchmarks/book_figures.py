"""The figures that the book, or the notebooks of its readers, print: measured on badak's book modules, beside them.

    python benchmarks/book_figures.py [--only PART ...] [--seed N] [--out docs/book_figures.md]
    python benchmarks/book_figures.py --only pickle --book CHECKOUT     # the weight files of one of its repositories

Each function below is an experiment of the book in our own words, in float64 and uncapped. The book's figures come from
unknown seeds: what is one run there is one run here, so the last digits are luck. A quarter of an hour, most of it
chapter 7.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

import badak as bd
from badak.multi_layer_net import MultiLayerNet
from badak.multi_layer_net_extend import MultiLayerNetExtend
from badak.networks import DeepConvNet, SimpleConvNet, TwoLayerNet
from badak.trainer import Trainer
from badak.util import shuffle_dataset

HIDDEN_4, HIDDEN_6 = [100] * 4, [100] * 6


def buy_apple():
    """Chapter 5: two apples at 100, tax 1.1; then with three oranges at 150."""
    mul_apple, mul_tax = bd.MulLayer(), bd.MulLayer()
    price = mul_tax.forward(mul_apple.forward(100, 2), 1.1)
    dapple_price, dtax = mul_tax.backward(1)
    dapple, dnumber = mul_apple.backward(dapple_price)
    yield "buy apple: price", 220, price
    yield "buy apple: dApple, dApple_num, dTax", (2.2, 110, 200), (dapple, dnumber, dtax)

    mul_apple, mul_orange, add, mul_tax = bd.MulLayer(), bd.MulLayer(), bd.AddLayer(), bd.MulLayer()
    total = add.forward(mul_apple.forward(100, 2), mul_orange.forward(150, 3))
    price = mul_tax.forward(total, 1.1)
    dtotal, dtax = mul_tax.backward(1)
    dapple_price, dorange_price = add.backward(dtotal)
    slopes = (*mul_apple.backward(dapple_price), *mul_orange.backward(dorange_price), dtax)
    yield "with oranges: price", 715, price
    yield "with oranges: dApple, dApple_num, dOrange, dOrange_num, dTax", (2.2, 110, 3.3, 165, 650), slopes


def gradient_check():
    """Chapter 5: the mean distance of numerical gradients from those of backpropagation, on three digits."""
    (x, t), _ = bd.load_mnist(one_hot_label=True)
    network = TwoLayerNet(784, 50, 10)
    numerical, backprop = network.numerical_gradient(x[:3], t[:3]), network.gradient(x[:3], t[:3])
    for name, book in {"W1": 1.8e-6, "b1": 2.4e-5, "W2": 6e-9, "b2": 1.4e-7}.items():
        yield f"gradient check, {name} (order of magnitude)", book, np.abs(numerical[name] - backprop[name]).mean()


def two_layers():
    """Chapters 4 and 5: 784-50-10, 10,000 steps of SGD(0.1) with batches of 100."""
    for chapter, activation, book in (("ch04", "sigmoid", (0.9471, 0.9465)), ("ch05", "relu", (0.978, 0.969))):
        (x, t), (x_test, t_test) = bd.load_mnist(one_hot_label=True)
        network, optimizer = TwoLayerNet(784, 50, 10, activation=activation), bd.SGD(lr=0.1)
        for _ in range(10_000):
            batch = np.random.choice(len(x), 100)
            optimizer.update(network.params, network.gradient(x[batch], t[batch]))
        measured = network.accuracy(x, t), network.accuracy(x_test, t_test)
        yield f"{chapter} two-layer net, 10,000 steps: train, test", book, measured


def race(networks, optimizers):
    """Train each network with its optimiser for 2,000 steps on the same batches; the means of the last 5 losses."""
    (x, t), _ = bd.load_mnist()
    losses = {name: [] for name in networks}
    for step in range(2_000):
        batch = np.random.choice(len(x), 128)
        for name, network in networks.items():
            optimizers[name].update(network.params, network.gradient(x[batch], t[batch]))
            if step >= 1_995:
                losses[name].append(network.loss(x[batch], t[batch]))
    return {name: np.mean(last) for name, last in losses.items()}


def optimizers():
    """Chapter 6: four optimisers on 784-100x4-10, batches of 128."""
    kinds = {"SGD": bd.SGD(), "Momentum": bd.Momentum(), "AdaGrad": bd.AdaGrad(), "Adam": bd.Adam()}
    reached = race({name: MultiLayerNet(784, HIDDEN_4, 10) for name in kinds}, kinds)
    for name, book in {"SGD": 0.231, "Momentum": 0.078, "AdaGrad": 0.037, "Adam": 0.035}.items():
        yield f"ch06 {name}, loss after 2,000 steps", book, reached[name]


def initial_values():
    """Chapter 6: three ways to begin, the same network, SGD."""
    kinds = {"std 0.01": 0.01, "Xavier": "xavier", "He": "he"}
    networks = {name: MultiLayerNet(784, HIDDEN_4, 10, weight_init_std=std) for name, std in kinds.items()}
    reached = race(networks, {name: bd.SGD(lr=0.01) for name in kinds})
    for name, book in {"std 0.01": 2.303, "Xavier": 0.303, "He": 0.221}.items():
        yield f"ch06 first weights {name}, loss after 2,000 steps", book, reached[name]


def weight_decay():
    """Chapter 6: 300 images, 784-100x6-10, decay 0.1, 201 epochs of 3 steps."""
    (x, t), (x_test, t_test) = bd.load_mnist()
    x, t = x[:300], t[:300]
    network, optimizer = MultiLayerNet(784, HIDDEN_6, 10, weight_decay_lambda=0.1), bd.SGD(lr=0.01)
    for _ in range(201 * 3):
        batch = np.random.choice(300, 100)
        optimizer.update(network.params, network.gradient(x[batch], t[batch]))
    measured = network.accuracy(x, t), network.accuracy(x_test, t_test)
    yield "ch06 weight decay 0.1 on 300 images: train, test", (0.927, 0.721), measured


def dropout():
    """Chapter 6: 300 images, 784-100x6-10, dropout 0.2, 301 epochs."""
    (x, t), (x_test, t_test) = bd.load_mnist()
    network = MultiLayerNetExtend(784, HIDDEN_6, 10, use_dropout=True, dropout_ration=0.2)
    trainer = Trainer(network, x[:300], t[:300], x_test, t_test, epochs=301, mini_batch_size=100, verbose=False)
    trainer.train()
    measured = trainer.train_acc_list[-1], trainer.test_acc_list[-1]
    yield "ch06 dropout 0.2 on 300 images: train, test", (0.67, 0.548), measured


def random_search():
    """Chapter 6: 100 learning rates and decays by chance, 400 images to learn from, 100 to judge by."""
    (x, t), _ = bd.load_mnist()
    x, t = shuffle_dataset(x[:500], t[:500])
    found = []
    for _ in range(100):
        decay, lr = 10 ** np.random.uniform(-8, -4), 10 ** np.random.uniform(-6, -2)
        network = MultiLayerNet(784, HIDDEN_6, 10, weight_decay_lambda=decay)
        options = {"epochs": 50, "mini_batch_size": 100, "optimizer_param": {"lr": lr}, "verbose": False}
        trainer = Trainer(network, x[100:], t[100:], x[:100], t[:100], **options)
        trainer.train()
        found.append((trainer.test_acc_list[-1], lr))
    yield "ch06 random search, 100 trials: best validation accuracy, at lr", (0.84, 0.0094), max(found)


def simple_conv_net():
    """Chapter 7: 20 epochs of Adam on all of MNIST."""
    (x, t), (x_test, t_test) = bd.load_mnist(flatten=False)
    network = SimpleConvNet()
    options = {"optimizer": "Adam", "optimizer_param": {"lr": 0.001}, "evaluate_sample_num_per_epoch": 1000}
    Trainer(network, x, t, x_test, t_test, epochs=20, mini_batch_size=100, verbose=False, **options).train()
    yield "ch07 SimpleConvNet, 20 epochs: test", 0.989, network.accuracy(x_test, t_test)


def pickle_files(book):
    """The weight files of a checkout of the book: chapters 3, 7 and 8."""
    weights = bd.load_pickle(book / "ch03" / "sample_weight.pkl")
    _, (x, t) = bd.load_mnist()
    for i in (1, 2):
        x = bd.sigmoid(np.dot(x, weights[f"W{i}"]) + weights[f"b{i}"])
    scores = np.dot(x, weights["W3"]) + weights["b3"]
    yield "ch03 the book's sample_weight.pkl: test", 0.9352, np.mean(scores.argmax(axis=1) == t)
    _, (x, t) = bd.load_mnist(flatten=False)
    published = {
        "ch07/params.pkl": (SimpleConvNet, "0.9600 or 0.9890"),
        "ch08/deep_convnet_params.pkl": (DeepConvNet, "0.9797 or 0.9935"),
    }
    for name, (kind, accuracies) in published.items():
        network = kind()
        network.load_params(book / name)
        yield f"the book's {name}: test (Japanese or Korean repository)", accuracies, network.accuracy(x, t)


EXPERIMENTS = (
    buy_apple,
    gradient_check,
    two_layers,
    optimizers,
    initial_values,
    weight_decay,
    dropout,
    random_search,
    simple_conv_net,
)


def shown(value):
    if isinstance(value, tuple):
        return ", ".join(map(shown, value))
    return value if isinstance(value, str) else f"{value:.4g}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", default=[""], metavar="PART", help="experiments with this in their name")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--book", type=Path, metavar="CHECKOUT", help="of the book's repository: its weight files too")
    parser.add_argument("--out", type=Path, help="write the table into this file too")
    options = parser.parse_args()
    experiments = {function.__name__: function for function in EXPERIMENTS}
    if options.book:
        experiments["pickle_files"] = lambda: pickle_files(options.book)
    lines = ["| figure | the book | badak | seconds |", "|---|---|---|---|"]
    print("\n".join(lines))
    for name, experiment in experiments.items():
        if not any(part in name for part in options.only):
            continue
        np.random.seed(options.seed)
        began = time.perf_counter()
        rows = list(experiment())
        seconds = f"{time.perf_counter() - began:.1f}"
        for figure, book, measured in rows:
            lines.append(f"| {figure} | {shown(book)} | {shown(measured)} | {seconds} |")
            print(lines[-1], flush=True)
            seconds = ""
    if options.out:
        options.out.write_text("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
