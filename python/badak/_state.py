"""What checked code may draw from or leave behind: random numbers, and the state of objects and closures."""

import copy
import random
import sys
import types

import numpy as np

PRIVATE = 0x62616461  # begins every stream of ours, so that no user's seed gives the same numbers


def random_stream(*key):
    """A generator that depends on the key alone."""
    return np.random.Generator(np.random.Philox(seed=np.random.SeedSequence([PRIVATE, *key])))


# -- random numbers ---------------------------------------------------------------------------


class Chance:
    """The global random generators: NumPy's, Python's and, where it is imported, PyTorch's.

    ``replay()`` puts those that the checked code draws from to where they stood at ``begin``, so that a mask drawn
    anew is the same mask. As a context manager it leaves all of them as they were.
    """

    def __init__(self):
        self.sources = [(np.random.get_state, np.random.set_state), (random.getstate, random.setstate)]
        torch = sys.modules.get("torch")
        if torch is not None and hasattr(torch, "get_rng_state"):
            self.sources.append((torch.get_rng_state, torch.set_rng_state))
        self.generators = []
        self.drawn_from = set(range(len(self.sources)))

    def __enter__(self):
        self.before = [get() for get, _ in self.sources]
        return self

    def __exit__(self, *exception):
        for (_, put), state in zip(self.sources, self.before, strict=True):
            put(state)

    def begin(self, *key):
        """Choose the state to replay, by a key of numbers."""
        numbers = random_stream(*key).integers(0, 2**32, 624, dtype=np.uint32)
        bits = np.random.MT19937()
        bits.state = {"bit_generator": "MT19937", "state": {"key": numbers, "pos": 624}}
        start = [np.random.RandomState(bits).get_state(), random.Random(int(numbers[0])).getstate()]
        if len(self.sources) > 2:
            torch = sys.modules["torch"]
            start.append(torch.Generator().manual_seed(int(numbers[1])).get_state())
        self.start = start
        self.starts = [(generator, copy.deepcopy(_state_of(generator))) for generator in self.generators]
        self.drawn_from = set(range(len(self.sources)))

    def replay(self):
        """Go back to where ``begin`` put it."""
        for i in self.drawn_from:
            self.sources[i][1](self.start[i])
        for generator, state in self.starts:
            _put_state(generator, state)

    def forget_unused(self):
        """Note which generators the code has drawn from since ``replay``: only those are put back from now on."""
        self.drawn_from = {i for i, (get, _) in enumerate(self.sources) if not _same(get(), self.start[i])}

    @property
    def used(self):
        """bool: has the code drawn from a global generator?"""
        return bool(self.drawn_from)


def _state_of(generator):
    return generator.get_state() if isinstance(generator, np.random.RandomState) else generator.bit_generator.state


def _put_state(generator, state):
    if isinstance(generator, np.random.RandomState):
        generator.set_state(state)
    else:
        generator.bit_generator.state = state


def _same(a, b):
    if isinstance(a, tuple):
        return len(a) == len(b) and all(_same(x, y) for x, y in zip(a, b, strict=True))
    if hasattr(a, "numpy"):
        a, b = a.numpy(), b.numpy()
    return bool(np.array_equal(a, b))


def generators_in(thing, depth=4):
    """NumPy generators that an object holds, directly or in what it holds."""
    found, seen = [], set()

    def look(value, depth):
        if id(value) in seen or depth < 0:
            return
        seen.add(id(value))
        if isinstance(value, (np.random.Generator, np.random.RandomState)):
            found.append(value)
        elif isinstance(value, dict):
            for item in value.values():
                look(item, depth - 1)
        elif isinstance(value, (list, tuple)):
            for item in value:
                look(item, depth - 1)
        elif hasattr(value, "__dict__") and not isinstance(value, (type, types.ModuleType, types.FunctionType)):
            look(vars(value), depth)

    look(thing, depth)
    return found


def shared():
    """What a deep copy must not copy, as its memo: the global generators, which ``np.random.rand`` is bound to."""
    return {id(one): one for one in (np.random.mtrand._rand, random._inst)}


# -- state ------------------------------------------------------------------------------------


class Snapshot:
    """The state of an object, to be put back. Arrays in `kept` are not part of it: they stay the same arrays."""

    def __init__(self, thing, kept=()):
        self.thing = thing
        self.kept = kept
        self.state = self._copied(vars(thing))

    def _copied(self, state):
        return copy.deepcopy(state, shared() | {id(array): array for array in self.kept})

    def restore(self):
        """Put the object back."""
        state = self._copied(self.state)
        vars(self.thing).clear()
        vars(self.thing).update(state)


class ClosureSnapshot:
    """What functions hold beside their arguments: closures, attributes, globals that they name; restored in place."""

    _GLOBALS = (list, dict, np.ndarray)

    def __init__(self, functions):
        self.things = []
        seen = set()
        for function in functions:
            for thing in self._held(function):
                if id(thing) not in seen:
                    seen.add(id(thing))
                    content = self._content(thing)
                    kept = {id(generator): generator for generator in generators_in(content)}
                    try:
                        self.things.append((thing, copy.deepcopy(content, kept), kept))
                    except Exception:  # what cannot be copied cannot be put back
                        continue

    def _held(self, function):
        owner = getattr(function, "__self__", None)
        if owner is not None and not isinstance(owner, types.ModuleType) and hasattr(owner, "__dict__"):
            yield owner
        function = getattr(function, "__func__", function)
        if not isinstance(function, types.FunctionType):
            if hasattr(function, "__dict__") and not isinstance(function, (type, types.ModuleType)):
                yield function
            return
        yield vars(function)
        for cell in function.__closure__ or ():
            try:
                content = cell.cell_contents
            except ValueError:
                continue
            if isinstance(content, (types.FunctionType, np.random.Generator, np.random.RandomState)):
                continue
            elif isinstance(content, (list, dict, set, np.ndarray)) or (
                hasattr(content, "__dict__") and not isinstance(content, (type, types.ModuleType))
            ):
                yield content
            elif isinstance(content, (int, float, str, bytes, tuple, type(None))):
                yield cell  # a counter: nonlocal names live here
        for name in function.__code__.co_names:
            content = function.__globals__.get(name)
            if isinstance(content, self._GLOBALS) and getattr(content, "size", 0) < 1_000_000:
                yield content

    @staticmethod
    def _content(thing):
        if isinstance(thing, types.CellType):
            return thing.cell_contents
        if isinstance(thing, (list, dict, set, np.ndarray)):
            return thing
        return vars(thing)

    def restore(self):
        """Put everything back that can be."""
        for thing, state, kept in self.things:
            state = copy.deepcopy(state, dict(kept))
            if isinstance(thing, types.CellType):
                thing.cell_contents = state
            elif isinstance(thing, np.ndarray):
                if thing.flags.writeable:
                    thing[...] = state
            elif isinstance(thing, list):
                thing[:] = state
            elif isinstance(thing, (dict, set)):
                thing.clear()
                thing.update(state)
            else:
                vars(thing).clear()
                vars(thing).update(state)
