"""Weights: the book's files (``.pkl``), read without running anything that is in them, and our own.

A pickle is a program for a small stack machine, and one of its instructions calls any function by name. Here the
instructions are carried out by ``Reader``, which knows how to make numbers, text, lists, dicts and NumPy arrays, and
nothing else: no name in a file is ever looked up. What it makes is never larger than twice the file.
"""

import os
import pickletools
import re

import numpy as np

from .errors import FormatError

__all__ = ["load_pickle", "pretrained"]

_DEEPEST = 32  # lists in lists in lists
_CHAPTERS = {"ch03": None, "ch07": "SimpleConvNet", "ch08": "DeepConvNet"}


def pretrained(chapter):
    """The network of a chapter with weights trained on MNIST: what the book's scripts load from a file.

    Parameters
    ----------
    chapter : "ch03", "ch07" or "ch08"

    Returns
    -------
    dict of arrays, SimpleConvNet or DeepConvNet
        "ch03": the parameters W1, b1, W2, b2, W3, b3 of 784-50-100-10, for sigmoids between and softmax at the end, as
        ``load_pickle`` gives the book's ``sample_weight.pkl``. "ch07" and "ch08": the network; ``.params`` holds its
        arrays, ``.save_params`` writes them for the book's own code. All in float32, and new in each call.

    Notes
    -----
    For images as ``load_mnist()`` gives them, ``load_mnist(flatten=False)`` for chapters 7 and 8. Trained by
    benchmarks/train_book.py; docs/pretrained.md has the accuracies.

    Examples
    --------
    >>> (_, _), (x_test, t_test) = bd.load_mnist(flatten=False)
    >>> bd.pretrained("ch08").accuracy(x_test, t_test)  # doctest: +SKIP
    """
    if not isinstance(chapter, str):
        raise TypeError(f'chapter must be a str such as "ch03", got {type(chapter).__name__}')
    if chapter not in _CHAPTERS:
        raise ValueError(f"there are weights for {', '.join(_CHAPTERS)}, not for {chapter!r}")
    path = os.path.join(os.path.dirname(__file__), "weight_files", f"{chapter}.npz")
    with np.load(path, allow_pickle=False) as file:
        params = {name: file[name] for name in file.files}
    if _CHAPTERS[chapter] is None:
        return params
    from . import networks

    random = np.random.get_state()  # first weights, which nobody sees, must not move the caller's seed
    network = getattr(networks, _CHAPTERS[chapter])()
    np.random.set_state(random)
    network._take(params, chapter)
    return network


def load_pickle(path):
    """What a pickle file holds: numbers, text, tuples, lists, dicts and arrays of numbers, nested as they may be.

    Parameters
    ----------
    path : str or path-like
        Such as the book's ``sample_weight.pkl``, ``params.pkl`` or ``mnist.pkl``.

    Returns
    -------
    object
        For the book's files a dict of arrays, in the dtype and memory order in which they were saved.

    Raises
    ------
    FormatError
        The file is damaged, or asks for anything else: a function, a class, an array of objects. The message names
        it. Nothing of the file has been run.
    OSError
        The file cannot be read.
    """
    name = os.fspath(path)
    with open(name, "rb") as file:
        content = file.read()
    reader = Reader(len(content))
    try:
        end = -1
        for opcode, argument, position in pickletools.genops(content):
            reader.run(opcode.name, argument)
            end = position
        if end + 1 != len(content):
            raise FormatError(f"{len(content) - end - 1} bytes follow its end")
        return reader.result()
    except FormatError as error:
        raise FormatError(f"{name!r}: {error}") from None
    except MemoryError:
        raise
    except Exception as error:  # the opcode decoder of the standard library raises many kinds for damaged bytes
        raise FormatError(f"{name!r} is no complete pickle file: {error}") from None


class Global:
    """The name of something that files may ask for, and what is done instead of calling it."""

    def __init__(self, name, call=None):
        self.name = name
        self.call = call


class Unbuilt:
    """A dtype or array that has been announced, and waits for its content (the instruction BUILD)."""

    def __init__(self, build):
        self.build = build
        self.memo_keys = []


