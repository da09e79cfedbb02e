"""The machine: threads and cores of this process, what its processor can do, and facts to print beside the figures.

Imports nothing that reads the number of threads, so that it can be set before anything does.
"""

import os
import platform
import re
import shutil
import subprocess
import tempfile
from importlib import metadata
from pathlib import Path


def use_threads(count):
    """So many threads for every library, and as many cores for the process. Call it before they are imported.

    Returns
    -------
    bool
        Whether the process could be bound to that many cores.
    """
    for name in ("OMP_NUM", "OPENBLAS_NUM", "MKL_NUM", "VECLIB_MAXIMUM", "BADAK_NUM"):
        os.environ[f"{name}_THREADS"] = str(count)
    os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"  # no processes that compile in the background
    eigen = "true" if count > 1 else "false"
    os.environ["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={eigen} intra_op_parallelism_threads={count}"
    if not hasattr(os, "sched_setaffinity"):
        return False
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < count:
        return False
    os.sched_setaffinity(
        0, set(cores[-count:])
    )  # the first core serves most interrupts; JAX counts the cores it may use
    return True


def set_and_verify_threads(count):
    """Tell those that are told by a call, and look what all that are loaded say.

    Returns
    -------
    dict
        Library to its threads.

    Raises
    ------
    RuntimeError
        One has other threads than it should.
    """
    import sys

    import badak

    found = {}
    if hasattr(badak, "set_num_threads"):
        badak.set_num_threads(count)
        found["badak"] = badak.get_num_threads()
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(count)
        found["torch"] = sys.modules["torch"].get_num_threads()
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        pass
    else:
        for pool in threadpool_info():
            found[f"{pool['prefix']} of {Path(pool['filepath']).parent.name}"] = pool["num_threads"]
    if wrong := {name: threads for name, threads in found.items() if threads != count}:
        raise RuntimeError(f"no figures for {count} threads: {wrong}")
    return found


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


class Peak:
    """The most that so many threads can multiply and add, in GFLOP/s of float32: asked now and again during a run."""

    def __init__(self, threads):
        self.threads = threads
        self.rates = []
        self._folder = None
        compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
        if not compiler:
            return
        self._folder = tempfile.TemporaryDirectory()
        self._program = Path(self._folder.name) / "fma_peak"
        source = Path(__file__).with_name("fma_peak.c")
        flags = ["-O2", "-march=native", "-ffp-contract=fast", "-pthread"]
        command = [*compiler.split(), *flags, str(source), "-o", str(self._program)]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            self._folder = None

    @property
    def how(self):
        if self._folder:
            return "a loop of fused multiply-adds in C, compiled here"
        return "NumPy's largest product of matrices (there is no C compiler here)"

    def ask(self):
        """Measure once more. Takes about half a second."""
        if self._folder:
            done = subprocess.run([str(self._program), str(self.threads)], capture_output=True, text=True, check=True)
            self.rates.append(float(done.stdout))
            return
        import time

        import numpy as np

        n = 2048
        a = np.ones((n, n), np.float32)
        a @ a
        start = time.perf_counter()
        a @ a
        self.rates.append(2 * n**3 / (time.perf_counter() - start) / 1e9)

    @property
    def rate(self):
        """The largest: anything else was disturbed."""
        return max(self.rates)
