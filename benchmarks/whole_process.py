"""What a process costs: the time of an import, the memory of a training; and the size of the package."""

import argparse
import re
import statistics
import subprocess
import sys
import zlib
from importlib import metadata

DATA = ("dataset/files/", "weight_files/")  # of the package: MNIST and trained weights
IMPORTS = {  # name to (what is imported before, what is timed)
    "badak, after numpy": ("numpy", "badak"),
    "numpy": ("time", "numpy"),
    "PyTorch": ("time", "torch"),
    "JAX": ("time", "jax"),
    "scikit-learn": ("time", "sklearn.neural_network"),
}
TRAINED = ("badak", "PyTorch", "PyTorch, channels_last")  # whose memory is measured
MEMORY_STEPS = 5


def _child(*arguments):
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "no message")
    return done.stdout


def import_times(rounds):
    """Milliseconds of each import, each in a process of its own: (median by name, why some are missing).

    The others take long, and are no target: a fifth of the rounds will do, which may be none.
    """
    found, missing = {name: [] for name in IMPORTS}, {}
    for i in range(rounds):
        for name, (before, timed) in IMPORTS.items():
            if "numpy" not in name and i % 5 != 4:
                continue
            code = f"import {before}, time; t = time.perf_counter(); import {timed}; print(time.perf_counter() - t)"
            try:
                found[name].append(float(_child("-c", code)) * 1000)
            except RuntimeError as error:
                missing[name] = str(error)
    return {name: statistics.median(times) for name, times in found.items() if times}, missing


def peak_memory():
    """Bytes that a process needed at most, in which DeepConvNet was trained with batches of 100."""
    found, missing = {}, {}
    for name in TRAINED:
        try:
            found[name] = int(_child(__file__, name))
        except RuntimeError as error:
            missing[name] = str(error)
    return found, missing


def _train(name):
    """Runs in the process that is measured: a few steps on random images, then the peak."""
    import contestants
    import nets
    import numpy as np

    kind = next(kind for kind in contestants.CONTESTANTS if kind.name == name)
    contestant = kind()
    contestant.build(nets.DEEP_CONV, nets.DEEP_CONV.optimizer)
    rng = np.random.default_rng(1)
    x = rng.random((100, *nets.DEEP_CONV.shape), dtype=np.float32)
    x, t = contestant.take(x, rng.integers(0, 10, 100))
    for _ in range(MEMORY_STEPS):
        contestant.step(x, t)
    contestant.wait()
    try:
        with open("/proc/self/status") as file:
            return int(re.search(r"VmHWM:\s*(\d+) kB", file.read())[1]) * 1024
    except OSError:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def wheel_size():
    """(bytes of the installed package without data, as a wheel compresses them, bytes of the data)."""
    code = data = 0
    for file in metadata.files("badak"):
        if file.parts[0] not in ("badak", f"badak-{metadata.version('badak')}.dist-info") or file.suffix == ".pyc":
            continue
        packed = len(zlib.compress(file.locate().read_bytes(), 6))
        if any(part in file.as_posix() for part in DATA):
            data += packed
        else:
            code += packed
    return code, data


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Train DeepConvNet a little and print the peak memory in bytes.")
    parser.add_argument("contestant", choices=TRAINED)
    print(_train(parser.parse_args().contestant))
