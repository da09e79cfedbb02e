"""``python -m badak.book SCRIPT [ARG ...]``: run one of the book's own scripts on badak."""

import os
import sys
import traceback

from . import max_steps_from_environment, run

USAGE = """usage: python -m badak.book SCRIPT [ARG ...]

Runs one of the book's own scripts, unmodified: common.* and dataset.* are badak's.
BADAK_BOOK_MAX_STEPS=N cuts its training loops short after N steps."""


def main(argv):
    """Run the script that the command line names. Returns the exit code."""
    if argv[:1] in (["-h"], ["--help"]):
        print(USAGE)
        return 0
    if not argv:
        print(USAGE, file=sys.stderr)
        return 2
    script, *args = argv
    try:
        max_steps = max_steps_from_environment()
    except ValueError as error:
        return _refuse(error)
    if not os.path.isfile(script):
        return _refuse(f"there is no file {script!r}")
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        os.environ.setdefault("MPLBACKEND", "Agg")

    try:
        run(script, args, max_steps=max_steps)
    except SystemExit:
        raise
    except BaseException as error:
        _print_traceback(error, os.path.abspath(script))
        return 130 if isinstance(error, KeyboardInterrupt) else 1
    return 0


def _refuse(message):
    print(f"badak.book: {message}", file=sys.stderr)
    return 2


def _print_traceback(error, script):
    """As Python would print it: from the script's own line on."""
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename != script:
        frames = frames.tb_next
    sys.stdout.flush()
    traceback.print_exception(error.with_traceback(frames))


if __name__ == "__main__":
    if not getattr(sys.flags, "safe_path", False):
        del sys.path[0]  # where the command was given, which -m put there: the script's folder takes its place
    sys.exit(main(sys.argv[1:]))
