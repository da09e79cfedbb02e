"""Computational graphs (book: section 5.1), of a formula and of layers: what ``badak.plot.graph`` draws.

A formula is called with numbers that write down what happens to them.
"""

import inspect
import numbers

import numpy as np

from ._svg import BOX, INK, SMALL, STROKE, Svg, arrow, box, edge_labels, number, width_of, write
from .layers import Layer, Residual
from .net import Net

ROW = 62  # pixels between the rows of a formula
SLANT = 34  # and for an edge to change its row
WIDEST = 900  # a chain of layers that is longer begins a new line
MOST_NODES = 200


def graph(what, *inputs, backward=None, output="", **named):
    """A computational graph, as a picture that needs no other program (book: chapter 5).

    Above each arrow stands what goes forward, below it the gradient that comes back: the derivative of the result.

    Parameters
    ----------
    what : function, Net, list of layers, layer, or network in the book's style
        A function is called with its inputs; it may use ``+ - * / **``, NumPy's ``exp log sqrt sin cos tanh abs maximum
        minimum``, and other functions or layers that do (``MulLayer``, ``AddLayer``).
    *inputs : numbers, or one array
        Of a function: numbers, called as its parameters are. Of layers: x, whose shape then flows through; a ``Net``
        knows the shapes by itself.
    **named : numbers
        More inputs of a function, called as the keywords are.
    backward : bool or None
        Draw what comes back? None: yes for a function; of layers only the shapes are drawn, once.
    output : str
        What to call the result.

    Returns
    -------
    Svg
        A notebook shows it; ``.save("graph.svg")`` writes it. Its background is transparent.

    Examples
    --------
    >>> bd.plot.graph(lambda apple, number, tax: apple * number * tax, apple=100, number=2, tax=1.1, output="price")
    <picture of 474 x 172 pixels: a notebook shows it, save(path) writes it>
    """
    if backward not in (None, True, False):
        raise TypeError(f"backward must be True or False, got {backward!r}")
    layers = _layers_of(what)
    if layers is not None:
        if named:
            raise TypeError(
                f"a graph of layers takes x, not {', '.join(named)}: names are for the inputs of a function"
            )
        return _draw_layers(what, layers, inputs, bool(backward), output)
    if not callable(what) or isinstance(what, type):
        raise TypeError(f"graph draws a function, a Net, a layer or a list of layers, got {_called(what)}")
    return _draw_formula(what, _inputs(what, inputs, named), backward in (None, True), output)


def _called(what):
    return f"the class {what.__name__}" if isinstance(what, type) else type(what).__name__


# -- a formula --------------------------------------------------------------------------------


def _sign(x):
    return 1.0 if x > 0 else -1.0 if x < 0 else 0.0


# what to write in the box, and the slopes towards the inputs
_RULES = {
    np.add: ("+", lambda x, y: (1, 1)),
    np.subtract: ("-", lambda x, y: (1, -1)),
    np.multiply: ("*", lambda x, y: (y, x)),
    np.true_divide: ("/", lambda x, y: (1 / y, -x / y**2)),
    np.power: ("**", lambda x, y: (y * x ** (y - 1) if y else 0.0, x**y * np.log(x) if x > 0 else np.nan)),
    np.maximum: ("max", lambda x, y: (float(x > y), float(x <= y))),
    np.minimum: ("min", lambda x, y: (float(x < y), float(x >= y))),
    np.negative: ("neg", lambda x: (-1,)),
    np.positive: ("pos", lambda x: (1,)),
    np.exp: ("exp", lambda x: (np.exp(x),)),
    np.log: ("log", lambda x: (1 / x,)),
    np.sqrt: ("sqrt", lambda x: (0.5 / np.sqrt(x),)),
    np.sin: ("sin", lambda x: (np.cos(x),)),
    np.cos: ("cos", lambda x: (-np.sin(x),)),
    np.tanh: ("tanh", lambda x: (1 - np.tanh(x) ** 2,)),
    np.absolute: ("abs", lambda x: (_sign(x),)),
    np.square: ("** 2", lambda x: (2 * x,)),
}
_COMPARISONS = (np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal)


