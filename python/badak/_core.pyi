"""The C core of badak (csrc/bind): what the Python modules of the package build on.

Arrays of results are C-contiguous, new, and the caller's. "Real" means float32 or float64; what else holds real numbers
is converted. Hyper-parameters come as a tuple, in the order in which ``layer_kinds`` and ``optimizer_kinds`` list them.
"""

from collections.abc import Callable
from typing import Any, TypeAlias, TypedDict, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

_Real: TypeAlias = NDArray[np.float32] | NDArray[np.float64]
_Number: TypeAlias = int | float
_Hyper: TypeAlias = tuple[int | float | str, ...]

class _LayerKind(TypedDict):
    inputs: int
    hyper: tuple[tuple[str, int | float | str | None], ...]
    params: tuple[str, ...]
    buffers: tuple[str, ...]
    is_loss: bool
    classifies: bool
    branches: bool

class _OptimizerKind(TypedDict):
    hyper: list[tuple[str, float]]
    state: list[str]

class _Step(TypedDict):
    kind: str
    depth: int
    shape: tuple[int, ...]
    size: int
    macs: int
    fused: bool
    first_param: int
    param_count: int

@final
class Layer:
    """A layer kind with its hyper-parameters; immutable."""

    def __new__(cls, kind: str, hyper: _Hyper, children: tuple[Layer, ...] = ()) -> Layer: ...
    @property
    def kind(self) -> str:
        """Name of the kind."""
    @property
    def hyper(self) -> _Hyper:
        """Values of the hyper-parameters, in the kind's order."""
    @property
    def children(self) -> tuple[Layer, ...]:
        """The layers of its branch."""
    def forward(
        self,
        inputs: tuple[ArrayLike, ...],
        params: tuple[_Real | _Number, ...],
        target: ArrayLike | None,
        training: bool,
        buffers: tuple[_Real, ...],
        draws: NDArray[np.float64] | None,
        /,
    ) -> tuple[Any, Saved]:
        """(out, saved) for a tuple of inputs and one of parameters; `out` of a loss is a NumPy number."""
    def backward(
        self, saved: Saved | None, dout: ArrayLike, params: tuple[_Real | _Number, ...], /
    ) -> tuple[tuple[_Real, ...], tuple[_Real, ...]]:
        """(dx per input, gradient per parameter), new arrays."""

@final
class Saved:
    """What forward kept for backward."""

    @property
    def x(self) -> _Real | None:
        """The first input of forward, as converted; None where backward does not read it."""
    @property
    def x_shape(self) -> tuple[int, ...]:
        """The shape of that input."""
    @property
    def out(self) -> _Real | None:
        """A copy of the output, or None."""
    @property
    def sign(self) -> NDArray[np.int8] | None:
        """A copy of the ReLU's signs, 1 where x passed and else 0, or None."""
    @property
    def keep(self) -> _Real | None:
        """A copy of what else was kept, or None."""
    @property
    def target(self) -> _Real | NDArray[np.int64] | None:
        """Labels or rows, as converted, or None."""
    def __copy__(self) -> Saved: ...
    def __deepcopy__(self, memo: dict[int, Any], /) -> Saved: ...

@final
class PythonLayer(Layer):
    """A layer that Python computes, for a Net."""

    def __new__(cls, adapter: Any, name: str, params: tuple[str, ...], /) -> PythonLayer: ...  # type: ignore[misc]
    def forward(self, *unused: Any) -> Any:
        """A TypeError: Python computes it."""
    def backward(self, *unused: Any) -> Any:
        """A TypeError: Python computes it."""

