"""A net in a file: safetensors, with all that training needs to go on as if it had never stopped.

The format (https://github.com/huggingface/safetensors): 8 bytes, the length of the header; the header, JSON; the
numbers of all tensors. Other programs find the parameters there by their names, ``W1`` and so on; ``buffers.*`` and
``optimizer.*`` follow. What makes it a net is text in the header's ``__metadata__``: architecture, optimiser,
generator, and the SHA-256 of the whole file with this digest's own place filled with zeros. So every flipped bit is
found. A checksum is no signature: it tells damage, not who wrote the file. Nothing in a file is ever executed.
"""

import contextlib
import errno
import hashlib
import json
import os
import socket
import stat

import numpy as np

from . import _core, layers
from . import optimizer as optimizers
from .errors import ChecksumError, FormatError
from .layers import CoreLayer, LossLayer, Residual, check_layer
from .net import Net, specs_of

__all__ = ["load"]

VERSION = 1
MOST_HEADER = 1 << 24  # bytes; a header of ours has about 100 for each array
CHUNK = 1 << 20
ZEROS = "0" * 64
DTYPES = {"F32": np.dtype("<f4"), "F64": np.dtype("<f8")}
TEMPORARY = ".badak-"  # then the host, the process and something random, ".tmp"
MAGIC = {  # what else a file may be, by how it begins
    b"PK\x03\x04": "a zip archive (.npz, or PyTorch's)",
    b"\x1f\x8b": "gzip",
    b"\x93NUMPY": "a NumPy array (.npy)",
    b"\x89HDF": "HDF5",
    b"\x89PNG": "a picture (.png)",
    b"\x80": "a pickle",
    b"<": "HTML or XML",
}


# ---------------------------------------------------------------- what is kept


def _arrays(net):
    """{name in the file: array of the net}, in order."""
    found = dict(net.params)
    found |= {f"buffers.{name}": array for name, array in net.buffers.items()}
    if net.optimizer is not None:
        for state, arrays in net.optimizer.state.items():
            found |= {f"optimizer.{state}.{name}": array for name, array in arrays.items()}
    return found


def _architecture(net):
    return {
        "input_shape": list(net.input_shape),
        "dtype": str(net.dtype),
        "seed": net.seed,
        "loss": _layer_to_json(net.loss_layer),
        "layers": [_layer_to_json(layer) for layer in net.layers],
    }


def _layer_to_json(layer):
    if not isinstance(layer, CoreLayer):
        config = layer.config() if callable(getattr(layer, "config", None)) else {}
        return {"python": type(layer).__name__, "config": config}
    names = [name for name, _ in layers._KINDS[layer.kind]["hyper"]]
    described = {"kind": layer.kind, "hyper": dict(zip(names, layer.core.hyper, strict=True))}
    if layer._layers:
        described["layers"] = [_layer_to_json(child) for child in layer._layers]
    return described


def _metadata(net):
    optimizer = net.optimizer
    training = None
    if optimizer is not None:
        _core.check_optimizer(optimizer.kind, optimizer.hyper)  # what load would refuse
        names = [name for name, _ in optimizers._KINDS[optimizer.kind]["hyper"]]
        hyper = {name: float(value) for name, value in zip(names, optimizer.hyper, strict=True)}
        training = {"kind": optimizer.kind, "hyper": hyper, "updates": optimizer.iter}
    return {
        "format": "badak",
        "version": str(VERSION),
        "architecture": _to_json(_architecture(net)),
        "optimizer": _to_json(training),
        "generator": _to_json(list(net._core.rng)),
        "sha256": ZEROS,
    }


