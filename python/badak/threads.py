"""How many threads the C core uses.

Nets and layers share large work between threads of their own; small work stays in the thread that calls. The result is
the same for any number of threads, bit for bit. NumPy's linear algebra has threads of its own, which badak never uses.
"""

import sys

from . import _core

__all__ = ["get_num_threads", "register_with_threadpoolctl", "set_num_threads"]


def set_num_threads(n):
    """Set how many threads one call may use, for the whole process.

    Parameters
    ----------
    n : int
        1 or more: 1 uses the calling thread alone. More than 256 means 256.

    Raises
    ------
    TypeError, ValueError, OverflowError
        If `n` is no integer, below 1, or beyond 64 bits.

    Notes
    -----
    At import the number is that of the environment variable ``BADAK_NUM_THREADS``. Without it, it is what suits the
    process: the processors that it may run on, one per core, not more than its control group is given, and not more
    than ``OMP_NUM_THREADS``.
    """
    _core.set_num_threads(n)


def get_num_threads():
    """How many threads one call may use.

    Returns
    -------
    int
    """
    return _core.get_num_threads()


def register_with_threadpoolctl():
    """Let threadpoolctl see badak's threads, and limit them.

    ``threadpoolctl.threadpool_limits(1)`` then limits badak too, or badak alone with ``user_api="badak"``. It is called
    at the import of badak if threadpoolctl has been imported before.

    Raises
    ------
    ImportError
        If threadpoolctl is not installed.
    """
    import threadpoolctl

    class BadakController(threadpoolctl.LibController):
        user_api = "badak"
        internal_api = "badak"
        filename_prefixes = ("_core.",)
        check_symbols = ("PyInit__core",)

        def get_num_threads(self):
            return get_num_threads()

        def set_num_threads(self, num_threads):
            set_num_threads(num_threads)

        def get_version(self):
            return sys.modules[__package__].__version__

    threadpoolctl.register(BadakController)


if "threadpoolctl" in sys.modules:
    register_with_threadpoolctl()
