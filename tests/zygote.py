"""A process that has imported everything, and forks for each job: hundreds of them cost milliseconds each.

``Zygote("catalogue")`` starts Python with that module; ``zygote.run("name")`` calls ``module.run(ready, "name")`` in a
child of its own, `ready` being what ``module.get_ready()`` made before. A child that crashes or hangs is an answer like
any other.
"""

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))


class Zygote:
    """The side of the tests."""

    def __init__(self, module, options=(), **environment):
        import badak

        package = os.path.dirname(os.path.dirname(badak.__file__))
        path = os.pathsep.join([package, HERE, *filter(None, sys.path)])
        self._process = subprocess.Popen(
            [sys.executable, *options, os.path.abspath(__file__), module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path, **environment},
        )
        assert json.loads(self._process.stdout.readline()) == "ready"

    def run(self, *arguments, seconds=60):
        """("ok", value), ("failed", traceback), ("skipped", why), ("died", signal) or ("hangs", seconds)."""
        print(json.dumps([arguments, seconds]), file=self._process.stdin, flush=True)
        return tuple(json.loads(self._process.stdout.readline()))

    def close(self):
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


def answer(module, ready, arguments, seconds):
    """Fork, let the child run the job, and see what becomes of it."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        with contextlib.suppress(BaseException):
            os.close(read)
            outcome = outcome_of(module, ready, arguments)
            with open(write, "w") as file:
                json.dump(outcome, file)
            code = 0
        os._exit(code)
    os.close(write)
    said, deadline = b"", time.monotonic() + seconds
    while True:
        readable, _, _ = select.select([read], [], [], max(0, deadline - time.monotonic()))
        part = os.read(read, 65536) if readable else b""
        if not part:
            break
        said += part
    os.close(read)
    if not readable:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if not readable:
        return "hangs", seconds
    if os.WIFSIGNALED(status):
        return "died", signal.Signals(os.WTERMSIG(status)).name
    return json.loads(said) if said else ("died", f"exit code {os.waitstatus_to_exitcode(status)}")


def outcome_of(module, ready, arguments):
    try:
        return "ok", module.run(ready, *arguments)
    except BaseException as error:
        if type(error).__name__ == "Skipped":  # pytest's
            return "skipped", str(error)
        return "failed", traceback.format_exc()


def serve(name):
    """The side of the zygote: a line of JSON in for each job, a line out for its answer."""
    module = importlib.import_module(name)
    ready = module.get_ready()
    gc.freeze()  # a collection in a child would copy all pages
    with os.fdopen(os.dup(0)) as jobs, os.fdopen(os.dup(1), "w") as answers, open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
        os.dup2(2, 1)  # what a job prints is not an answer
        print(json.dumps("ready"), file=answers, flush=True)
        for line in jobs:
            arguments, seconds = json.loads(line)
            print(json.dumps(answer(module, ready, arguments, seconds)), file=answers, flush=True)


if __name__ == "__main__":
    serve(sys.argv[1])