class Net:
    """A compiled net; badak.Net is its face. One call at a time: another one meanwhile is a RuntimeError."""

    def __new__(
        cls, layers: tuple[Layer, ...], loss: Layer, input_shape: tuple[int, ...], dtype: Any, seed: int
    ) -> Net: ...
    @property
    def updates(self) -> int:
        """Steps that the bound optimiser has made."""
    @updates.setter
    def updates(self, value: int) -> None: ...
    @property
    def activation_bytes(self) -> int:
        """Memory reserved for batches."""
    @property
    def last_draws(self) -> tuple[int, int]:
        """Where the generator stood when the last run began."""
    @property
    def rng(self) -> tuple[int, int]:
        """The generator's state, (seed, position)."""
    @rng.setter
    def rng(self, state: tuple[int, int], /) -> None: ...
    def arrays(self, which: str, /) -> list[tuple[str, _Real]]:
        """[(name, view), ...] of params, grads, buffers, state0 or state1."""
    def names(self, which: str, /) -> tuple[str, ...]:
        """The names of these arrays."""
    def array(self, which: str, i: int, /) -> _Real:
        """A view of one of these arrays."""
    def steps(self) -> list[_Step]:
        """Facts about each step of the plan."""
    def predict(self, x: ArrayLike, /) -> _Real:
        """Scores of the last layer."""
    def evaluate(self, x: ArrayLike, t: ArrayLike, training: bool, /) -> tuple[float, int]:
        """(mean loss, hits)"""
    def gradient(self, x: ArrayLike, t: ArrayLike, want_dx: bool, fuse: bool, /) -> tuple[float, int, _Real | None]:
        """(loss, hits, dx); gradients go to arrays("grads")."""
    def bind(self, kind: str, /) -> None:
        """Clears the optimiser's state."""
    def train(self, x: ArrayLike, t: ArrayLike, kind: str, hyper: _Hyper, /) -> tuple[float, int]:
        """One step; (loss, hits)."""
    def fit_slice(
        self,
        x: ArrayLike,
        t: ArrayLike,
        order: NDArray[np.int64],
        start: int,
        batch: int,
        kind: str,
        hyper: _Hyper,
        weight_decay: float,
        factors: NDArray[np.float64],
        limit: float,
        losses: NDArray[np.float64],
        /,
    ) -> tuple[int, int]:
        """Steps for at most `limit` seconds; (where it stopped, hits)."""
    @classmethod
    def shapes(
        cls, layers: tuple[Layer, ...], loss: Layer, input_shape: tuple[int, ...], /
    ) -> tuple[list[tuple[str, tuple[int, ...]]], list[tuple[str, tuple[int, ...]]]]:
        """([(name, shape), ...] of params, the same of buffers) that such a net would have."""
    def give_draws(self, draws: NDArray[np.float64] | None, /) -> None:
        """What batches that draw so many numbers draw, for tests of gradients; None: the generator's numbers again."""
    def hold(self) -> None:
        """Refuse all calls until let_go()."""
    def let_go(self) -> None:
        """The end of hold()."""
    def penalty(self, weight_decay: float, /) -> float:
        """weight_decay / 2 * sum(W**2)"""
    def prepare_x(self, x: ArrayLike, finite: bool, first_row: int, /) -> _Real:
        """X checked and as the net reads it."""
    def prepare_t(self, t: ArrayLike, n: int, finite: bool, /) -> _Real | NDArray[np.int64]:
        """The target of n samples, checked and as the net reads it."""
    def prepare(self, x: ArrayLike, t: ArrayLike, finite: bool, /) -> tuple[_Real, _Real | NDArray[np.int64]]:
        """(x, t) checked and as the net reads them; NaN and infinity are refused if `finite`."""
    def shuffled(self, n: int, /) -> NDArray[np.int64]:
        """0 .. n-1 in random order."""
    def derivatives(
        self,
        which: int,
        directions: NDArray[np.float64] | NDArray[np.int64],
        x: ArrayLike,
        t: ArrayLike,
        rtol: float,
        h: float,
        coarsest: float = 0.0,
        both_sides: bool = False,
        frozen: bool = False,
        extended: bool = False,
        /,
    ) -> NDArray[np.float64]:
        """Numerical derivatives of the loss: rows as of ``derivative``; with h not 0 plain differences, (k, 1)."""
    def losses_along(
        self,
        which: int,
        direction: NDArray[np.float64] | NDArray[np.int64],
        steps: NDArray[np.float64],
        x: ArrayLike,
        t: ArrayLike,
        /,
    ) -> NDArray[np.float64]:
        """For each step: the loss less the loss at rest, and a bound on the rounding in that, (k, 2)."""

def apply(name: str, x: ArrayLike, /) -> Any:
    """Sigmoid, tanh, relu, exp or log of every element; a number for a number."""

def real_array(x: ArrayLike, name: str = "x", min_ndim: int = -1, /) -> _Real:
    """X as a contiguous float32 or float64 array; TypeError unless it holds real numbers."""

def softmax(x: ArrayLike, /) -> _Real:
    """Softmax over the last axis."""

def im2col(x: ArrayLike, filter_h: int, filter_w: int, stride: int, pad: int, /) -> _Real:
    """Windows of images as rows."""

def col2im(
    col: ArrayLike, input_shape: tuple[int, ...], filter_h: int, filter_w: int, stride: int, pad: int, /
) -> _Real:
    """The sum of windows, as images."""

def cross_entropy(y: ArrayLike, t: ArrayLike, eps: float, /) -> float:
    """Mean over the rows of -sum(t log(y + eps))."""

def squared_distance(y: ArrayLike, t: ArrayLike, /) -> float:
    """Sum of (y - t)^2."""

def update(
    kind: str,
    hyper: _Hyper,
    params: list[_Real],
    grads: list[ArrayLike],
    states: list[tuple[_Real, ...]],
    t: int,
    /,
) -> None:
    """One optimiser step on lists of arrays, in place; nothing changes if one of them does not fit."""

def check_parameter(array: object, name: str, /) -> None:
    """Raises unless the array can be used where it lies."""

def check_optimizer(kind: str, hyper: _Hyper, /) -> None:
    """Raises unless the hyper-parameters are in range."""

def numerical_gradient(f: Callable[[_Real], Any], x: _Real, h: float, /) -> _Real:
    """Central differences; x is changed in place and restored."""

_Probe = Callable[[float], tuple[float, float, float]]
_Slope = tuple[float, float, float, int, float, float, bool, bool, float, int, float, float]

def derivative(f: _Probe, size: float, rtol: float, coarsest: float = 0.0, /) -> _Slope:
    """Ridders' ladder: (value, uncertainty, step, evaluations, left, right, finite, one_sided, bend, kind,
    left_uncertainty, right_uncertainty).

    ``f(h)`` gives the value at a step h, how far the step really went, and a bound on the rounding in the value.
    ``kind``: 0 smooth, 1 a kink, 2 a jump, 3 unresolved, 4 no value.
    """

def one_sided(f: _Probe, size: float, rtol: float, coarsest: float = 0.0, /) -> _Slope:
    """The same, the slopes from either side extrapolated on their own."""

def layer_kinds() -> dict[str, _LayerKind]:
    """The descriptors, as dictionaries."""

def optimizer_kinds() -> dict[str, _OptimizerKind]:
    """The optimisers, likewise."""

def isa() -> str:
    """The instruction set whose kernels are in use."""

def isa_names() -> list[str]:
    """Those that this processor can run, best last."""

def set_num_threads(n: int, /) -> None:
    """How many threads a call may use, at least 1."""

def get_num_threads() -> int:
    """How many threads a call may use."""
