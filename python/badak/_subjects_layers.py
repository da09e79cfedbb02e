"""Layers and book-style networks as subjects of ``gradcheck``: objects that keep their parameters themselves."""

import copy
import inspect
import types

import numpy as np

from ._containers import copied
from ._own_arrays import chosen_by, input_names, is_variable, own_arguments
from ._state import Snapshot, generators_in, shared
from ._subjects import Subject
from .language import Text
from .layers import CoreLayer

PAIRS = (("W", "dW"), ("b", "db"), ("gamma", "dgamma"), ("beta", "dbeta"))
SPELLINGS = "d{}", "grad_{}", "{}_grad", "d_{}", "g{}", "delta_{}", "grad{1}", "{}_gradient"
NOT_PARAMETERS = {"x", "y", "t", "out", "mask", "loss", "input", "output"}  # caches, whatever else is called d...


class Place:
    """Where a parameter and its gradient live: a path from the object, so that it can be found in a copy of it."""

    def __init__(self, name, path, gradient):
        self.name, self.path, self.gradient = name, path, gradient

    def array(self, root):
        return _follow(root, self.path)

    def grad(self, root):
        try:
            return _follow(root, self.gradient)
        except (AttributeError, KeyError, IndexError, TypeError):
            return None


def _follow(root, path):
    for kind, key in path:
        root = getattr(root, key) if kind == "attribute" else root[key]
    return root


def is_array(value):
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"


def find_parameters(thing, path=(), prefix="", seen=None, depth=4):
    """The parameters of an object and of what it holds, as Places, each array once.

    They are what ``params`` holds (a dict or list, its gradients in ``grads`` under the same key), or the float arrays
    NAME for which there is an attribute dNAME, as the book's layers have them.
    """
    seen = set() if seen is None else seen
    found = []

    def add(name, where, gradient, array):
        if is_array(array) and id(array) not in seen:
            seen.add(id(array))
            found.append(Place(prefix + name, path + where, path + gradient))

    own = getattr(thing, "params", None)
    grads = getattr(thing, "grads", None)
    held = own.values() if isinstance(own, dict) else own if isinstance(own, (list, tuple)) else ()
    memory = {id(_root(array)) for array in held if is_array(array)}
    for name, gradient in _pairs(thing):
        array = getattr(thing, name, None)
        if hasattr(thing, gradient) or not is_array(array) or id(_root(array)) not in memory:  # else a view of another
            add(name, (("attribute", name),), (("attribute", gradient),), array)
    if isinstance(own, dict) and not isinstance(thing, CoreLayer):
        for name, array in own.items():
            add(str(name), (("attribute", "params"), ("item", name)), _gradient_path(thing, grads, name), array)
    elif isinstance(own, (list, tuple)):
        for i, array in enumerate(own):
            add(f"params[{i}]", (("attribute", "params"), ("item", i)), (("attribute", "grads"), ("item", i)), array)
    if depth:
        for name, where, child in _children(thing):
            found += find_parameters(child, path + where, f"{prefix}{name}.", seen, depth - 1)
    return found


def _gradient_path(thing, grads, name):
    if grads is None and isinstance(name, str) and hasattr(thing, "d" + name):
        return (("attribute", "d" + name),)
    return (("attribute", "grads"), ("item", name))


def _pairs(thing):
    """(name, name of its gradient) of attributes that look like parameters."""
    held = vars(thing) if hasattr(thing, "__dict__") else {}
    names = dict(PAIRS)
    for name in [*names, *held]:
        if name in NOT_PARAMETERS or name.startswith("_") or (name not in dict(PAIRS) and name in names):
            continue
        for spelling in SPELLINGS:
            gradient = spelling.format(name, name[:1].upper() + name[1:])
            if gradient in held or isinstance(getattr(type(thing), gradient, None), property):
                names[name] = gradient
                break
    return [(name, gradient) for name, gradient in names.items() if hasattr(thing, name)]


def _children(thing):
    """(name, path, layer) of the layers that an object holds."""
    if isinstance(thing, CoreLayer):
        for i, child in enumerate(thing._layers):
            yield f"layers[{i}]", (("attribute", "_layers"), ("item", i)), child
        return
    for name, value in (vars(thing) if hasattr(thing, "__dict__") else {}).items():
        where = ("attribute", name)
        if _is_layer(value):
            yield name, (where,), value
        elif isinstance(value, dict):
            for key, item in value.items():
                if _is_layer(item):
                    yield f"{name}[{key!r}]", (where, ("item", key)), item
        elif isinstance(value, (list, tuple)):
            for i, item in enumerate(value):
                if _is_layer(item):
                    yield f"{name}[{i}]", (where, ("item", i)), item