class Reader:
    """The stack machine. ``run`` takes one instruction, ``result`` what is left at the end.

    Parameters
    ----------
    size : int
        Of the file. Arrays and bytes may together have twice as many.
    """

    def __init__(self, size):
        self.size = size
        self.made = 0
        self.stack = []
        self.marks = []
        self.memo = {}
        self.waiting = 0
        self.globals = {name: Global(name, call) for name, call in self._allowed()}

    def run(self, opcode, argument):
        """Carry out one instruction, by its name in ``pickletools``."""
        if opcode in _CONSTANTS:
            self.stack.append(_CONSTANTS[opcode])
        elif opcode in _LITERALS:
            self.stack.append(argument)
        elif opcode in _CONTAINERS:
            self.stack.append(_CONTAINERS[opcode]())
        elif opcode not in _METHODS:
            what = f" of {argument!r:.80}" if argument is not None else ""
            raise FormatError(f"it holds an instruction {opcode}{what}, which files of weights do not need")
        else:
            method = _METHODS[opcode]
            method(self) if argument is None else method(self, argument)

    def result(self):
        if len(self.stack) != 1 or self.marks or self.waiting:
            raise FormatError("it is damaged: its end leaves things unfinished")
        _check_nesting(self.stack[0])
        return self.stack[0]

    # -- the stack ----------------------------------------------------------------------------

    def ignore(self, argument=None):
        pass

    def frame(self, length):
        if length > self.size:
            raise FormatError("it is damaged: a part of it is missing")

    def pop(self, kind=object):
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise FormatError("it is damaged: an instruction finds nothing to work on")
        value = self.stack.pop()
        if not isinstance(value, kind):
            raise FormatError(f"it is damaged: an instruction finds a {type(value).__name__}")
        return value

    def mark(self):
        self.marks.append(len(self.stack))

    def pop_to_mark(self):
        if not self.marks:
            raise FormatError("it is damaged: a list has no beginning")
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def put(self, key=None):
        value = self.pop()
        self.stack.append(value)
        key = len(self.memo) if key is None else int(key)
        self.memo[key] = value
        if isinstance(value, Unbuilt):
            value.memo_keys.append(key)

    def get(self, key):
        value = self.memo.get(int(key), self)
        if value is self or isinstance(value, Unbuilt):
            raise FormatError("it is damaged: it refers to what it has not made yet")
        self.stack.append(value)

    # -- containers ---------------------------------------------------------------------------

    def make_tuple(self):
        self.stack.append(tuple(self.pop_to_mark()))

    def make_tuple_of(self, count):
        self.stack.append(tuple(reversed([self.pop() for _ in range(count)])))

    def make_list(self):
        self.stack.append(self.pop_to_mark())

    def make_dict(self):
        items = self.pop_to_mark()
        self.stack.append({})
        self._set(items)

    def append(self):
        value = self.pop()
        self._top(list).append(value)

    def extend(self):
        items = self.pop_to_mark()
        self._top(list).extend(items)

    def set_item(self):
        value = self.pop()
        self._set([self.pop(), value])

    def set_items(self):
        self._set(self.pop_to_mark())

    def _top(self, kind):
        value = self.pop(kind)
        self.stack.append(value)
        return value

    def _set(self, items):
        target = self._top(dict)
        if len(items) % 2:
            raise FormatError("it is damaged: a key without a value")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, (str, bytes, int, float)):
                raise FormatError(f"a dict in it has a {type(key).__name__} as a key")
            target[key] = value

    # -- names and calls ----------------------------------------------------------------------

    def find(self, module_and_name):
        self._find(*module_and_name.split(" ", 1))

    def find_on_stack(self):
        name, module = self.pop(str), self.pop(str)
        self._find(module, name)

    def _find(self, module, name):
        full = f"{module}.{name}"
        if full not in self.globals:
            raise FormatError(f"it asks for {full:.200}, which files of weights do not need; nothing was run")
        self.stack.append(self.globals[full])

    def call(self):
        arguments, target = self.pop(tuple), self.pop(Global)
        if target.call is None:
            raise FormatError(f"it calls {target.name}")
        value = target.call(*arguments)
        self.waiting += isinstance(value, Unbuilt)
        self.stack.append(value)

    def build(self):
        state, target = self.pop(tuple), self.pop(Unbuilt)
        value = target.build(*state)
        self.waiting -= 1
        for key in target.memo_keys:
            if self.memo[key] is target:
                self.memo[key] = value
        self.stack.append(value)

    def _allowed(self):
        for package in ("numpy.core", "numpy._core"):
            yield f"{package}.multiarray._reconstruct", self.reconstruct
            yield f"{package}.multiarray.scalar", self.scalar
            yield f"{package}.numeric._frombuffer", self.from_buffer
        yield "numpy.ndarray", None
        yield "numpy.dtype", self.dtype
        for package in ("builtins", "__builtin__"):
            yield f"{package}.bytes", self.no_bytes
        yield "_codecs.encode", self.encode
        yield "collections.OrderedDict", self.ordered_dict

    def ordered_dict(self):
        return {}

    def no_bytes(self):
        return b""

    def encode(self, text, encoding):
        """Bytes, in the way of the oldest protocols."""
        if not isinstance(text, str) or encoding != "latin1":
            raise FormatError("it encodes something else than bytes")
        return self._count(text.encode("latin1"))

    def dtype(self, code, *_):
        """Numbers only: bool, integers, floats, complex. The byte order comes with BUILD."""
        if not isinstance(code, str) or not re.fullmatch(r"[<>|=]?[biufc][0-9]{1,2}", code):
            raise FormatError(f"it holds an array of dtype {code!r:.80}, expected numbers")

        def build(version, order, sub, names, fields, *_):
            if order not in ("<", ">", "|", "=") or (sub, names, fields) != (None, None, None):
                raise FormatError(f"it holds an array of a compound dtype {code!r}, expected numbers")
            return np.dtype(code).newbyteorder(order)

        return Unbuilt(build)

    def reconstruct(self, kind, shape, code):
        """The announcement of an array."""
        if kind is not self.globals["numpy.ndarray"]:
            raise FormatError("it holds an array of an unknown class")

        def build(version, shape, dtype, fortran, content):
            return self._array(shape, dtype, "F" if fortran else "C", content)

        return Unbuilt(build)

    def from_buffer(self, content, dtype, shape, order):
        """An array, in the way of protocol 5."""
        if order not in ("C", "F"):
            raise FormatError(f"it holds an array of memory order {order!r:.80}")
        return self._array(shape, dtype, order, content)

    def scalar(self, dtype, content):
        """A NumPy number."""
        return self._array((), dtype, "C", content)[()]

    def _array(self, shape, dtype, order, content):
        if isinstance(content, str):  # Python 2 did not tell them apart
            content = content.encode("latin1")
        if not isinstance(dtype, np.dtype) or not isinstance(content, (bytes, bytearray)):
            raise FormatError("it holds an array of something else than numbers")
        if not isinstance(shape, tuple) or any(type(n) is not int or n < 0 for n in shape):
            raise FormatError(f"it holds an array of shape {shape!r:.80}")
        array = np.frombuffer(self._count(content), dtype).reshape(shape, order=order)
        return array.astype(dtype.newbyteorder("="), order="K", copy=True)

    def _count(self, content):
        self.made += len(content)
        if self.made > 2 * self.size:
            raise FormatError("its arrays would be larger than the file")
        return content


