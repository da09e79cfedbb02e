"""One line that says how far a training is: redrawn in a terminal or notebook, a line now and then in a log."""

import sys
import time

REDRAW_SECONDS = 0.1
LOG_LINES = 10  # at most so many lines of a fit where lines cannot be redrawn


class Progress:
    """The progress line of a ``fit`` over `epochs` epochs of `samples` samples."""

    def __init__(self, epochs, samples, classifies):
        self.epochs = epochs
        self.samples = samples
        self.classifies = classifies
        self.start = time.perf_counter()
        self.drawn = 0.0
        self.parts = []
        self.display = _notebook_display()
        self.live = self.display is not None or sys.stdout.isatty()
        self.log_every = -(-epochs // LOG_LINES) if epochs else 1

    def update(self, epoch, done, loss, accuracy):
        """Show epoch `epoch`, of which `done` samples are trained on."""
        now = time.perf_counter()
        seen = (epoch - 1) * self.samples + done
        rate = seen / max(now - self.start, 1e-9)
        left = (self.epochs * self.samples - seen) / rate
        self.parts = [f"epoch {epoch}/{self.epochs} {done / self.samples:4.0%}", f"loss {loss:.4f}"]
        if self.classifies:
            self.parts.append(f"accuracy {accuracy:.4f}")
        self.parts += [f"{_rate(rate)} samples/s", f"{_clock(left)} left"]
        if self.live and now - self.drawn >= REDRAW_SECONDS:
            self.drawn = now
            self._draw(seen / (self.epochs * self.samples))

    def epoch_done(self, history):
        """The end of an epoch: its validation figures join the line."""
        if history.val_accuracy:
            self.parts.append(f"validation accuracy {history.val_accuracy[-1]:.4f}")
        elif history.val_loss:
            self.parts.append(f"validation loss {history.val_loss[-1]:.4f}")
        epoch = history.epoch[-1]
        if self.live:
            self._draw(epoch / self.epochs)
        elif epoch % self.log_every == 0 or epoch == self.epochs:
            print("  ".join(self.parts), flush=True)

    def close(self):
        """Leave the last line standing."""
        if self.live and self.display is None and self.parts:
            print(flush=True)

    def _draw(self, share):
        if self.display is None:
            import shutil  # costs an import of badak milliseconds, and only a terminal needs it

            print(f"\r{self._fitted(share, shutil.get_terminal_size().columns - 1)}\x1b[K", end="", flush=True)
        else:
            self.display("  ".join(self.parts), share)

    def _fitted(self, share, width):
        """A bar and the line; without the bar, the speed and the time, in this order, where they are too long."""
        bar = ("#" * round(share * 20)).ljust(20, ".")
        shorter = [part for part in self.parts if not part.endswith("samples/s")]
        shortest = [part for part in shorter if not part.endswith("left")]
        for line in (f"[{bar}] " + "  ".join(self.parts), *map("  ".join, (self.parts, shorter, shortest))):
            if len(line) <= width:
                break
        return line[:width]  # what is wider than a terminal cannot be redrawn there


def _rate(rate):
    return f"{rate / 1000:.0f}k" if rate >= 10_000 else f"{rate:.0f}"


def _clock(seconds):
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes}:{seconds:02d}"


def _notebook_display():
    """A function that draws a bar in the running notebook, or None outside of one. Nothing is imported for this."""
    kernel = sys.modules.get("ipykernel")
    shell = sys.modules.get("IPython")
    shell = shell and shell.get_ipython()
    if kernel is None or shell is None or not hasattr(shell, "kernel"):
        return None
    display, html = sys.modules["IPython"].display.display, sys.modules["IPython"].display.HTML
    handle = None

    def draw(line, share):
        nonlocal handle
        bar = html(f'<progress value="{share:.4f}" max="1" style="width:16em"></progress> <code>{line}</code>')
        if handle is None:
            handle = display(bar, display_id=True)
        else:
            handle.update(bar)

    return draw