def _is_layer(value):
    return hasattr(value, "forward") and hasattr(value, "backward") and not isinstance(value, (type, types.ModuleType))


def float64_copy(thing, arrays, keep=False):
    """A deep copy whose `arrays` are float64, wherever they are used; raises what deepcopy raises.

    What shares memory goes on sharing it: parameters that are views of one long array, for instance.
    """
    memo = shared()
    kept = {id(array) for array in arrays}
    for group in _sharing(arrays_in(thing), kept):
        memo |= _copies(group, keep)
    for array in arrays:
        if id(array) not in memo:
            memo[id(array)] = np.array(array, dtype=array.dtype if keep else np.float64, order="K")
    return copy.deepcopy(thing, memo)


def arrays_in(thing, depth=4, seen=None):
    """The float arrays that an object holds, directly or in what it holds."""
    seen = set() if seen is None else seen
    if id(thing) in seen or depth < 0 or isinstance(thing, (type, types.ModuleType, types.FunctionType, CoreLayer)):
        return []
    seen.add(id(thing))
    if is_array(thing):
        return [thing]
    held = thing.values() if isinstance(thing, dict) else thing if isinstance(thing, (list, tuple)) else ()
    if hasattr(thing, "__dict__"):
        held = [*held, *vars(thing).values()]
    return [array for item in held for array in arrays_in(item, depth - 1, seen)]


def _root(array):
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _sharing(arrays, wanted):
    """Groups of several of these arrays that are parts of one memory, if one of them is wanted."""
    groups = {}
    for array in arrays:
        groups.setdefault(id(_root(array)), []).append(array)
    return [group for group in groups.values() if len(group) > 1 and wanted.intersection(map(id, group))]