def _check_nesting(value):
    """Refuse what is nested too deeply to be printed or compared, or holds itself."""
    seen = {}  # id -> the greatest depth at which it was looked at
    waiting = [(value, 0)]
    while waiting:
        value, depth = waiting.pop()
        if isinstance(value, (Global, np.dtype)):
            raise FormatError("it holds a name or a dtype as a value")
        if not isinstance(value, (tuple, list, dict)) or seen.get(id(value), -1) >= depth:
            continue
        if depth > _DEEPEST:
            raise FormatError(f"it is nested more than {_DEEPEST} deep, or holds itself")
        seen[id(value)] = depth
        waiting += [(inner, depth + 1) for inner in (value.values() if isinstance(value, dict) else value)]


_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_CONTAINERS = {"EMPTY_TUPLE": tuple, "EMPTY_LIST": list, "EMPTY_DICT": dict}
_LITERALS = {
    *("INT", "LONG", "LONG1", "LONG4", "BININT", "BININT1", "BININT2", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
}
_METHODS = {
    "PROTO": Reader.ignore,
    "FRAME": Reader.frame,
    "STOP": Reader.ignore,
    "MARK": Reader.mark,
    "PUT": Reader.put,
    "BINPUT": Reader.put,
    "LONG_BINPUT": Reader.put,
    "MEMOIZE": Reader.put,
    "GET": Reader.get,
    "BINGET": Reader.get,
    "LONG_BINGET": Reader.get,
    "TUPLE": Reader.make_tuple,
    "TUPLE1": lambda reader: reader.make_tuple_of(1),
    "TUPLE2": lambda reader: reader.make_tuple_of(2),
    "TUPLE3": lambda reader: reader.make_tuple_of(3),
    "LIST": Reader.make_list,
    "DICT": Reader.make_dict,
    "APPEND": Reader.append,
    "APPENDS": Reader.extend,
    "SETITEM": Reader.set_item,
    "SETITEMS": Reader.set_items,
    "GLOBAL": Reader.find,
    "STACK_GLOBAL": Reader.find_on_stack,
    "REDUCE": Reader.call,
    "BUILD": Reader.build,
}
