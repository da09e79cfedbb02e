"""The machine: threads and core of this process, and facts to print beside the figures.

Imports nothing that reads the number of threads, so that it can be set before anything does.
"""

import os
import platform
import re
import subprocess
from importlib import metadata


def use_one_thread():
    """One thread for every library, and one core for the process. Call it before they are imported.

    Returns
    -------
    bool
        Whether the process could be bound to a core.
    """
    for name in ("OMP_NUM", "OPENBLAS_NUM", "MKL_NUM", "VECLIB_MAXIMUM", "BADAK_NUM"):
        os.environ[f"{name}_THREADS"] = "1"
    os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"  # no processes that compile in the background
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    if not hasattr(os, "sched_setaffinity"):
        return False
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # the first core serves most interrupts
    return True


def thread_pools():
    """(library, threads) of each pool of threads that is loaded by now; empty without threadpoolctl."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return []
    return [(pool["prefix"], pool["num_threads"]) for pool in threadpool_info()]


def cpu_name():
    """What the processor calls itself, with the numbers that tell its generation where Linux gives them."""
    if platform.system() == "Darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    try:
        with open("/proc/cpuinfo") as file:
            facts = dict(re.findall(r"^([^:\n]+?)\s*:\s*(.*)$", file.read(), re.MULTILINE))
    except OSError:
        facts = {}
    if "model name" not in facts:
        return platform.processor() or platform.machine()
    generation = f"family {facts.get('cpu family', '?')}, model {facts.get('model', '?')}"
    return f"{facts['model name']} ({generation})"


def versions(packages):
    """Name to version, of Python and of those packages that are installed."""
    found = {"Python": platform.python_version()}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def load():
    """Mean number of busy processes of the last minute, or None: above 1, the figures are noisy."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None