class Node(np.lib.mixins.NDArrayOperatorsMixin):
    """A number that remembers how it came about: NumPy's functions and Python's operators give new ones."""

    def __init__(self, value, label, inputs=(), slopes=()):
        self.value = value
        self.label = label
        self.inputs = inputs
        self.slopes = slopes
        self.gradient = 0.0

    def __array_ufunc__(self, ufunc, method, *operands, **kwargs):
        if method != "__call__" or kwargs or not all(isinstance(one, (Node, numbers.Real)) for one in operands):
            raise TypeError(f"a graph of a formula is made of single numbers: np.{ufunc.__name__} was given an array")
        values = [float(one.value if isinstance(one, Node) else one) for one in operands]
        if ufunc in _COMPARISONS:
            return bool(ufunc(*values))
        if ufunc not in _RULES:
            known = ", ".join(rule.__name__ for rule in _RULES)
            raise TypeError(f"graph does not know np.{ufunc.__name__}; it knows {known}")
        label, slopes = _RULES[ufunc]
        with np.errstate(all="ignore"):
            value = float(ufunc(*values))
            if not np.isfinite(value):
                raise ValueError(f"np.{ufunc.__name__} of {', '.join(map(number, values))} is {value}")
            slopes = slopes(*(np.float64(one) for one in values))
        pairs = list(zip(operands, slopes, strict=True))
        traced = [(one, slope) for one, slope in pairs if isinstance(one, Node)]
        return Node(value, _with_constant(label, operands), *map(tuple, zip(*traced, strict=True)))

    def __float__(self):
        raise TypeError("a graph needs NumPy's functions: np.exp(x), not math.exp(x) or float(x)")

    __hash__ = object.__hash__


def _with_constant(label, operands):
    """The label of a box: * alone for two nodes, * 2 or 1 / where one is a number."""
    if len(operands) == 1 or all(isinstance(one, Node) for one in operands):
        return label
    x, y = operands
    return f"{number(x)} {label}" if isinstance(y, Node) else f"{label} {number(y)}"


def _inputs(f, values, named):
    """A node for each input, with the name it goes by, and how to call f with them."""
    names = []
    if values:
        try:
            parameters = list(inspect.signature(f).parameters.values())
        except (TypeError, ValueError):
            parameters = []
        by_place = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        names = [by_place[i] if i < len(by_place) else f"x{i}" for i in range(len(values))]
    if not values and not named:
        raise TypeError("a graph of a function needs its inputs: graph(f, apple=100, number=2)")
    for name, value in [*zip(names, values, strict=True), *named.items()]:
        if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real) or not np.isfinite(value):
            raise TypeError(
                f"{name} must be a finite number, got {value!r:.60}: for arrays, give graph a list of layers"
            )
    nodes = [Node(float(value), name) for name, value in zip(names, values, strict=True)]
    return nodes, {name: Node(float(value), name) for name, value in named.items()}


def _draw_formula(f, inputs, backward, output):
    nodes, named = inputs
    end = f(*nodes, **named)
    if not isinstance(end, Node):
        what = "several results" if isinstance(end, (tuple, list)) else repr(end)
        raise TypeError(f"the function must return one number that depends on its inputs, got {what:.60}")
    if not end.inputs:
        raise TypeError(f"the function returns its input {end.label} as it is: there is nothing to draw")
    order = _in_order(end)
    if len(order) > MOST_NODES:
        raise ValueError(f"this graph has {len(order)} nodes: nobody could read it")
    end.gradient = 1.0
    for node in reversed(order):
        for one, slope in zip(node.inputs, node.slopes, strict=True):
            one.gradient += float(slope) * node.gradient
    return _Formula(order, end, backward, output).picture()


def _in_order(end):
    """All nodes that the end needs, each after its inputs."""
    order, seen = [], set()
    todo = [(end, False)]
    while todo:
        node, ready = todo.pop()
        if ready:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            todo.append((node, True))
            todo += [(one, False) for one in reversed(node.inputs)]
    return order