def _copies(group, keep):
    """{id: copy} of arrays of one memory, their copies of one memory as well."""
    root = _root(group[0])
    memory = np.array(root, dtype=root.dtype if keep else np.float64, order="K").ravel(order="K")
    found = {}
    for array in group:
        start = (array.__array_interface__["data"][0] - root.__array_interface__["data"][0]) // root.itemsize
        strides = [stride // root.itemsize * memory.itemsize for stride in array.strides]
        found[id(array)] = np.ndarray(array.shape, memory.dtype, memory.data, start * memory.itemsize, strides)
    return found


def computes_elsewhere(thing):
    """Does it hold functions that are bound to it by closure? A copy of it would go on using the original."""
    held = vars(thing) if hasattr(thing, "__dict__") else {}
    mine = {id(thing), *map(id, held.values())}
    for value in held.values():
        for cell in getattr(value, "__closure__", None) or ():
            try:
                if id(cell.cell_contents) in mine and not isinstance(cell.cell_contents, (int, float, str, type(None))):
                    return True
            except ValueError:
                continue
    return False


class ObjectSubject(Subject):
    """What layers and networks share: a copy of the object, its parameters, its state."""

    calls_back_alone = True
    widths = 4.0  # many units may sit on their kinks at once

    def take(self, thing):
        """Work on a copy of this object if one can be had, else on itself, to be put back in ``close``."""
        self.original = None
        places = find_parameters(thing)
        arrays = [place.array(thing) for place in places]
        gradients = [
            g for g, a in ((p.grad(thing), p.array(thing)) for p in places) if is_array(g) and g.shape == a.shape
        ]
        self.copy_or_take(thing, arrays, gradients)
        self.places = places
        for place, array in zip(places, arrays, strict=True):
            self.dtypes[place.name] = array.dtype
        self.chance.generators = generators_in(self.checked_object)
        self.remember()

    def copy_or_take(self, thing, arrays, gradients=()):
        try:
            if computes_elsewhere(thing):
                raise TypeError("its functions belong to the original")
            self.checked_object = float64_copy(thing, [*arrays, *gradients], self.keep)
        except Exception:  # whatever a file handle, a lock or a generator object says
            self.checked_object = thing
            self.original = (dict(vars(thing)), [(array, array.copy()) for array in arrays])

    def remember(self):
        """Note the state to go back to."""
        try:
            own = list(self._parameters().values())
            memory = {id(_root(array)) for array in own}
            views = [array for array in arrays_in(self.checked_object) if id(_root(array)) in memory]
            self.snapshot = Snapshot(self.checked_object, [*own, *views, *self.chance.generators])
        except Exception:  # slots, or what cannot be copied
            self.snapshot = None

    def close(self):
        if self.original is not None:
            state, arrays = self.original
            vars(self.checked_object).clear()
            vars(self.checked_object).update(state)
            for array, before in arrays:
                array[...] = before

    def _parameters(self):
        found = {}
        for place in self.places:
            try:
                array = place.array(self.checked_object)
            except (AttributeError, KeyError, IndexError, TypeError):
                continue
            if is_array(array) and array.ndim is not None:
                found[place.name] = array
        return found

    def numbers(self):
        held = vars(self.checked_object) if hasattr(self.checked_object, "__dict__") else {}
        plain = {n: v for n, v in held.items() if isinstance(v, (int, float)) and not isinstance(v, bool)}
        hyper = held.get("_hyper")
        if isinstance(hyper, dict):
            plain |= {n: v for n, v in hyper.items() if isinstance(v, (int, float)) and not isinstance(v, bool)}
        return plain


class LayerSubject(ObjectSubject):
    """An object with forward and backward: its inputs and its parameters."""

    def __init__(self, layer, inputs, *, names, kwargs, seed, chance, wrt=None, reference=None, keep=False):
        super().__init__(seed, chance)
        self.keep, self.kwargs, self.wrt, self.reference = keep, kwargs or {}, wrt, reference
        self.title = repr(layer) if isinstance(layer, CoreLayer) else type(layer).__name__
        self.names = input_names(names, len(inputs)) if names or len(inputs) != 2 else ["x", "t"]
        own_arguments(self, inputs)
        self.variables = {}
        self.take(layer)
        self.unchecked = _without_gradient(layer, self.places)
        self.takes_dout = _takes_an_argument(layer.backward)
        self.one = not self.takes_dout

    def _run(self, given):
        return self.checked_object.forward(*given, **copied(self.kwargs))

    def _back(self, gy, given):
        if not self.takes_dout:
            returned = self.checked_object.backward()
        else:
            returned = self.checked_object.backward(gy if np.ndim(gy) or isinstance(gy, tuple) else float(gy))
        returned = list(returned) if isinstance(returned, (tuple, list)) else [returned]
        found = {name: returned[i] if i < len(returned) else None for i, name in enumerate(self.names)}
        for first, others in self.aliases.items():
            parts = [p for p in (found.get(name) for name in (first, *others)) if p is not None]
            if parts and all(np.shape(p) == np.shape(parts[0]) for p in parts):
                found[first] = sum(np.asarray(p) for p in parts)
            for name in others:
                found[name] = None
        for place in self.places:
            found[place.name] = place.grad(self.checked_object)
        return found

    def _raw_backward(self, gy, given):
        if self.y.dtype.itemsize < 8 and not self.keep and isinstance(gy, np.ndarray):
            gy = gy.astype(self.y.dtype)
        return super()._raw_backward(gy, given)

    def _narrowest(self, name, array):
        """An input's gradient may also be what the parameters were, and any gradient what the output is.

        A float32 layer computes in float32, and upstream gradients come in the dtype of the output.
        """
        known = [super()._narrowest(name, array)]
        if not self.keep:
            known.append(self.y.dtype)
        if name in self.names:
            known += [self.dtypes[place.name] for place in self.places if place.name in self.dtypes]
        return min(known, key=lambda dtype: dtype.itemsize)

    def set_variables(self, first):
        candidates = {
            name: value
            for name, value in zip(self.names, self.arguments, strict=True)
            if is_variable(value) and first.get(name) is not None
        }
        candidates |= self._parameters()
        if not candidates and any(is_variable(v) for v in self.arguments):  # backward returned nothing at all
            candidates = {n: v for n, v in zip(self.names, self.arguments, strict=True) if is_variable(v)}
        wanted = chosen_by(self.wrt, list(candidates))
        self.variables = {name: array for name, array in candidates.items() if name in wanted}


def _without_gradient(layer, places):
    """Names of float arrays that may be parameters but have no gradient that we would know by its name."""
    held = vars(layer) if hasattr(layer, "__dict__") else {}
    memory = {id(_root(place.array(layer))) for place in places}
    gradients = {place.gradient[-1][1] for place in places}
    return [
        name
        for name, value in held.items()
        if is_array(value)
        and value.size
        and id(_root(value)) not in memory
        and name not in NOT_PARAMETERS | gradients
        and not name.startswith(("_", "running"))
        and not name.lower().startswith(("grad", "d_"))
    ]


def _takes_an_argument(method):
    try:
        parameters = inspect.signature(method).parameters.values()
    except (TypeError, ValueError):
        return True
    return any(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.VAR_POSITIONAL) for p in parameters)


