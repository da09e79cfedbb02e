"""The catalogue of bad arguments (and of odd ones that are fine): every row a function of the world.

Numbers such as B001 are those of the catalogue's first, written edition; a row's id names those that it stands for.
"""

import warnings

from . import accepted, arrays, checks, kinds, labels, layers, nets, use
from .world import Case, get_ready

MODULES = (arrays, labels, use, nets, layers, kinds, checks, accepted)
ROWS = {
    name: row
    for module in MODULES
    for one in vars(module).values()
    if isinstance(one, Case)
    for name, row in one.rows()
}

__all__ = ["MODULES", "ROWS", "get_ready", "run"]


def run(world, name):
    """Run one row; in a child of the zygote."""
    warnings.simplefilter("error")
    ROWS[name](world)
