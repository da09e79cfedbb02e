"""The ``badak`` command, also as ``python -m badak``."""

import argparse
import os
import sys

from . import __version__, cpu_info

INTERRUPTED = 130  # what a shell reports for Ctrl-C


def main(argv=None):
    """Run the command line `argv` (None: that of the process).

    Returns
    -------
    int
        The exit code.
    """
    _write_what_can_be_written(sys.stdout)
    parser = _parser()
    args = parser.parse_args(argv)
    if args.run is None:
        parser.print_help(sys.stderr)
        return 2
    try:
        return args.run(args)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader of a pipe has gone: nothing is to be written any more, not even at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _write_what_can_be_written(stream):
    """A sign that the terminal does not know becomes a question mark, not an error."""
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="replace")


def _parser():
    parser = argparse.ArgumentParser(prog="badak", description="Neural networks from the ground up, on a C core.")
    parser.add_argument("--version", action="version", version=f"badak {__version__}")
    parser.set_defaults(run=None)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for add in (_add_demo, _add_check, _add_info, _add_notebooks):
        add(commands)
    return parser


def _add_command(commands, name, run, summary):
    parser = commands.add_parser(name, help=summary, description=summary)
    parser.set_defaults(run=run)
    return parser


# -- demo -------------------------------------------------------------------------------------


def _add_demo(commands):
    parser = _add_command(
        commands, "demo", _demo, "Train a network on real MNIST, check its gradients and draw a picture."
    )
    parser.add_argument("--out", default="demo.png", metavar="FILE", type=_png, help="the picture (default: demo.png)")
    parser.add_argument("--epochs", type=_whole(1), metavar="N", help="how often each image is seen (default: 10)")
    parser.add_argument("--seed", type=_whole(0, 2**64 - 1), default=0, metavar="S", help="of all chance (default: 0)")
    parser.add_argument("--no-picture", action="store_true", help="only numbers: needs no matplotlib")


def _demo(args):
    from . import demo

    out = None if args.no_picture else args.out
    return demo.run(out, epochs=args.epochs or demo.EPOCHS, seed=args.seed)


def _png(text):
    folder = os.path.dirname(text) or "."
    if not text.lower().endswith(".png"):
        raise argparse.ArgumentTypeError(f"{text!r} does not end in .png")
    if not os.path.isdir(folder):
        raise argparse.ArgumentTypeError(f"there is no folder {folder!r}")
    if os.path.isdir(text):
        raise argparse.ArgumentTypeError(f"{text!r} is a folder")
    return text


def _whole(least, most=2**63 - 1):
    def whole(text):
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{value} is not from {least} to {most}")
        return value

    return whole


# -- check ------------------------------------------------------------------------------------


def _add_check(commands):
    parser = _add_command(
        commands,
        "check",
        _check,
        "Check the gradients of many people's layers: a row for each file, a process for each.",
    )
    parser.add_argument("targets", nargs="+", metavar="FILES:OBJECT", help="such as 'students/*.py:Affine'")
    parser.add_argument("--like", metavar="LAYER", help="the layer of badak that it should be (default: OBJECT)")
    parser.add_argument("--timeout", type=_seconds, default=30.0, metavar="S", help="for each file (default: 30)")
    parser.add_argument("--csv", action="store_true", help="write comma-separated values")


def _check(args):
    from . import _check_command

    try:
        return _check_command.run(args.targets, args.like, args.timeout, args.csv, sys.stdout)
    except ValueError as error:
        print(f"badak check: {error}", file=sys.stderr)
        return 2


def _seconds(text):
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds") from None
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"{value} is not a number of seconds above 0")
    return value


# -- info -------------------------------------------------------------------------------------


def _add_info(commands):
    _add_command(commands, "info", _info, "Say what is installed, and which kernels run in how many threads.")


def _info(args):
    import platform

    import numpy as np

    cpu = cpu_info()
    folder = os.path.dirname(os.path.abspath(__file__))
    rows = (
        ("badak", __version__),
        ("kernels", f"{cpu['isa']} (this processor can run: {', '.join(cpu['available'])})"),
        ("threads", str(cpu["threads"])),
        ("Python", platform.python_version()),
        ("NumPy", np.__version__),
        ("matplotlib", _installed("matplotlib") or "not installed: pip install badak[plot]"),
        ("platform", f"{platform.system()} {platform.machine()}"),
        ("package", folder),
        ("MNIST", os.path.join(folder, "dataset", "files")),
    )
    for name, value in rows:
        print(f"{name:<12}{value}")
    return 0


def _installed(package):
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


# -- notebooks --------------------------------------------------------------------------------


def _add_notebooks(commands):
    parser = _add_command(commands, "notebooks", _notebooks, "Write the book's chapters, as notebooks, into a folder.")
    parser.add_argument("folder", metavar="DIR", help="made if there is none")
    parser.add_argument("--lang", choices=("en", "ko"), default="en", help="their language (default: en)")
    parser.add_argument("--force", action="store_true", help="overwrite notebooks that are there")


def _notebooks(args):
    from ._notebook import unpack

    try:
        written = unpack(args.folder, args.lang, force=args.force)
    except FileExistsError as error:
        remedy = f"{args.folder} is a file" if os.path.isfile(args.folder) else "--force overwrites them"
        print(f"badak notebooks: {error} ({remedy})", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"badak notebooks: {error}", file=sys.stderr)
        return 1
    for path in written:
        print(path)
    print(f"To open them: jupyter lab {args.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