class _Formula:
    """Where everything is. Rows: inputs in the order of reading, an operation in the middle of its inputs. Columns: as
    far left as its inputs allow. What is used again goes on a row of its own, so that no line crosses a box.
    """

    def __init__(self, order, end, backward, output):
        self.order, self.end, self.backward, self.output = order, end, backward, output
        self.row, self.edges, self.rows = {}, [], 0  # an edge: (from, to, row, share of the gradient)
        for node in order:
            self._place(node)
        self.column = {}
        for node in order:
            self.column[node] = 1 + max((self.column[one] for one in node.inputs), default=-1)
        for node in order:  # an input stands just before the first that needs it
            if not node.inputs:
                self.column[node] = min(self.column[user] for one, user, *_ in self.edges if one is node) - 1
        self._set_columns()

    def _place(self, node):
        rows = []
        for one, slope in zip(node.inputs, node.slopes, strict=True):
            used = any(start is one for start, *_ in self.edges)
            row = self._new_row() if used else self.row[one]
            self.edges.append((one, node, row, float(slope) * node.gradient))
            rows.append(row)
        self.row[node] = (min(rows) + max(rows)) / 2 if rows else self._new_row()

    def _new_row(self):
        self.rows += 1
        return self.rows - 1

    def _half(self, node):
        if not node.inputs:
            return width_of(node.label) / 2 + 5
        return BOX if len(node.label) == 1 else max(BOX, width_of(node.label) / 2 + 9)

    def _labels(self, node, share):
        return number(node.value), number(share) if self.backward else None

    def _set_columns(self):
        count = max(self.column.values()) + 1
        half = [max(self._half(node) for node in self.order if self.column[node] == i) for i in range(count)]
        self.x, self.stub = [half[0] + 8], []
        for i in range(count):
            leaving = [edge for edge in self.edges if self.column[edge[0]] == i]
            texts = [text for start, _, _, share in leaving for text in self._labels(start, share) if text]
            texts += [text for text in self._labels(self.end, 1.0) if text] if i == count - 1 else []
            bends = max((abs(row - self.row[start]) for start, _, row, _ in leaving), default=0)
            into = [edge for edge in self.edges if self.column[edge[1]] == i + 1]
            slants = max((abs(row - self.row[end]) for _, end, row, _ in into), default=0)
            self.stub.append(half[i] + 8 + (SLANT if bends else 0))
            wide = max(map(width_of, texts), default=20) + 12
            after = half[i + 1] if i + 1 < count else 0
            self.x.append(self.x[-1] + self.stub[-1] + wide + (SLANT if slants else 0) + after + 4)

    def _y(self, row):
        return 34 + ROW * row

    def picture(self):
        body = "".join(self._edge(*edge) for edge in self.edges)
        for node in self.order:
            x, y = self.x[self.column[node]], self._y(self.row[node])
            body += (
                box(x, y, node.label, self._half(node)) if node.inputs else write(x, y + 5, node.label, anchor="middle")
            )
        x, y = self.x[self.column[self.end]], self._y(self.row[self.end])
        left, right = x + self.stub[-1], self.x[-1]
        body += arrow([(x + self._half(self.end), y), (right, y)])
        body += edge_labels(left, right - 8, y, *self._labels(self.end, 1.0))
        body += write(right + 6, y + 5, self.output, anchor="start")
        width = right + 10 + width_of(self.output)
        names = ", ".join(node.label for node in self.order if not node.inputs)
        return Svg(width, self._y(self.rows - 1) + 36, body, f"Computational graph of {self.output or names}")

    def _edge(self, start, end, row, share):
        i, j = self.column[start], self.column[end]
        x0, y0 = self.x[i] + self._half(start), self._y(self.row[start])
        x1, y1, y = self.x[j] - self._half(end), self._y(self.row[end]), self._y(row)
        left = self.x[i] + self.stub[i]
        right = x1 - SLANT if y1 != y else x1 - 10
        if y1 != y:  # a slanted arrow points at the middle of the box, and ends on its edge
            towards = np.array([x1 + self._half(end) - right, y1 - y])
            x1, y1 = (right, y) + towards * (1 - (BOX + 3) / np.hypot(*towards))
        corners = [(x0, y0), *([(left, y)] if y != y0 else []), *([(right, y)] if y1 != y else []), (x1, y1)]
        return arrow(corners) + edge_labels(left, right, y, *self._labels(start, share))


# -- layers -----------------------------------------------------------------------------------


def _layers_of(what):
    """The layers of whatever has some, or None."""
    if isinstance(what, (list, tuple)):
        if not what:
            raise ValueError("the list of layers is empty")
        for one in what:
            if isinstance(one, type) or not hasattr(one, "forward"):
                raise TypeError(f"graph takes a list of layers, but in it is {_called(one)}")
        return list(what)
    if isinstance(what, type):
        return None
    if isinstance(what, Residual):
        return [what]
    layers = getattr(what, "layers", None)
    if layers is not None and (isinstance(what, Net) or hasattr(what, "predict")):
        last = (
            getattr(what, "loss_layer", None) or getattr(what, "last_layer", None) or getattr(what, "lastLayer", None)
        )
        return [*(layers.values() if isinstance(layers, dict) else layers), *([last] if last is not None else [])]
    return [what] if hasattr(what, "forward") and hasattr(what, "backward") else None


def _draw_layers(what, layers, inputs, backward, output):
    if len(inputs) > 1:
        raise TypeError(f"a graph of layers takes one x, got {len(inputs)} arrays")
    shapes, names = {}, {}
    first = None
    if isinstance(what, Net):
        if inputs:
            raise TypeError("a Net knows its shapes: graph(net)")
        first = ("N", *what.input_shape)
        _from_plan(what, shapes, names)
    elif inputs:
        first = np.shape(inputs[0])
        _by_running(layers, inputs[0], shapes)
    return _Chain(layers, first, shapes, names, backward).picture(output)


def _from_plan(net, shapes, names):
    """The shapes and the names of parameters from the net's own plan."""
    parameters = list(net.params)
    for layer, step in zip(_depth_first(net.layers), net._core.steps(), strict=True):
        shapes[id(layer)] = ("N", *step["shape"])
        names[id(layer)] = parameters[step["first_param"] : step["first_param"] + step["param_count"]]
        if isinstance(layer, Residual):
            names[id(layer)] = []


