"""The book's own scripts and notebooks, unmodified, on badak.

``python -m badak.book SCRIPT [ARG ...]`` runs a script, ``%load_ext badak.book`` prepares a notebook: what they import
from ``common`` and ``dataset`` comes from badak, whatever folders of these names there are. Modules of those packages
that the book does not have are still found in such a folder.

A script runs in its own folder, which is first on ``sys.path``, with an absolute ``__file__``. Without a display its
plots are drawn but not shown (unless ``MPLBACKEND`` says otherwise). ``BADAK_BOOK_MAX_STEPS=N`` cuts every training
loop of the script, or of a cell, and every ``Trainer`` short after N steps; loops in modules that the script imports
run on.

What differs from ``badak``'s own modules: ``SoftmaxWithLoss`` has the book's 1e-7 inside its logarithm, and
``common.functions.mean_squared_error`` is half the sum of squares. Half precision: float16 input is taken anywhere,
but a layer's parameters are float32 or float64, since it holds the caller's own arrays; the book's script keeps
them so, and only rounds their values to float16.
"""

import ast
import builtins
import contextlib
import importlib.abc
import importlib.machinery
import os
import sys
import types
import warnings

from ._cap import Cap
from ._modules import PACKAGES, contents

__all__ = ["install", "load_ipython_extension", "run", "uninstall", "unload_ipython_extension"]


class BookFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the modules of the book, and fills them.

    Parameters
    ----------
    modules : dict of callables
        By full name: each returns the names of the module, ``__all__`` among them.
    cap : Cap or None
        What cuts training loops short.
    """

    def __init__(self, modules, cap=None):
        self.modules = modules
        self.cap = cap
        self.hidden = {}  # modules of the same names that had been imported before

    def find_spec(self, fullname, path=None, target=None):
        package, _, submodule = fullname.partition(".")
        if fullname in self.modules:
            return importlib.machinery.ModuleSpec(fullname, self, origin="badak.book", is_package=not submodule)
        if package in self.modules and submodule:  # not one of the book's: perhaps in a folder of that name
            folders = [os.path.join(entry, package) for entry in sys.path]
            return importlib.machinery.PathFinder.find_spec(fullname, folders)
        return None

    def exec_module(self, module):
        vars(module).update(self.modules[module.__name__]())


def install(max_steps=None):
    """Serve ``common`` and ``dataset`` from badak, in this process, until ``uninstall``.

    Parameters
    ----------
    max_steps : int or None
        After how many steps a ``Trainer`` stops.

    Returns
    -------
    BookFinder
        To be handed to ``uninstall``.
    """
    cap = None if max_steps is None else Cap(max_steps)
    finder = BookFinder(contents(cap), cap)
    finder.hidden = _take_modules(PACKAGES)
    sys.meta_path.insert(0, finder)
    return finder


def uninstall(finder):
    """Take back what ``install`` did; modules that it hid are there again."""
    sys.meta_path.remove(finder)
    _take_modules(PACKAGES)
    sys.modules.update(finder.hidden)


def run(script, args=(), *, max_steps=None):
    """Run a script of the book on badak, as ``python SCRIPT ARG ...`` would.

    Parameters
    ----------
    script : path
    args : sequence of str
        ``sys.argv[1:]`` of the script.
    max_steps : int or None
        After how many steps to cut training loops short.

    Returns
    -------
    dict
        The script's global variables.

    Notes
    -----
    Whatever the script raises is passed on, SystemExit too. Working directory, ``sys.argv``, ``sys.path`` and
    ``sys.modules`` are as before in any case.
    """
    finder = install(max_steps)
    try:
        return execute(script, args, finder.cap)
    finally:
        uninstall(finder)


def execute(script, args=(), cap=None):
    """Run a script as ``__main__`` in its own folder, serving nothing. Returns its global variables."""
    script = os.path.abspath(os.fspath(script))
    with open(script, "rb") as file:
        tree = ast.parse(file.read(), script)
    main = types.ModuleType("__main__")
    vars(main).update(__file__=script, __builtins__=builtins, __cached__=None)
    if cap is not None:
        tree = cap.visit(tree)
        setattr(main, cap.name, cap)
    code = compile(tree, script, "exec", dont_inherit=True)
    with _as_program(main, [script, *args]):
        exec(code, vars(main))
    names = vars(main)
    if cap is not None:
        names.pop(cap.name, None)
    return names


@contextlib.contextmanager
def _as_program(main, argv):
    """The process as a program finds it: `main` as ``__main__``, its folder first; put back at the end."""
    folder = os.path.dirname(main.__file__)
    before = {"argv": sys.argv, "path": sys.path, "main": sys.modules.get("__main__"), "cwd": os.getcwd()}
    known = set(sys.modules)
    old_entries = {os.path.realpath(entry) for entry in sys.path}
    sys.argv, sys.path, sys.modules["__main__"] = argv, [folder, *sys.path], main
    os.chdir(folder)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*is non-interactive, and thus cannot be shown")  # plt.show() with Agg
            yield
    finally:
        new_entries = {os.path.realpath(entry) for entry in sys.path} - old_entries
        strangers = {
            name for name in set(sys.modules) - known if "." not in name and _home(sys.modules[name]) in new_entries
        }
        _take_modules(strangers)
        os.chdir(before["cwd"])
        sys.argv, sys.path, sys.modules["__main__"] = before["argv"], before["path"], before["main"]


def _home(module):
    """The folder on sys.path from which a top-level module came, or None."""
    file = getattr(module, "__file__", None)
    if not file:
        return None
    folder = os.path.dirname(os.path.realpath(file))
    return os.path.dirname(folder) if hasattr(module, "__path__") else folder


def _take_modules(packages):
    """Remove packages and their submodules from ``sys.modules``; returns them."""
    names = [name for name in sys.modules if name.partition(".")[0] in packages]
    return {name: sys.modules.pop(name) for name in names}


def max_steps_from_environment():
    """The value of ``BADAK_BOOK_MAX_STEPS``, None if it is not set or empty.

    Raises
    ------
    ValueError
        If it is not a whole number above 0.
    """
    text = os.environ.get("BADAK_BOOK_MAX_STEPS", "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise ValueError(f"BADAK_BOOK_MAX_STEPS must be a whole number above 0, got {text!r}")
    return int(text)


# ---- in a notebook ----


_loaded = {}  # what load_ipython_extension did, by shell


def load_ipython_extension(shell):
    """``%load_ext badak.book``: serve the book's modules to the cells that follow.

    ``__file__``, which a notebook does not have, becomes a path in the working directory: the book's scripts, pasted
    into a cell, look for their files beside it.
    """
    if shell in _loaded:
        return
    finder, own = install(max_steps_from_environment()), {}
    if finder.cap is not None:
        own[Cap.name] = finder.cap
        shell.ast_transformers.append(finder.cap)
    if "__file__" not in shell.user_ns:
        own["__file__"] = os.path.abspath("notebook.ipynb")
    shell.push(own, interactive=False)
    _loaded[shell] = finder, own


def unload_ipython_extension(shell):
    """``%unload_ext badak.book``: as before. What cells have imported they keep."""
    if shell not in _loaded:
        return
    finder, own = _loaded.pop(shell)
    if finder.cap is not None:
        shell.ast_transformers.remove(finder.cap)
    shell.drop_by_id(own)
    uninstall(finder)
