"""A picture in SVG that a notebook shows and ``save`` writes; the few shapes that computational graphs need."""

import os
from html import escape

# Each has a contrast above 4 with white and with the dark grey of dark themes: the background is left transparent.
INK, VALUE, GRADIENT = "#767676", "#0e7dc2", "#cc5a00"
CHARACTER = 8.0  # the width of one, in pixels, of the 14 pixel font
SMALL = 6.6  # and of the 11.5 pixel font
BOX = 17  # half the height of a box


class Svg:
    """A picture: a notebook shows it, ``save(path)`` writes it, ``str`` is its text.

    Attributes
    ----------
    width, height : int
        In pixels.
    """

    def __init__(self, width, height, body, title):
        self.width = round(width)
        self.height = round(height)
        self._text = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width}" height="{self.height}" '
            f'viewBox="0 0 {self.width} {self.height}" font-family="Helvetica, Arial, sans-serif" font-size="14">'
            f"<title>{escape(title)}</title>{body}</svg>"
        )

    def _repr_svg_(self):
        return self._text

    def __str__(self):
        return self._text

    def __repr__(self):
        return f"<picture of {self.width} x {self.height} pixels: a notebook shows it, save(path) writes it>"

    def save(self, path):
        """Write the picture to a file whose name ends in .svg.

        Raises
        ------
        ValueError
            Another ending: what else can be written needs a converter.
        """
        if not os.fspath(path).lower().endswith(".svg"):
            raise ValueError(f"the name must end in .svg, got {os.fspath(path)!r}")
        with open(path, "w", encoding="utf-8") as file:
            file.write(self._text)


def number(value):
    """A number as short as it can be read."""
    return f"{float(value):.4g}"


def width_of(text, character=CHARACTER):
    """About how wide a text is, in pixels."""
    return character * len(text)


def write(x, y, text, color=INK, anchor="middle", size=None):
    """A text whose baseline is at y."""
    size = f' font-size="{size}"' if size else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{color}" text-anchor="{anchor}"{size}>{escape(text)}</text>'


def box(x, y, label, half, small=""):
    """A rounded box around (x, y). + - * / are drawn as strokes, so that no font matters."""
    body = (
        f'<rect x="{x - half:.1f}" y="{y - BOX}" width="{2 * half:.1f}" height="{2 * BOX}" rx="{BOX}" '
        f'fill="{INK}" fill-opacity="0.12" stroke="{INK}"/>'
    )
    if label in SIGNS:
        return body + f'<path d="{SIGNS[label]}" transform="translate({x:.1f} {y:.1f})" {STROKE} stroke-width="2"/>'
    body += write(x, y + 5, label)
    return body + (write(x, y + BOX + 14, small, size=11.5) if small else "")


STROKE = f'fill="none" stroke="{INK}"'
SIGNS = {"+": "M-7 0H7M0-7V7", "-": "M-7 0H7", "*": "M-5.5-5.5L5.5 5.5M-5.5 5.5L5.5-5.5", "/": "M-4 7L4-7"}


def arrow(points, color=INK):
    """A line through points, with a head at its end."""
    (x0, y0), (x1, y1) = points[-2:]
    length = ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5 or 1.0
    dx, dy = (x1 - x0) / length, (y1 - y0) / length
    line = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    left, right = (x1 - 8 * dx - 4 * dy, y1 - 8 * dy + 4 * dx), (x1 - 8 * dx + 4 * dy, y1 - 8 * dy - 4 * dx)
    head = f"M{x1:.1f} {y1:.1f}L{left[0]:.1f} {left[1]:.1f}L{right[0]:.1f} {right[1]:.1f}z"
    return f'<path d="{line}" fill="none" stroke="{color}"/><path d="{head}" fill="{color}"/>'


def edge_labels(left, right, y, value, gradient):
    """The value above a stretch of an edge, and below it the gradient with an arrow back."""
    middle = (left + right) / 2
    text = write(middle, y - 7, value, VALUE) if value is not None else ""
    if gradient is not None:
        text += arrow([(right, y + 6), (left, y + 6)], GRADIENT) + write(middle, y + 23, gradient, GRADIENT)
    return text