def _to_json(value):
    try:
        return json.dumps(value, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise type(error)(f"config() of a Python layer must return JSON's types and finite numbers: {error}") from None


def _header(metadata, shapes):
    """The header's bytes: canonical, so that what was read can be compared with what would be written."""
    entries, at = {"__metadata__": metadata}, 0
    for name, (code, shape) in shapes.items():
        size = DTYPES[code].itemsize * _count(shape)
        entries[name] = {"dtype": code, "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = _to_json(entries).encode()
    return text + b" " * (-len(text) % 8), at


def _code(array):
    return "F32" if array.dtype.itemsize == 4 else "F64"


def _count(shape):
    count = 1
    for size in shape:
        count *= size
    return count


# ---------------------------------------------------------------- writing


def save(net, path):
    """Write the net to a file: see ``Net.save``."""
    path = os.fspath(path)
    net._core.hold()  # not between two halves of a step
    try:
        arrays = _arrays(net)
        shapes = {name: (_code(array), array.shape) for name, array in arrays.items()}
        metadata = _metadata(net)
        header, _ = _header(metadata, shapes)
        if len(header) > MOST_HEADER:
            raise ValueError(f"the description of this net takes {len(header)} bytes, more than {MOST_HEADER}")
        length = len(header).to_bytes(8, "little")
        digest = hashlib.sha256(length + header)
        for array in arrays.values():
            for piece in _pieces(array):
                digest.update(piece)
        header, _ = _header(metadata | {"sha256": digest.hexdigest()}, shapes)
        with _replacing(path) as file:
            file.write(length + header)
            for array in arrays.values():
                for piece in _pieces(array):
                    file.write(piece)
    finally:
        net._core.let_go()


def _pieces(array):
    """The little-endian bytes of an array, some at a time."""
    flat = array.reshape(-1)  # a Python layer's own may lie in any order: then this is a copy
    count = CHUNK // array.itemsize
    for at in range(0, flat.size, count):
        yield np.ascontiguousarray(flat[at : at + count], dtype=array.dtype.newbyteorder("<")).data.cast("B")


@contextlib.contextmanager
def _replacing(path):
    """A file to write to that takes the place of `path` in one instant at the end, or never."""
    given = os.fsdecode(path)
    if not os.path.basename(given):
        raise IsADirectoryError(errno.EISDIR, "a net is saved to a file, not to a directory", given)
    target = os.path.realpath(given)  # through a symbolic link: it goes on pointing there
    folder = os.path.dirname(target)
    mode = None
    with contextlib.suppress(FileNotFoundError):
        before = os.stat(target)
        if stat.S_ISDIR(before.st_mode):
            raise IsADirectoryError(errno.EISDIR, "a net cannot be saved over a directory", target)
        if not stat.S_ISREG(before.st_mode):
            raise ValueError(f"{target} is not a regular file: a net is saved to one")
        mode = stat.S_IMODE(before.st_mode)
    _clean(folder)
    handle, temporary = _temporary(folder)
    try:
        with os.fdopen(handle, "wb", buffering=CHUNK) as file:
            yield file
            file.flush()
            if mode is not None:
                os.chmod(temporary, mode)
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    _sync_folder(folder)  # its entry must last as well


def _sync_folder(folder):
    if os.name != "posix":
        return
    try:
        entry = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(entry)
        finally:
            os.close(entry)
    except OSError as error:  # some file systems have no such thing, some folders may not be read
        if error.errno not in (errno.EINVAL, errno.EACCES, errno.EPERM, errno.ENOTSUP):
            raise


def _prefix():
    host = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]
    return f"{TEMPORARY}{host}-"


def _temporary(folder):
    """(handle, path) of a new file in the folder, with the mode that any new file has."""
    name = os.path.join(folder, f"{_prefix()}{os.getpid()}-{os.urandom(6).hex()}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    return os.open(name, flags, 0o666), name


def _clean(folder):
    """Remove what processes of this machine left here that were killed while they saved."""
    if os.name != "posix":
        return
    prefix = _prefix()
    for name in os.listdir(folder):
        if not (name.startswith(prefix) and name.endswith(".tmp")):
            continue
        process = name[len(prefix) :].split("-")[0]
        if process.isdigit() and not _runs(int(process)):
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(folder, name))


def _runs(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


# ---------------------------------------------------------------- reading


def load(path, custom=None):
    """A net from a file that ``Net.save`` wrote: it predicts the same, and training goes on as if it had never stopped.

    Parameters
    ----------
    path : str, bytes or path-like
    custom : dict or None
        For the Python layers in it, by the name of their class: ``{"Swish": Swish}``. What is given is called with
        the layer's ``config()`` and returns a new layer, whose parameters are then filled in.

    Returns
    -------
    Net

    Raises
    ------
    FormatError
        The file is damaged (then a ChecksumError, if its form is right) or something else.
    ValueError
        It holds a Python layer that `custom` does not name, or one with other parameters.
    OSError
        It cannot be read.
    """
    path = os.fspath(path)
    custom = {} if custom is None else custom
    if not isinstance(custom, dict) or not all(callable(make) for make in custom.values()):
        raise TypeError('custom must be a dict from names to classes, such as {"Swish": Swish}')
    shown = os.fsdecode(path)
    if not stat.S_ISREG(os.stat(path).st_mode) and not os.path.isdir(path):
        raise ValueError(f"{shown} is not a regular file")
    with open(path, "rb") as file:
        try:
            return _read(file, os.fstat(file.fileno()).st_size, custom)
        except FormatError as error:
            raise type(error)(f"{shown}: {error}") from None


def _read(file, size, custom):
    length = file.read(8)
    for start, what in MAGIC.items():
        if length.startswith(start) and not 2 <= int.from_bytes(length, "little") <= size - 8:
            raise FormatError(f"this looks like {what}, not like a saved net")
    if len(length) < 8:
        raise FormatError(f"it has {size} bytes: too few for a saved net")
    header_size = int.from_bytes(length, "little")
    if header_size > MOST_HEADER:
        raise FormatError("it was not written by Net.save: its first 8 bytes are not the length of a header")
    if header_size > size - 8:
        raise FormatError(f"it is cut short: it has {size} bytes, its header alone takes {8 + header_size}")
    raw = file.read(header_size)
    header = _parse(raw)
    metadata, tensors = _checked_header(header, size - 8 - header_size)
    if _header(metadata, tensors)[0] != raw:
        raise FormatError("its header is not word for word as Net.save writes it")

    digest = hashlib.sha256(length + raw.replace(metadata["sha256"].encode(), ZEROS.encode()))
    while piece := file.read(CHUNK):
        digest.update(piece)
    if digest.hexdigest() != metadata["sha256"]:
        raise ChecksumError("its content does not match its checksum: it is damaged")

    net, optimizer, generator = _build(metadata, tensors, custom)
    file.seek(8 + header_size)
    again = hashlib.sha256(length + raw.replace(metadata["sha256"].encode(), ZEROS.encode()))
    for array in _arrays(net).values():
        _read_into(array, file, again)
    if again.hexdigest() != metadata["sha256"]:
        raise ChecksumError("it changed while it was read")
    squares = {"Adam": "v", "AdaGrad": "h", "RMSprop": "h"}
    sums = optimizer.state[squares[optimizer.kind]] if optimizer is not None and optimizer.kind in squares else {}
    if any((array < 0).any() for array in sums.values()):
        raise FormatError(f"the squares that {optimizer.kind} sums are negative")
    net._core.rng = generator
    return net


def _parse(raw):
    def unique(pairs):
        if len({name for name, _ in pairs}) < len(pairs):
            raise FormatError("a name stands twice in its header")
        return dict(pairs)

    def refuse(constant):
        raise FormatError(f"{constant} stands in its header")

    try:
        return json.loads(raw.decode(), object_pairs_hook=unique, parse_constant=refuse)
    except FormatError:
        raise
    except (ValueError, RecursionError) as error:
        raise FormatError(f"its header is not JSON ({type(error).__name__})") from None


def _checked_header(header, data_size):
    """(metadata, {name: (dtype, shape)}), if the header has the form of ours and the tensors fill the rest."""
    header = header if isinstance(header, dict) else {}
    metadata = header.pop("__metadata__", None)
    if not isinstance(metadata, dict) or metadata.get("format") != "badak":
        tensors = [name for name, entry in header.items() if isinstance(entry, dict) and "shape" in entry]
        if tensors:
            shown = ", ".join(f"{name:.40}" for name in tensors[:8])
            raise FormatError(
                f"it holds tensors ({shown}), but no net: make the net, then "
                "for name, array in safetensors.numpy.load_file(path).items(): net.params[name] = array"
            )
        raise FormatError("it was not written by Net.save: the metadata of a badak net are missing")
    if metadata.get("version") != str(VERSION):
        raise FormatError(f"its version is {metadata.get('version')!r:.20}: this badak reads version {VERSION}")
    wanted = ["format", "version", "architecture", "optimizer", "generator", "sha256"]
    if list(metadata) != wanted or not all(isinstance(text, str) for text in metadata.values()):
        raise FormatError("its metadata are not those of a badak net")
    digest = metadata["sha256"]
    if len(digest) != 64 or set(digest) - set("0123456789abcdef"):
        raise FormatError("its checksum is not a SHA-256")
    tensors, at = {}, 0
    for name, entry in header.items():
        if not isinstance(entry, dict) or list(entry) != ["dtype", "shape", "data_offsets"]:
            raise FormatError(f"the entry of {name!r:.40} is not that of a tensor")
        code, shape = entry["dtype"], entry["shape"]
        if code not in ("F32", "F64"):
            raise FormatError(f"the dtype of {name!r:.40} is {code!r:.20}: expected F32 or F64")
        if not isinstance(shape, list) or not all(type(n) is int and 0 <= n < 2**48 for n in shape) or len(shape) > 8:
            raise FormatError(f"the shape of {name!r:.40} is not a list of up to 8 sizes")
        end = at + DTYPES[code].itemsize * _count(shape)
        if entry["data_offsets"] != [at, end]:
            raise FormatError(f"the place of {name!r:.40} is not where its numbers lie")
        tensors[name] = (code, tuple(shape))
        at = end
    if at > data_size:
        raise FormatError(f"it is cut short: its numbers take {at} bytes, but only {data_size} follow the header")
    if at < data_size:
        raise FormatError(f"its numbers take {at} bytes, but {data_size} follow the header")
    return metadata, tensors


def _build(metadata, tensors, custom):
    """(the net that the metadata describe, its optimiser or None, its generator), if the tensors are those it has."""
    architecture = _section(metadata, "architecture", dict)
    training = _section(metadata, "optimizer", (dict, type(None)))
    generator = _section(metadata, "generator", list)
    if len(generator) != 2 or not all(type(n) is int and 0 <= n < 2**64 for n in generator):
        raise FormatError("the state of its generator is not two numbers")
    try:
        if not isinstance(architecture["layers"], list) or not isinstance(architecture["input_shape"], list):
            raise FormatError("its layers or its input_shape are no list")
        chain = tuple(_layer_from_json(entry, custom) for entry in architecture["layers"])
        loss = _layer_from_json(architecture["loss"], {})
        input_shape = tuple(architecture["input_shape"])
        if not all(type(size) is int and 0 < size < 2**48 for size in input_shape) or not 0 < len(input_shape) < 8:
            raise FormatError("its input_shape is not one")
        dtype, seed = architecture["dtype"], architecture["seed"]
        if type(seed) is not int or not 0 <= seed < 2**64:
            raise FormatError("its seed is not one")
        if dtype not in ("float32", "float64") or set(architecture) != {
            "input_shape", "dtype", "seed", "loss", "layers",
        }:  # fmt: skip
            raise FormatError("its architecture is not complete")
        optimizer, updates = _optimizer_from_json(training)
    except (KeyError, RecursionError) as error:
        raise FormatError(f"its architecture is not complete ({type(error).__name__}: {error})") from None
    if not isinstance(loss, LossLayer) or any(isinstance(layer, LossLayer) for layer in chain):
        raise FormatError("its loss is not a loss layer, or stands among the layers")
    shapes = {name: shape for name, (_, shape) in tensors.items()}
    error = ValueError if custom else FormatError  # what does not fit may be what the caller gave
    _compare(_expected(chain, loss, input_shape, optimizer), shapes, error)
    net = Net(chain, loss=loss, input_shape=input_shape, dtype=dtype, seed=seed)
    if optimizer is not None:
        net._resume(optimizer, updates)
    codes = {name: (_code(array), array.shape) for name, array in _arrays(net).items()}
    _compare(codes, tensors, error)
    return net, optimizer, tuple(generator)


def _section(metadata, name, kind):
    found = _parse(metadata[name].encode())
    if not isinstance(found, kind):
        raise FormatError(f"its {name} is not of the right form")
    return found


def _expected(chain, loss, input_shape, optimizer):
    """{name: shape} of such a net's arrays: known before any memory is asked for."""
    specs, adapters = specs_of(chain)
    try:
        params, buffers = _core.Net.shapes(specs, loss.core, input_shape)
    except (TypeError, ValueError, OverflowError) as error:
        if adapters:  # it may be theirs
            raise
        raise FormatError(f"its layers do not fit each other: {error}") from None
    expected = dict(params) | {f"buffers.{name}": shape for name, shape in buffers}
    for state in () if optimizer is None else optimizer.state:
        expected |= {f"optimizer.{state}.{name}": shape for name, shape in params}
    return expected


def _compare(expected, found, error):
    if list(expected.items()) == list(found.items()):
        return
    differences = [
        f"{name:.40} is {found.get(name, 'not there')} in the file, {expected.get(name, 'not there')} in the net"
        for name in dict.fromkeys([*expected, *found])
        if expected.get(name) != found.get(name)
    ]
    raise error("its tensors are not those of its net: " + ("; ".join(differences[:20]) or "another order"))


def _layer_from_json(entry, custom):
    if not isinstance(entry, dict):
        raise FormatError("a layer in it is not described")
    if set(entry) == {"python", "config"}:
        name, config = entry["python"], entry["config"]
        if not isinstance(name, str) or not isinstance(config, dict):
            raise FormatError("a Python layer in it is not described")
        if name not in custom:
            raise ValueError(
                f"this net has a Python layer {name!r:.40}: pass custom={{{name!r:.40}: its class}} to load it"
            )
        try:
            layer = custom[name](**config)
        except TypeError as error:
            given = ", ".join(f"{key}={value!r:.40}" for key, value in config.items())
            raise TypeError(
                f"custom[{name!r}]({given}): {error}. It is called with what the layer's config() returned when the "
                "net was saved: return all its arguments there, or pass a function that makes the layer"
            ) from error
        check_layer(layer, f"custom[{name!r}] must return a badak layer")
        return layer
    kinds = layers._KINDS
    kind, hyper = entry["kind"], entry["hyper"]
    if not isinstance(kind, str) or kind not in kinds:
        raise FormatError(f"there is no layer {kind!r:.40}")
    children = entry.get("layers", [])
    if (
        set(entry) - {"kind", "hyper", "layers"}
        or not (isinstance(hyper, dict) and isinstance(children, list))
        or list(hyper) != [name for name, _ in kinds[kind]["hyper"]]
        or bool(children) != bool(kinds[kind]["branches"])
    ):
        raise FormatError(f"the description of a layer {kind} is not right")
    children = [_layer_from_json(child, custom) for child in children]
    try:
        return Residual(children) if children else _class_of(kind)._from_hyper(hyper)
    except (TypeError, ValueError, OverflowError) as error:
        raise FormatError(f"a layer {kind} in it is not right: {error}") from None


def _class_of(kind):
    return next(layer for layer in vars(layers).values() if getattr(layer, "kind", None) == kind)


def _optimizer_from_json(entry):
    """(optimiser, updates made)."""
    if entry is None:
        return None, 0
    kind, hyper, updates = entry["kind"], entry["hyper"], entry["updates"]
    kinds = optimizers._KINDS
    if set(entry) != {"kind", "hyper", "updates"} or not isinstance(kind, str) or kind not in kinds:
        raise FormatError(f"there is no optimizer {kind!r:.40}")
    if (
        not isinstance(hyper, dict)
        or type(updates) is not int
        or not 0 <= updates < 2**62
        or list(hyper) != [name for name, _ in kinds[kind]["hyper"]]
    ):
        raise FormatError("the description of its optimizer is not right")
    try:
        return getattr(optimizers, kind)(**hyper), updates
    except (TypeError, ValueError, OverflowError) as error:
        raise FormatError(f"its optimizer is not right: {error}") from None


def _read_into(array, file, digest):
    dtype = array.dtype.newbyteorder("<")
    direct = array.flags.c_contiguous and array.dtype == dtype
    fresh = array if direct else np.empty(array.shape, dtype)
    if not fresh.size:
        return
    view = memoryview(fresh.reshape(-1)).cast("B")
    if file.readinto(view) != len(view):
        raise FormatError("it was cut short while it was read")
    digest.update(view)
    if not direct:
        array[...] = fresh
