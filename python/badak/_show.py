"""``badak.show``: the formula, the NumPy twin and the C of one thing, side by side."""

import inspect
import re
import textwrap
from html import escape

from . import _reference, functions
from ._texts import folder
from .layers import AddLayer, Layer, MulLayer
from .optimizer import Optimizer

# where the C of a function is; functions that are not here are Python
_FUNCTIONS_IN_C = {
    "sigmoid": ("kernels/math.inc", "v_sigmoid"),
    "tanh": ("kernels/math.inc", "v_tanh"),
    "relu": ("kernels/elementwise.inc", "v_relu"),
    "softmax": ("kernels/elementwise.inc", "softmax_rows"),
    "cross_entropy_error": ("core/functions.c", "bd_cross_entropy"),
    "sum_squared_error": ("core/functions.c", "bd_squared_distance"),
    "mean_squared_error": ("core/functions.c", "bd_squared_distance"),
}


def show(what):
    """The formula of a layer, function or optimiser, the same in NumPy, and the C that computes it.

    Parameters
    ----------
    what : layer, optimiser, or the class of one, or function of ``badak.functions``

    Returns
    -------
    Shown
        A notebook shows its three parts side by side; ``str`` and ``repr`` are text, one below the other. They are also
        its attributes ``formula``, ``twin`` and ``c``.

    Examples
    --------
    >>> bd.show(bd.Sigmoid).formula.splitlines()[0]
    'Sigmoid: out = 1 / (1 + exp(-x))                                 (book: section 5.5.2)'
    """
    kind = what if isinstance(what, type) else type(what)
    if issubclass(kind, Layer) and getattr(kind, "kind", None):
        return _layer(kind.kind)
    if issubclass(kind, Optimizer) and getattr(kind, "kind", None):
        return _optimizer(kind)
    if issubclass(kind, (MulLayer, AddLayer)):
        kind = MulLayer if issubclass(kind, MulLayer) else AddLayer
        return Shown(kind.__name__, _introduction(kind), _python(kind), "", "")
    name = getattr(what, "__name__", "")
    if name in functions.__all__ and what is getattr(functions, name) and inspect.isfunction(what):
        return _function(name, what)
    raise TypeError(
        f"show takes a layer or an optimiser of badak, its class, or a function of badak.functions, got {what!r:.60}"
    )


def _layer(kind):
    path = f"core/layers/{re.sub('(?<!^)(?=[A-Z])', '_', kind).lower()}.c"
    head, body = re.fullmatch(r"/\* (.*?)\*/\s*#ifdef real[^\n]*\n(.*?)#else.*", _text(path), re.DOTALL).groups()
    formula = re.sub(r"^ \* ?", "", head, flags=re.MULTILINE).strip()
    return Shown(kind, formula, _python(_reference.LAYERS[kind]), body.strip(), path)


def _optimizer(kind):
    name = kind.kind.lower()
    step = _c_function("core/optimizer.c", f"{name}_update")
    kernel = re.search(r"k->(\w+)\(", step).group(1)
    parts = [step, _c_function("kernels/elementwise.inc", kernel)]
    twin = _reference.OPTIMIZERS[kind.kind]
    own = next(one for one in kind.__mro__ if one.__name__ == kind.kind)
    return Shown(kind.kind, _introduction(own), _python(twin), "\n\n".join(parts), "core/optimizer.c")


def _function(name, function):
    twin = _python(getattr(_reference, name))
    if name in _FUNCTIONS_IN_C:
        path, c_name = _FUNCTIONS_IN_C[name]
        return Shown(name, _introduction(function), twin, _c_function(path, c_name), path)
    return Shown(name, _introduction(function), twin, "", "")


def _text(path):
    return (folder("csrc") / path).read_text(encoding="utf-8")


def _c_function(path, name):
    """The last definition of a function in a C file: those before are of rarer types. With the comment above it."""
    pattern = (
        rf"(?:^/\*(?:(?!\*/).)*\*/\n)?^(?:static|double|void)[^\n;]*?\b(?:(?:REAL|KERNEL)\({name}\)|{name})\("
        r"[^;{]*\n\{\n.*?^\}"
    )
    return re.findall(pattern, _text(path), re.DOTALL | re.MULTILINE)[-1]


def _introduction(thing):
    """The docstring up to its first section."""
    text = inspect.getdoc(thing) or ""
    return re.split(r"\n+^\w[^\n]*\n-{3,}$", text, maxsplit=1, flags=re.MULTILINE)[0].strip()


def _python(thing):
    return textwrap.dedent(inspect.getsource(thing)).strip()


class Shown:
    """The parts of what ``show`` was asked for.

    Attributes
    ----------
    name, formula, twin : str
    c : str
        Empty where it is all Python.
    path : str
        The file of the C, below csrc/.
    """

    def __init__(self, name, formula, twin, c, path):
        self.name = name
        self.formula = formula
        self.twin = twin
        self.c = c
        self.path = path

    def _parts(self):
        parts = [("formula", self.formula), ("NumPy", self.twin)]
        return parts + ([(f"C: csrc/{self.path}", self.c)] if self.c else [])

    def __str__(self):
        texts = (f"-- {title} {'-' * max(3, 96 - len(title))}\n{text}" for title, text in self._parts())
        return f"{self.name}\n\n" + "\n\n".join(texts)

    __repr__ = __str__

    def _repr_html_(self):
        (_, formula), *sources = self._parts()
        panes = "".join(
            f'<div style="flex: 1 1 30em; min-width: 0"><b>{escape(title)}</b>'
            f'<pre style="max-height: 34em; overflow: auto; font-size: 85%; line-height: 1.35">{escape(text)}</pre>'
            "</div>"
            for title, text in sources
        )
        return (
            f'<div style="text-align: left"><h4>{escape(self.name)}</h4><pre>{escape(formula)}</pre>'
            f'<div style="display: flex; flex-wrap: wrap; gap: 1.5em; align-items: flex-start">{panes}</div></div>'
        )
