"""What is timed: the rows, and how each becomes entries of a race, once all have been found to do the same."""

import itertools
from dataclasses import dataclass

import check
import layer_calls
import nets
import numpy as np
import numpy_book
from contestants import Badak, NumpyBook, UnavailableError
from race import Entry

IMAGES = check.MOST_DIGITS  # that are trained on and looked at in turn
MANY_IMAGES = 5_000  # the same, if a batch is of 1,000


@dataclass(frozen=True)
class NetWork:
    """Training steps, epochs or inference of a net with batches of a size."""

    kind: str  # "step", "epoch" or "infer"
    net: nets.Net
    batch: int
    images: int = 0  # of an epoch
    quick: bool = False  # is it in the quick run?

    @property
    def name(self):
        return f"{self.kind}-{self.net.name}-batch{self.batch}"

    @property
    def title(self):
        what = {"step": "Training step", "epoch": f"Epoch of {self.images} images", "infer": "Inference"}[self.kind]
        optimizer = "" if self.kind == "infer" else f", {self.net.optimizer}"
        return f"{what}, {self.net.name}{optimizer}, batch {self.batch}"

    @property
    def flops(self):
        """Of one piece of the work: a step, an epoch, a batch inferred."""
        images = self.images if self.kind == "epoch" else self.batch
        return images * self.net.flops(training=self.kind != "infer")

    def _checked(self, contestant):
        errors = {"step": check.step_errors, "epoch": check.epoch_errors, "infer": check.score_errors}[self.kind]
        return check.within(self.title, contestant.name, errors(self.net, self.batch, contestant))

    def _run(self, contestant):
        """The function that does it so many times, on the images in turn."""
        if self.kind == "epoch":
            x, t = contestant.take(*check.digits(self.net, self.images))

            def epochs(count):
                for _ in range(count):
                    contestant.epoch(x, t, self.batch, shuffle=True)
                contestant.wait()

            return epochs
        images = MANY_IMAGES if self.batch >= 1000 else IMAGES
        count = min(images // self.batch, 400)
        x, t = check.digits(self.net, count * self.batch)
        parts = [slice(i * self.batch, (i + 1) * self.batch) for i in range(count)]
        taken = itertools.cycle([contestant.take(x[part], t[part]) for part in parts])
        return _steps(contestant, taken) if self.kind == "step" else _inferences(contestant, taken)

    def entries(self, contestants, threads, quick=False):
        """(entries, what each check found, what failed with the reason)."""
        found, errors, failed = [], {}, {}
        for one in contestants:
            if not one.can(self.net) or (one.compared and not self._compares):
                continue
            if quick and isinstance(one, NumpyBook) and one.peer and not self.net.is_mlp:
                continue  # it takes twenty times as long as the others
            try:
                errors[one.name] = self._checked(one)
                run = self._run(one)
                if self.kind != "infer" and self.net.without_dropout() != self.net:
                    one.build(self.net, self.net.optimizer)
                    run(1)  # who compiles has compiled another net for the check
            except Exception as error:  # whatever a peer raises: the others go on
                failed[one.name] = _text(error)
                continue
            found.append(Entry(one.name, run, peer=one.peer, lingers=one.lingers if threads > 1 else 0))
        return found, errors, failed

    @property
    def _compares(self):
        """Layer by layer, and one thread, at one batch size only."""
        return self.kind == "step" and self.batch == 100


def _text(error):
    return str(error) if isinstance(error, (check.DifferentWorkError, UnavailableError)) else repr(error)[:300]


def _steps(contestant, taken):
    def steps(count):
        for x, t in itertools.islice(taken, count):
            contestant.step(x, t)
        contestant.wait()

    return steps


def _inferences(contestant, taken):
    def inferences(count):
        with contestant.inference():
            for x, _ in itertools.islice(taken, count):
                contestant.infer(x)

    return inferences


@dataclass(frozen=True)
class LayerWork:
    """Forward and backward of a layer that stands alone, as the book calls it."""

    call: layer_calls.LayerCall
    quick: bool = False

    @property
    def name(self):
        return f"{'call' if self.call.small else 'layer'}-{self.call.name}-{self.call.size}-{np.dtype(self.call.dtype)}"

    @property
    def title(self):
        return f"{self.call.name}, forward and backward, {self.call.size}, {np.dtype(self.call.dtype)}"

    flops = None

    def entries(self, contestants, threads, quick=False):
        lingers = {one.name: one.lingers for one in contestants}
        wanted = {"PyTorch": "PyTorch", "NumPy": "NumPy, as in the book (float64)"}
        found, errors, failed = [], {}, {}
        for name, make in layer_calls.LIBRARIES.items():
            if name != "badak" and wanted[name] not in lingers:
                continue
            try:
                run, results = make(self.call)
                errors[name] = check.within(self.title, name, layer_calls.errors(self.call, results))
            except Exception as error:
                failed[name] = _text(error)
                continue
            pause = lingers.get(wanted.get(name), 0) if threads > 1 else 0
            found.append(Entry(name, run, peer=name != "badak", lingers=pause))
        return found, errors, failed


@dataclass(frozen=True)
class NumericalGradient:
    """Central differences of the loss by every parameter of 784-50-10, for a batch of 3."""

    quick: bool = True
    name = "numerical-784-50-10-batch3"
    title = "Numerical gradient, 784-50-10, all 39,760 parameters, batch 3"
    flops = None
    part = 400  # parameters of W1 that the book's loop is timed on; the time of all of them is inferred

    def entries(self, contestants, threads, quick=False):
        names = {one.name for one in contestants if not quick or one.name != "PyTorch"}  # half a minute
        x, t = check.digits(nets.TWO_LAYERS, 3)
        found, errors, failed = [], {}, {}
        makers = {
            "badak": self._badak,
            "NumPy, as in the book (float64)": self._book,
            "PyTorch": self._torch,
        }
        for name, make in makers.items():
            if name != "badak" and name not in names:
                continue
            try:
                own = "torch.autograd.gradcheck" if name == "PyTorch" else name
                run, share, gradient = make(x.astype(float), t)
                if gradient is not None:
                    error = np.abs(gradient - self._exact(x, t)).max() / np.abs(gradient).max()
                    errors[own] = check.within(self.title, own, {"the gradient of W1": (error, 1e-5)})
                found.append(Entry(own, run, share=share, peer=name != "badak"))
            except Exception as error:
                failed[name] = _text(error)
        return found, errors, failed

    def _exact(self, x, t):
        """The gradient by W1 of those first parameters, by backpropagation in float64."""
        reference = NumpyBook()
        reference.build(nets.TWO_LAYERS)
        return reference.net.gradient(x.astype(float), t)[1]["W1"].ravel()[self._indices()]

    def _indices(self):
        """In the rows of pixels that are not white everywhere."""
        first = 400 * 50
        return np.arange(first, first + self.part)

    def _badak(self, x, t):
        contestant = Badak()
        contestant.dtype = np.float64
        contestant.build(nets.TWO_LAYERS)
        net = contestant.net
        gradient = net.numerical_gradient(x, t)["W1"].ravel()[self._indices()]

        def run(count):
            for _ in range(count):
                net.numerical_gradient(x, t)

        return run, 1, gradient

    def _book(self, x, t):
        reference = NumpyBook()
        reference.build(nets.TWO_LAYERS)
        net, indices = reference.net, self._indices()

        def once():
            return numpy_book.numerical_gradient(lambda: net.loss(x, t), net.params["W1"], indices)

        def run(count):
            for _ in range(count):
                once()

        return run, self.part / nets.TWO_LAYERS.parameters, once()

    def _torch(self, x, t):
        import torch

        functions = torch.nn.functional
        x, t = torch.from_numpy(x), torch.from_numpy(t)
        parameters = [torch.from_numpy(a.copy()).requires_grad_() for pair in nets.TWO_LAYERS.weights() for a in pair]

        def loss(W1, b1, W2, b2):
            return functions.cross_entropy(torch.relu(x @ W1 + b1) @ W2 + b2, t)

        def run(count):
            for _ in range(count):
                torch.autograd.gradcheck(loss, parameters)  # raises if it finds a difference

        return run, 1, None


BATCHES = (10, 100, 1000)
INFERRED = (1, 100, 1000)
EPOCH_IMAGES = {
    nets.TWO_LAYERS: 10_000,
    nets.SIX_LAYERS: 10_000,
    nets.WIDE: 5_000,
    nets.SIMPLE_CONV: 2_000,
    nets.DEEP_CONV: 1_000,
}
WORKS = (
    *(
        NetWork("step", net, batch, quick=batch == 100 and net is not nets.WIDE)
        for batch in BATCHES
        for net in nets.NETS
    ),
    *(NetWork("epoch", net, 100, images) for net, images in EPOCH_IMAGES.items()),
    *(NetWork("infer", net, batch, quick=batch != 100) for batch in INFERRED for net in nets.NETS),
    *(LayerWork(call, quick=call.small and call.dtype is np.float64) for call in layer_calls.CALLS),
    NumericalGradient(),
)
