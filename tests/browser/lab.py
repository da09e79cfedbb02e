"""Notebooks of the installed package, opened and run in a real JupyterLab in a real browser: ``make browser``.

Needs Chromium with its driver (Debian: chromium, chromium-driver). Screenshots go to the folder that the environment
variable BADAK_SCREENSHOTS names, or to pytest's temporary one.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.common.exceptions import JavascriptException, WebDriverException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

PATIENCE = 600  # seconds for a notebook; the machine may have much else to do
TOKEN = "floor"
SETTINGS = {
    # every cell in the page, not only those in view
    "@jupyterlab/notebook-extension/tracker.jupyterlab-settings": {"windowingMode": "none"},
    "@jupyterlab/apputils-extension/notification.jupyterlab-settings": {"fetchNews": "false", "checkForUpdates": False},
}
TRAINING = """
net = bd.Net([bd.Affine(units=50), bd.Relu(), bd.Affine(units=10)],
             loss=bd.SoftmaxWithLoss(), input_shape=(784,), seed=1)
(x_all, t_all), _ = bd.load_mnist()
net.fit(x_all, t_all, epochs=10_000)
"""


def wait_for(what, seconds=PATIENCE, every=0.2):
    """What `what()` gives, once it is true."""
    end = time.monotonic() + seconds
    while True:
        found = what()
        if found:
            return found
        if time.monotonic() > end:
            pytest.fail(f"{what.__doc__ or what.__name__}: not within {seconds} seconds")
        time.sleep(every)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The address of a JupyterLab that serves `badak notebooks` from an empty folder."""
    home, folder = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("mybook")
    settings = home / "settings"
    for name, values in SETTINGS.items():
        path = settings / name
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(values))
    subprocess.run([sys.executable, "-m", "badak", "notebooks", str(folder), "--lang", "en"], check=True)
    environment = os.environ | {
        "HOME": str(home),
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(settings),
        "JUPYTER_PLATFORM_DIRS": "1",
    }
    environment.pop("MPLBACKEND", None)
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    options = ["--no-browser", f"--port={port}", f"--IdentityProvider.token={TOKEN}", "--expose-app-in-browser"]
    with open(home / "log", "w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *options, "--allow-root"],
            cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip

        def serves():
            """JupyterLab serves"""
            assert server.poll() is None, (home / "log").read_text()
            try:
                return urllib.request.urlopen(f"{url}api?token={TOKEN}", timeout=PATIENCE).read()
            except OSError:
                return None

        try:
            wait_for(serves)
            yield url
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(30)


@pytest.fixture(scope="module")
def browser():
    paths = shutil.which("chromium") or shutil.which("chromium-browser"), shutil.which("chromedriver")
    assert all(paths), "this needs Chromium and its driver: apt-get install chromium chromium-driver"
    options = Options()
    options.binary_location = paths[0]
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1300,1000"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service(paths[1]))
    driver.set_script_timeout(PATIENCE)
    yield driver
    driver.quit()


class Notebook:
    """A notebook in the browser, steered through JupyterLab's own commands, seen through the page."""

    def __init__(self, browser, url, name):
        self.browser = browser
        browser.get(f"{url}lab/tree/{name}?token={TOKEN}&reset")

        def is_open():
            """the notebook is open and its kernel waits"""
            return self.script(
                "const panel = jupyterapp.shell.currentWidget;"
                f"return panel && panel.context && panel.context.path == '{name}' && panel.context.isReady"
                " && panel.sessionContext.session && panel.sessionContext.session.kernel.status == 'idle'"
            )

        wait_for(is_open)

    def script(self, text):
        """What JavaScript returns; None while the page is not that far."""
        try:
            return self.browser.execute_script(text)
        except (JavascriptException, WebDriverException):
            return None

    def command(self, name):
        self.browser.execute_script(f"jupyterapp.commands.execute('{name}')")

    def run_all(self):
        self.command("notebook:run-all-cells")

        def has_run():
            """all cells have run"""
            return self.script(
                "const cells = jupyterapp.shell.currentWidget.content.widgets.filter(c => c.model.type == 'code');"
                "return cells.every(c => c.model.executionCount > 0) && "
                "jupyterapp.shell.currentWidget.sessionContext.session.kernel.status == 'idle'"
            )

        wait_for(has_run)

    def add_and_run(self, code):
        """Run code in a new last cell, without waiting for its end."""
        count_cells = "return jupyterapp.shell.currentWidget.content.widgets.length"
        count = self.script(count_cells)
        self.browser.execute_script(
            "const notebook = jupyterapp.shell.currentWidget.content;"
            "notebook.activeCellIndex = notebook.widgets.length - 1;"
        )
        self.command("notebook:insert-cell-below")
        wait_for(lambda: self.script(count_cells) > count)
        self.browser.execute_script(
            "jupyterapp.shell.currentWidget.content.activeCell.model.sharedModel.setSource(arguments[0]);", code
        )
        self.command("notebook:run-cell")

    def last_output(self):
        """What is to be read below the last cell."""
        return self.script(
            "const all = document.querySelectorAll('.jp-Notebook .jp-CodeCell');"
            "const area = all[all.length - 1].querySelector('.jp-Cell-outputArea');"
            "return area ? area.innerText : ''"
        ) or ""  # fmt: skip

    def last_bar(self):
        """How far the progress bar below the last cell is."""
        return self.script(
            "const all = document.querySelectorAll('.jp-Notebook .jp-CodeCell');"
            "const bar = all[all.length - 1].querySelector('progress');"
            "return bar ? bar.value : null"
        )

    def seen(self, selector):
        """How many such elements of outputs have a size on the page."""
        return self.script(
            "return Array.from(document.querySelectorAll('.jp-Cell-outputArea ' + arguments[0]))"
            ".filter(e => e.getBoundingClientRect().width > 20).length".replace("arguments[0]", json.dumps(selector))
        )

    def errors(self):
        return self.script(
            'return Array.from(document.querySelectorAll(\'.jp-OutputArea-output[data-mime-type$="stderr"],'
            ' .jp-OutputArea-output[data-mime-type$="error"]\')).map(e => e.innerText.slice(0, 500))'
        )

    def show_end(self):
        """Scroll to the end of the last output."""
        self.script("Array.from(document.querySelectorAll('.jp-Notebook .jp-Cell')).pop().scrollIntoView(false)")
        time.sleep(1)

    def show(self, selector):
        """Scroll to the first such element of an output."""
        self.script(
            "const found = document.querySelector('.jp-Cell-outputArea ' + "
            f"{json.dumps(selector)}); if (found) found.scrollIntoView({{block: 'center'}})"
        )
        time.sleep(1)


@pytest.fixture
def shot(browser, tmp_path):
    folder = Path(os.environ.get("BADAK_SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)

    def take(name):
        path = folder / f"lab_{name}.png"
        browser.save_screenshot(str(path))
        assert path.stat().st_size > 20_000
        print(path)

    return take


@pytest.mark.parametrize("chapter", ["ch05", "ch07"])
def test_a_chapter_runs_and_is_seen(chapter, lab, browser, shot):
    notebook = Notebook(browser, lab, f"{chapter}.ipynb")
    notebook.run_all()
    assert notebook.errors() == []
    assert notebook.seen("table") >= 1
    assert notebook.seen("img") >= 3
    notebook.show("table")
    shot(f"{chapter}_table")
    notebook.show("img")
    shot(f"{chapter}_figure")


def test_a_training_is_interrupted_and_goes_on(lab, browser, shot):
    notebook = Notebook(browser, lab, "ch05.ipynb")
    notebook.add_and_run("import badak as bd" + TRAINING)
    first = wait_for(notebook.last_bar)
    wait_for(lambda: notebook.last_bar() > first)
    notebook.show_end()
    shot("training")
    began = time.monotonic()
    notebook.command("notebook:interrupt-kernel")
    wait_for(lambda: "KeyboardInterrupt" in notebook.last_output())
    assert time.monotonic() - began < 20
    notebook.add_and_run("net.fit(x_all, t_all, epochs=1)\nprint('accuracy', net.accuracy(x_all, t_all))")
    said = wait_for(lambda: re.search(r"accuracy (0\.\d+)\s*$", notebook.last_output()))
    assert float(said[1]) > 0.9
    notebook.show_end()
    shot("after_interrupt")
