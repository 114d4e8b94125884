"The link to Colab and the installer that tools/colab.py puts into notebooks."
import importlib.util
import json
import sys
from pathlib import Path

import pytest
from IPython.core.inputtransformer2 import TransformerManager

path = Path(__file__).parent.parent / "tools/colab.py"
spec = importlib.util.spec_from_file_location("colab", path)
colab = importlib.util.module_from_spec(spec)
spec.loader.exec_module(colab)


@pytest.fixture
def notebook(tmp_path, monkeypatch):
    "A notebook with front matter, a title and some text, in a repository of its own."
    monkeypatch.setattr(colab, "root", tmp_path)
    (tmp_path / "settings.ini").write_text("[DEFAULT]\nuser = me\nrepo = it\nbranch = main\ngit_url = https://code.org/me/it\n")
    path = tmp_path / "nbs/a.ipynb"
    path.parent.mkdir()
    cell = lambda kind, source: dict(cell_type=kind, id=kind + source[:2].strip(), metadata={}, source=[source])
    cells = [cell("raw", "---\nlang: ko\n---"), cell("markdown", "# Title\n\n> words"), cell("markdown", "Text")]
    path.write_text(json.dumps(dict(cells=cells, metadata={}, nbformat=4, nbformat_minor=5)))
    return path


def test_both_stand_after_the_title_once(notebook):
    once = colab.with_cells(notebook)
    cells = json.loads(once)["cells"]
    assert [c["cell_type"] for c in cells] == ["raw", "markdown", "markdown", "code", "markdown"]
    assert 'href="https://colab.research.google.com/github/me/it/blob/main/nbs/a.ipynb"' in cells[2]["source"][0]
    notebook.write_text(once)
    assert colab.with_cells(notebook) == once


@pytest.mark.parametrize("missing", [False, True])
def test_it_installs_only_what_is_missing(notebook, monkeypatch, missing):
    source, asked = "".join(colab.cells(notebook)[1]["source"]), []
    shell = type("Shell", (), dict(run_line_magic=lambda self, *line: asked.append(line)))()
    if missing: monkeypatch.setitem(sys.modules, "cifar10_nb", None)
    exec(TransformerManager().transform_cell(source), dict(get_ipython=lambda: shell))
    assert asked == ([("pip", "install -q git+https://code.org/me/it")] if missing else [])
    with pytest.raises(SyntaxError): compile(source, "cell", "exec")  # so nbdev takes it for no cell of imports
