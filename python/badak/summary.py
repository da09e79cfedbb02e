"""The table of a net's layers, as text and as HTML."""

HEAD = ("layer", "output", "parameters", "numbers", "multiply-adds", "memory")


def text(net):
    """The table in columns, and a line about the whole."""
    rows = [HEAD, ("input", str(net.input_shape), "", "", "", ""), *_rows(net)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEAD))]
    lines = [
        "  ".join(
            cell.ljust(width) if i < 3 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    lines.insert(1, "-" * len(max(lines, key=len)))
    return "\n".join([*lines, *_totals(net)])


def html(net):
    """The same as a table for notebooks."""
    from html import escape  # only notebooks need it

    def row(cells, tag):
        # spaces that show how deep a layer lies must not collapse
        return "<tr>" + "".join(f"<{tag}>{escape(c).replace('  ', '&emsp;')}</{tag}>" for c in cells) + "</tr>"

    body = "".join(row(cells, "td") for cells in _rows(net))
    totals = "<br>".join(escape(line) for line in _totals(net))
    return f"<table><thead>{row(HEAD, 'th')}</thead><tbody>{body}</tbody></table><p>{totals}</p>"


def _rows(net):
    names = list(net.params)
    for step in net._core.steps():
        first, count = step["first_param"], step["param_count"]
        outputs = 1
        for size in step["shape"]:
            outputs *= size
        yield (
            "  " * step["depth"] + step["kind"],
            str(step["shape"]),
            " ".join(f"{n}{net.params[n].shape}" for n in names[first : first + count]),
            f"{step['size']:,}",
            f"{step['macs']:,}",
            in_bytes((step["size"] + outputs) * net.dtype.itemsize),
        )


def _totals(net):
    macs = sum(step["macs"] for step in net._core.steps())
    parameters = net.size * net.dtype.itemsize
    states = 0 if net.optimizer is None else len(net.optimizer.state)
    room = net._core.activation_bytes
    return [
        f"{net.size:,} parameters ({net.dtype}), {macs:,} multiply-adds per sample, loss {net._loss_layer!r}, "
        f"optimizer {net.optimizer!r}",
        f"memory: {in_bytes(parameters)} parameters, as much gradients, {in_bytes(states * parameters)} optimizer, "
        f"{in_bytes(room)} for batches so far (each layer's row: its parameters and one sample's output)",
    ]


def in_bytes(count):
    """1234567 -> "1.23 MB"."""
    for unit in ("B", "KB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"