class NetworkSubject(ObjectSubject):
    """A book-style network: ``params``, ``loss(x, t)``, ``gradient(x, t)``."""

    forward_name, backward_name = "loss", "gradient"

    def __init__(self, network, inputs, *, names, seed, chance, kwargs=None, wrt=None, keep=False):
        super().__init__(seed, chance)
        self.keep, self.wrt, self.kwargs = keep, wrt, kwargs or {}
        self.title = type(network).__name__
        self.arguments = [copied(value) for value in inputs]
        self.names = input_names(names, len(inputs)) if names or len(inputs) != 2 else ["x", "t"]
        self.one = True
        self.variables = {}
        self.take_network(network)
        self.loss_kwargs = self.kwargs or _training_flag(self.checked_object.loss)
        self.gradient_kwargs = _training_flag(self.checked_object.gradient)

    def take_network(self, network):
        """The parameters are those in ``params``: what the layers hold are the same arrays."""
        self.original = None
        if not hasattr(network.params, "items"):
            raise TypeError(f"params must be a dict of arrays by name, got {type(network.params).__name__}")
        arrays = [array for array in network.params.values() if is_array(array)]
        self.copy_or_take(network, arrays)
        self._numbers_as_arrays()
        self.places = []
        for name, array in network.params.items():
            if is_array(array):
                self.dtypes[str(name)] = array.dtype
                self.places.append(Place(str(name), (("attribute", "params"), ("item", name)), ()))
        for name, value in self.checked_object.params.items():
            if is_array(value) and str(name) not in self.dtypes:
                self.places.append(Place(str(name), (("attribute", "params"), ("item", name)), ()))
        self.keys = {str(name): name for name in network.params}
        self.aliases = _aliases({str(name): array for name, array in self.checked_object.params.items()})
        self.chance.generators = generators_in(self.checked_object)
        self.remember()

    def _numbers_as_arrays(self):
        """Python floats among the parameters of the copy become arrays of one number, which can be moved."""
        if self.original is None:
            for name, value in self.checked_object.params.items():
                if isinstance(value, float):
                    self.checked_object.params[name] = np.array(value)

    def _judged(self, entry, causes, sampling, gradient, context):
        entry = super()._judged(entry, causes, sampling, gradient, context)
        if entry.status == "FAIL" and not entry.pairs[:, 1].any() and self._is_apart(entry.name):
            entry.diagnosis = Text("apart", name=entry.name)
        return entry

    def _is_apart(self, name):
        """Does no layer hold the array in ``params``, and some layer another one of its shape?"""
        own = self.variables[name]
        layers = [layer for _, _, layer in _children(self.checked_object)]
        held = [place.array(layer) for layer in layers for place in find_parameters(layer)]
        known = [array for array in self.checked_object.params.values() if is_array(array)]
        other = [a for a in held if a.shape == own.shape and not any(a is array for array in known)]
        return bool(other) and not any(array is own for array in held)

    def accept_output(self, y):
        if y.size != 1:
            raise ValueError(f"loss must return one number, got shape {y.shape}")

    def _run(self, given):
        return self.checked_object.loss(*given, **copied(self.loss_kwargs))

    def _back(self, gy, given):
        self._reset()  # it goes forward itself, and draws what loss drew
        found = self.checked_object.gradient(*given, **self.gradient_kwargs)
        if not hasattr(found, "get"):
            raise TypeError(f"gradient must return a dict of gradients by name, got {type(found).__name__}")
        found = {name: found.get(key) for name, key in self.keys.items()}
        for first, others in self.aliases.items():
            found[first] = _total([found.get(name) for name in (first, *others)])
        return found

    def set_variables(self, first):
        candidates = self._parameters()
        wanted = chosen_by(self.wrt, list(candidates))
        for one, others in self.aliases.items():
            wanted |= {one} if wanted.intersection(others) else set()
            wanted -= set(others)
        self.variables = {name: array for name, array in candidates.items() if name in wanted}

    def _movable(self):
        return list(self.variables.values())


def _aliases(params):
    """{name: other names of the same array}: what is moved together has one gradient."""
    found, first = {}, {}
    for name, array in params.items():
        one = first.setdefault(id(array), name)
        if one != name and is_array(array):
            found.setdefault(one, []).append(name)
    return found


def _total(parts):
    """The gradient of an array of several names: the sum of what they have, or what each of them has."""
    known = [np.asarray(part) for part in parts if part is not None]
    if not known or any(part.shape != known[0].shape for part in known):
        return parts[0]
    if len(known) == len(parts) and all(np.array_equal(part, known[0]) for part in known):
        return known[0]
    return sum(known)


def _training_flag(method):
    """The book's training flag, where the method has it."""
    try:
        return {"train_flg": True} if "train_flg" in inspect.signature(method).parameters else {}
    except (TypeError, ValueError):
        return {}
