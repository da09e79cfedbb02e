"""Texts that come with the package: the C sources that ``show`` quotes, and the notebooks.

In a wheel they are in ``badak/_files``; in a source checkout they are where they are edited. setup.py says which.
"""

import pathlib

PACKAGE = pathlib.Path(__file__).resolve().parent


def folder(name):
    """The folder "csrc" or "notebooks".

    Raises
    ------
    FileNotFoundError
        The package is installed without it.
    """
    for found in (PACKAGE / "_files" / name, PACKAGE.parent.parent / name):
        if found.is_dir():
            return found
    raise FileNotFoundError(f"this badak was installed without its folder {name}: reinstall it")
