"""The notebooks: they run, quickly and without a word on stderr, and what is committed is what their texts say."""

import importlib.util
import pathlib
import re
import subprocess
import sys

import nbformat
import pytest

FOLDER = pathlib.Path(__file__).parent.parent / "notebooks"
NOTEBOOKS = sorted(path for path in FOLDER.glob("*/*.ipynb") if not path.name.startswith("."))
MOST_SECONDS = 60
IMAGES = ("image/png", "image/jpeg")
MACHINE = re.compile(r"(?<![\w.:/])/(home|root|tmp|usr|var|opt|work|mnt|Users|private)/|[A-Z]:\\\\?Users")

notebooks = pytest.mark.parametrize("path", NOTEBOOKS, ids=[f"{path.parent.name}-{path.stem}" for path in NOTEBOOKS])


def load_build():
    spec = importlib.util.spec_from_file_location("notebooks_build", FOLDER / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


build = load_build()


def read(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    return notebook


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def kinds(cell):
    """What a cell shows: the sorts of its outputs, not their content. Lines of a slow loop may arrive in pieces."""
    found = [sorted(output.get("data", {output.get("name"): None})) for output in cell.outputs]
    return [kind for i, kind in enumerate(found) if i == 0 or kind != ["stdout"] or found[i - 1] != ["stdout"]]


def text_of(output):
    if output.output_type == "stream":
        return output.text
    return "\n".join(str(content) for kind, content in output.get("data", {}).items() if kind not in IMAGES)


def test_there_are_notebooks():
    assert NOTEBOOKS


@notebooks
def test_the_notebook_is_what_its_text_says(path):
    expected = build.notebook_from(path.with_suffix(".md").read_text(encoding="utf-8"))
    found = read(path)
    assert [(c.id, c.cell_type, c.source) for c in found.cells] == [
        (c.id, c.cell_type, c.source) for c in expected.cells
    ], f"run: python build.py {path.parent.name}/{path.stem}.md"


@notebooks
def test_it_is_committed_as_it_was_run(path):
    notebook = read(path)
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert outputs
    assert {output.output_type for output in outputs} <= {"stream", "display_data", "execute_result"}
    assert not [output.text for output in outputs if output.get("name") == "stderr"]


@notebooks
def test_it_holds_nothing_of_a_machine(path):
    notebook = read(path)
    assert notebook.metadata == build.METADATA
    assert not [cell.id for cell in notebook.cells if cell.metadata]
    texts = [cell.source for cell in notebook.cells]
    texts += [text_of(output) for cell in code_cells(notebook) for output in cell.outputs]
    for text in texts:
        assert not MACHINE.search(text)


@pytest.fixture(scope="session")
def fonts_found():
    """Matplotlib looks for fonts when it is first used, and says so on stderr."""
    subprocess.run([sys.executable, "-c", "import matplotlib.font_manager"], check=True, capture_output=True)


@pytest.mark.notebook
@notebooks
def test_it_runs(path, tmp_path, monkeypatch, fonts_found):
    settings, empty = tmp_path / "settings", tmp_path / "empty"
    empty.mkdir()
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(settings / name.lower()))
    committed, notebook = read(path), read(path)
    for cell in code_cells(notebook):
        cell.outputs, cell.execution_count = [], None
    solutions = [nbformat.v4.new_code_cell(code) for code in build.solutions(notebook)]

    clock = nbformat.v4.new_code_cell("import time\nprint(time.process_time())")
    whole = nbformat.v4.new_notebook(cells=[*notebook.cells, *solutions, clock], metadata=build.METADATA)
    seconds = build.execute(whole, empty)
    seconds_of_processor = float(clock.outputs[0].text)

    said = [output.text for cell in code_cells(whole) for output in cell.outputs if output.get("name") == "stderr"]
    assert not said
    assert not list(empty.iterdir())
    again = code_cells(whole)[: len(code_cells(committed))]
    assert [(c.id, kinds(c)) for c in again] == [(c.id, kinds(c)) for c in code_cells(committed)]
    assert min(seconds, seconds_of_processor) < MOST_SECONDS  # whatever else the machine is doing


@pytest.mark.parametrize("language", build.COLUMNS)
def test_the_index_has_every_chapter_with_its_sections(language):
    folder = FOLDER / language
    text = (folder / "index.md").read_text(encoding="utf-8")
    chapters = {path.stem for path in folder.glob("ch*.md")}
    assert set(re.findall(r"^\| \[\d\]\((ch\d\d)\.ipynb\)", text, re.MULTILINE)) == chapters
    assert {f"({name}.ipynb)" for name in chapters} == set(re.findall(r"^### \[.*\](.*)$", text, re.MULTILINE))
    assert build.with_tables(text, folder) == text, f"run: python build.py {language}/index.md"


def test_contents_are_sections_with_their_code_cells():
    code = "```python\n1\n```\n"
    text = f"# 4. Title\n\n{code}\n## 4.1 One\n\n### 4.1.1 Two\n\n{code * 3}\n## Ours\n\n{code}\n## Exercises\n{code}"
    assert build.contents(text) == [("4.1", "One", []), ("4.1.1", "Two", [2, 4]), ("", "Ours", [5])]


def test_a_cell_that_fails_fails(tmp_path):
    """The test of the test: an assertion that does not hold is an error."""
    notebook = build.notebook_from("# Title\n\n```python\nassert 1 == 2\n```\n")
    with pytest.raises(Exception, match="AssertionError"):
        build.execute(notebook, tmp_path)
