"Progress bars: a widget where a notebook can show one, else text, and never a warning."
import subprocess
import sys
import warnings

import pytest

from cifar10_nb.core import progress_bar

in_a_kernel = """
import sys
if {hidden}: sys.modules["ipywidgets"] = None  # as where it is not installed
from cifar10_nb.core import progress_bar
bar = progress_bar(range(3))
for _ in bar: pass
print(type(bar).__module__)
"""


def outputs_of(code):
    "What a cell prints in a kernel, and what it writes to the error stream."
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    nbclient.NotebookClient(nb, timeout=120).execute()
    text = lambda name: "".join(o["text"] for o in nb.cells[0].outputs if o.get("name") == name)
    return text("stdout").strip(), text("stderr")


def test_a_notebook_without_widgets():
    kind, said = outputs_of(in_a_kernel.format(hidden=True))
    assert kind == "tqdm.std" and "3/3" in said and "Warning" not in said and "IProgress" not in said


def test_a_notebook_with_widgets():
    pytest.importorskip("ipywidgets")
    kind, said = outputs_of(in_a_kernel.format(hidden=False))
    assert kind.startswith("tqdm.") and "Warning" not in said


@pytest.mark.parametrize("hidden", [True, False])
def test_a_terminal(hidden):
    done = subprocess.run([sys.executable, "-W", "error", "-c", in_a_kernel.format(hidden=hidden)], text=True, capture_output=True)
    assert done.returncode == 0 and "3/3" in done.stderr and "Warning" not in done.stderr, done.stderr


def test_it_is_the_only_one():
    "No room takes tqdm's by itself, which warns where there are no widgets."
    from test_house import modules, name_of
    assert {name_of(p) for p in modules if "tqdm.auto" in p.read_text(encoding="utf-8")} <= {"core"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert list(progress_bar([1, 2], disable=True)) == [1, 2]
