"""Cutting training loops short: what ``BADAK_BOOK_MAX_STEPS`` does to a script."""

import ast

__all__ = ["Cap"]

_STEPS = {"gradient", "numerical_gradient", "train_step", "update"}
_COUNTERS = {"range", "trange", "count"}


class Cap(ast.NodeTransformer):
    """Rewrites a script so that none of its training loops goes on for more than a number of steps.

    A training loop is a ``while``, or a ``for`` over ``range(...)``, whose body calls a method ``gradient``,
    ``numerical_gradient``, ``train_step`` or ``update(params, grads)``. Of loops inside one another the innermost is
    counted, and all of them end once the steps are used up; a loop that is entered again, for the next network, has
    all its steps again. The script then goes on behind the loop, its plots too: ``plot(x, y)`` with an x for the
    whole training is drawn as far as there is a y.

    Parameters
    ----------
    max_steps : int

    Attributes
    ----------
    cut : bool
        Whether a loop was cut short, or will be.
    """

    name = "__badak_cap__"  # of this object, in the script's globals

    def __init__(self, max_steps):
        self.max_steps = max_steps
        self.cut = False
        self._left = None  # steps that the outermost loop being run still has
        self._found = 0  # training loops rewritten so far

    # -- rewriting ----------------------------------------------------------------------------

    def visit_For(self, node):
        innermost = self._visit_inside(node)
        if _calls_any(node.iter, _COUNTERS) and _trains(node.body):
            node.iter = self._call("loop", [node.iter, ast.Constant(innermost)], node)
            self._found += 1
        return node

    def visit_While(self, node):
        innermost = self._visit_inside(node)
        if not _trains(node.body) or any(isinstance(part, ast.NamedExpr) for part in ast.walk(node.test)):
            return node
        # while test: ...  ->  for _ in iter(lambda: bool(test), False): ...
        again = ast.parse("iter(lambda: bool(x), False)", mode="eval").body
        again.args[0].body.args[0] = node.test
        loop = ast.For(
            target=ast.Name("__badak_turn__", ast.Store()),
            iter=self._call("loop", [again, ast.Constant(innermost)], node),
            body=node.body,
            orelse=node.orelse,
        )
        self._found += 1
        return ast.fix_missing_locations(ast.copy_location(loop, node))

    def visit_Call(self, node):
        self.generic_visit(node)
        if isinstance(node.func, ast.Attribute) and node.func.attr == "plot" and len(node.args) > 1:
            node = self._call("plot", [node.func, *node.args], node, node.keywords)
        return node

    def _visit_inside(self, node):
        """Rewrite the parts of a loop. True if there was no training loop among them."""
        before = self._found
        self.generic_visit(node)
        return self._found == before

    def _call(self, method, args, where, keywords=()):
        func = ast.Attribute(ast.Name(self.name, ast.Load()), method, ast.Load())
        return ast.fix_missing_locations(ast.copy_location(ast.Call(func, args, list(keywords)), where))

    # -- the Trainer, whose loop is not in the script -----------------------------------------

    def trainer(self, kind):
        """A subclass of the class Trainer that stops after so many steps."""
        cap = self

        class Trainer(kind):
            __doc__ = kind.__doc__

            def __init__(self, *args, **kwargs):
                super().__init__(*args, **kwargs)
                if self.max_iter > cap.max_steps:
                    self.max_iter = cap.max_steps
                    cap.cut = True

        return Trainer

    # -- what the rewritten script calls ------------------------------------------------------

    def loop(self, turns, innermost):
        """The turns of a training loop, as long as there are steps left."""
        outermost = self._left is None
        if outermost:
            self._left = self.max_steps
        try:
            for turn in turns:
                if self._left <= 0:
                    self.cut = True
                    return
                yield turn
                self._left -= innermost
        finally:
            if outermost:
                self._left = None

    def plot(self, draw, x, y, *args, **kwargs):
        """``draw(x, y, ...)``, both as long as the shorter of them if a loop was cut short."""
        if self.cut and hasattr(x, "__len__") and hasattr(y, "__len__"):
            length = min(len(x), len(y))
            x, y = x[:length], y[:length]
        return draw(x, y, *args, **kwargs)


def _calls(parts):
    """All calls in the given nodes, but for those in functions that are only defined there."""
    todo = list(parts)
    while todo:
        part = todo.pop()
        if isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            continue
        if isinstance(part, ast.Call):
            yield part
        todo.extend(ast.iter_child_nodes(part))


def _calls_any(node, names):
    return any(getattr(call.func, "id", getattr(call.func, "attr", None)) in names for call in _calls([node]))


def _trains(body):
    for call in _calls(body):
        func = call.func
        if not isinstance(func, ast.Attribute) or func.attr not in _STEPS:
            continue
        if func.attr == "update" and len(call.args) + len(call.keywords) != 2:
            continue  # a dict's
        if func.attr == "gradient" and isinstance(func.value, ast.Name) and func.value.id in ("np", "numpy"):
            continue
        return True
    return False