def _depth_first(layers):
    for layer in layers:
        if isinstance(layer, Residual):
            yield from _depth_first(layer.layers)
        yield layer


def _by_running(layers, x, shapes):
    from ._outputs import forward

    for layer in layers:
        if _is_loss(layer):
            break
        if isinstance(layer, Residual):
            _by_running(layer.layers, x, shapes)
        x = forward(layer, x)
        shapes[id(layer)] = np.shape(x)


def _is_loss(layer):
    return type(layer).__name__.endswith("WithLoss")


class _Chain:
    """Layers from left to right, in as many lines as it takes. The short cut of a Residual runs above its branch."""

    def __init__(self, layers, first, shapes, names, backward):
        self.layers, self.first, self.shapes, self.names, self.backward = layers, first, shapes, names, backward
        self.body = ""

    def picture(self, output):
        text = self._text(self.first)
        x, before, widest, height = 20.0, 0, 0.0, 0
        for i, line in enumerate(self._lines()):
            top = height + 30
            y = top + max(self._rise(layer) for layer in line)
            if i == 0:
                self.body += write(12, y + 5, "x", anchor="middle")
            else:
                self.body += f'<path d="M{x:.1f} {before}h14V{top - 30}H8V{y}H20" {STROKE}/>'
            widest = max(widest, x + 22)
            x = 20.0
            for layer in line:
                x = self._draw(layer, x, y, text)
                text = self._text(self.shapes.get(id(layer)))
            height, before = y + 42, y
        if not _is_loss(self.layers[-1]):
            x = self._arrow(x, y, text)
        else:
            x = self._arrow(x, y, "one number", "1")
            output = output or "loss"
        self.body += write(x + 6, y + 5, output, anchor="start")
        widest = max(widest, x + 12 + width_of(output))
        what = ", ".join(type(layer).__name__ for layer in self.layers)
        return Svg(widest, height, self.body, f"Layers: {what}")

    def _lines(self):
        lines, width = [[]], 0.0
        text = self._text(self.first)
        for layer in self.layers:
            wide = self._gap(text) + self._width(layer)
            if lines[-1] and width + wide > WIDEST:
                lines.append([])
                width = 0.0
            lines[-1].append(layer)
            width += wide
            text = self._text(self.shapes.get(id(layer)))
        return lines

    def _text(self, shape):
        if shape is None:
            return None
        return "(" + ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "") + ")"

    def _gap(self, text):
        return 34 if text is None else width_of(text) + 24

    def _label(self, layer):
        return type(layer).__name__

    def _small(self, layer):
        names = self.names.get(id(layer))
        if names is None and isinstance(layer, Layer):
            names = list(layer.params)
        return " ".join(names or ())

    def _half(self, layer):
        return max(width_of(self._label(layer)) + 24, width_of(self._small(layer), SMALL) + 4) / 2

    def _width(self, layer):
        if not isinstance(layer, Residual):
            return 2 * self._half(layer)
        inner = 26.0 + self._gap(None) + 2 * BOX  # where it parts, and where it meets again
        text = None
        for one in layer.layers:
            inner += self._gap(text) + self._width(one)
            text = self._text(self.shapes.get(id(one)))
        return inner + (self._gap(text) - self._gap(None) if text else 0)

    def _rise(self, layer):
        """How far above its line a layer reaches."""
        if not isinstance(layer, Residual):
            return 0
        return 40 + max(self._rise(one) for one in layer.layers)

    def _arrow(self, x, y, text, back=None):
        right = x + self._gap(text)
        self.body += arrow([(x, y), (right, y)])
        if text is not None:
            self.body += edge_labels(x + 4, right - 10, y, text, (back or text) if self.backward else None)
        return right

    def _draw(self, layer, x, y, text):
        """The arrow to a layer and the layer; where it ends."""
        if not isinstance(layer, Residual):
            x, half = self._arrow(x, y, text), self._half(layer)
            self.body += box(x + half, y, self._label(layer), half, self._small(layer))
            return x + 2 * half
        fork = x + (self._gap(text) if text else 12)
        self.body += f'<path d="M{x:.1f} {y}H{fork:.1f}" stroke="{INK}"/>'
        if text is not None:
            self.body += edge_labels(x + 4, fork - 4, y, text, text if self.backward else None)
        self.body += f'<circle cx="{fork:.1f}" cy="{y}" r="3" fill="{INK}"/>'
        end, text = fork, None
        for one in layer.layers:
            end = self._draw(one, end, y, text)
            text = self._text(self.shapes.get(id(one)))
        end = self._arrow(end, y, text)
        above = y - self._rise(layer)
        self.body += arrow([(fork, y), (fork, above), (end + BOX, above), (end + BOX, y - BOX)])
        self.body += box(end + BOX, y, "+", BOX)
        return end + 2 * BOX
