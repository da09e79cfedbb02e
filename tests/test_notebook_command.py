"""``badak notebooks``: what it writes, and what it does not overwrite."""

import json

import pytest

from badak import _notebook
from badak.__main__ import main
from badak._texts import folder


def chapters(language):
    return sorted(path.stem for path in (folder("notebooks") / language).glob("*.md"))


@pytest.mark.parametrize("language", _notebook.LANGUAGES)
def test_it_writes_the_notebooks_and_says_which(language, tmp_path, capsys):
    target = tmp_path / "my" / "book"
    assert main(["notebooks", str(target), "--lang", language]) == 0
    said = capsys.readouterr()
    files = sorted(target.iterdir())
    assert [file.stem for file in files] == chapters(language)
    assert said.out.splitlines()[:-1] == [str(file) for file in files]
    assert str(target) in said.out.splitlines()[-1]
    assert said.err == ""
    for file in files:
        notebook = json.loads(file.read_text(encoding="utf-8"))
        assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
        code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
        assert code and not any(cell["outputs"] for cell in code)
        assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])


def test_they_are_notebooks(tmp_path):
    nbformat = pytest.importorskip("nbformat")
    for file in _notebook.unpack(tmp_path, "en"):
        nbformat.validate(nbformat.read(file, as_version=4))


def test_nothing_is_overwritten_unless_forced(tmp_path, capsys):
    first, *others = _notebook.unpack(tmp_path, "en")
    first.write_text("my own work")
    for file in others:
        file.unlink()
    assert main(["notebooks", str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert str(first) in said.err and "--force" in said.err
    assert said.out == ""
    assert list(tmp_path.iterdir()) == [first] and first.read_text() == "my own work"

    assert main(["notebooks", str(tmp_path), "--force"]) == 0
    assert first.read_text() != "my own work"
    assert len(list(tmp_path.iterdir())) == 1 + len(others)


def test_other_files_stay(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    _notebook.unpack(tmp_path, "en", force=True)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_file_is_no_folder(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["notebooks", str(tmp_path / "file")]) == 1
    assert "badak notebooks: " in capsys.readouterr().err


def test_a_language_that_is_not_there(tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["notebooks", str(tmp_path), "--lang", "fr"])
    assert stopped.value.code == 2
    assert "fr" in capsys.readouterr().err


def test_both_languages_have_the_same_chapters_and_the_same_code():
    english, korean = chapters("en"), chapters("ko")
    assert set(korean) <= set(english)
    for name in korean:
        texts = [(folder("notebooks") / language / f"{name}.md").read_text("utf-8") for language in ("en", "ko")]
        for pattern in (_notebook.CODE, _notebook.SOLUTION):
            first, second = (pattern.findall(text) for text in texts)
            assert first == second, name
