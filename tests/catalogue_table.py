"""Runs every test that stands for a number of the catalogue and prints the table: python catalogue_table.py [FILE].

With FILE, a Markdown document, the table there is replaced too. Exit code 1 if a number has a test that fails, or none
and no decision.
"""

import collections
import pathlib
import sys

import pytest
from catalogue import coverage, written

BEGIN, END = "<!-- table: make catalogue -->\n", "<!-- end of table -->\n"


class Tally:
    """A pytest plugin that counts what becomes of the tests of each number."""

    def __init__(self):
        self.run, self.passed, self.skipped = (collections.Counter() for _ in range(3))
        self.failed, self.tests, self.skips = [], 0, 0

    def pytest_collection_modifyitems(self, items):
        items[:] = [item for item in items if coverage.numbers_of(item.nodeid)]

    def pytest_runtest_logreport(self, report):
        if report.when == "call" or (report.when == "setup" and not report.passed):
            self.tests += 1
            self.skips += report.skipped
            numbers = coverage.numbers_of(report.nodeid)
            self.run.update(numbers)
            {"passed": self.passed, "skipped": self.skipped}.get(report.outcome, collections.Counter()).update(numbers)
            if report.failed:
                self.failed.append(report.nodeid)


def table(tally):
    """Markdown: the totals, and a line for each number."""
    open_ = [n for n in written.ROWS if not tally.run[n] and n not in written.DECISIONS]
    passed = [n for n in written.ROWS if tally.run[n] and tally.run[n] == tally.passed[n] + tally.skipped[n]]
    outside = [n for n in written.DECISIONS if not tally.run[n]]
    lines = [
        f"{len(written.ROWS)} numbers: {len(passed)} tested and passed, {len(outside)} outside by decision, "
        f"{len(tally.failed)} tests failed, {len(open_)} numbers open. {tally.tests} tests stand for a number "
        f"({tally.skips} skipped here).\n",
        "| number | what | tests | passed | decision |",
        "|---|---|---:|---:|---|",
    ]
    for number, what in written.ROWS.items():
        counts = f"{tally.run[number] or '-'} | {tally.passed[number] if tally.run[number] else '-'}"
        lines.append(f"| {number} | {what} | {counts} | {written.DECISIONS.get(number, '')} |")
    return "\n".join(lines) + "\n", not (tally.failed or open_)


def main(paths):
    tally = Tally()
    here = pathlib.Path(__file__).parent
    files = sorted({name.partition("::")[0] for name in coverage.tests_elsewhere()} | {"test_catalogue.py"})
    imported = "ignore:Module already imported:pytest.PytestAssertRewriteWarning"  # badak, by the catalogue
    options = ["-q", "-p", "no:cacheprovider", "-W", imported]
    code = pytest.main([*options, *(str(here / name) for name in files)], plugins=[tally])
    text, complete = table(tally)
    print(text)
    for path in map(pathlib.Path, paths):
        before, rest = path.read_text(encoding="utf-8").split(BEGIN)
        path.write_text(before + BEGIN + text + END + rest.split(END)[1], encoding="utf-8")
    return int(code) or int(not complete)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
