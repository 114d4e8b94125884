"Lessons: the glossary holds what pages link to, pictures have alt texts and fit, solutions answer exercises."
import base64
import json
import re
import struct
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from cifar10_nb import data as D
from cifar10_nb.core import InputError

nbs = Path(__file__).resolve().parent.parent / "nbs"
notebooks = sorted(p for p in nbs.rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts)
lessons = nbs / "00_data.ipynb", nbs / "01_models.ipynb"


def cells(path, kind):
    "Sources of a notebook's cells of one kind."
    return ["".join(c["source"]) for c in json.loads(path.read_text("utf-8"))["cells"] if c["cell_type"] == kind]


def anchors(text):
    "The anchors that Quarto gives a page's headings."
    titles = re.findall(r"^#+ (.+)$", text, re.M)
    return [re.sub(r"[^a-z0-9-]", "", title.lower().replace(" ", "-")) for title in titles]


def test_the_glossary_holds_what_pages_link_to():
    text = "\n\n".join(cells(nbs / "glossary.ipynb", "markdown"))
    known = anchors(text)
    assert len(known) == len(set(known))
    for path in notebooks:
        for term in re.findall(r"glossary\.ipynb#([\w-]+)", "\n".join(cells(path, "markdown"))):
            assert term in known, f"{path.name} links to {term}"
    for term in re.findall(r"\]\(#([\w-]+)\)", text): assert term in known
    for section in text.split("\n### ")[1:]:
        name, body = section.split("\n", 1)
        pages = re.findall(r"\]\(([\w/]+\.ipynb)\)", body.split("\n## ")[0])
        assert pages and all((nbs / page).exists() for page in pages), f"{name} leads nowhere"


@pytest.mark.parametrize("path", lessons, ids=lambda p: p.stem)
def test_pictures_have_alt_texts_and_fit(path):
    widest = dict(zip(lessons, (660, 400)))[path]
    for cell in json.loads(path.read_text("utf-8"))["cells"]:
        for output in cell.get("outputs", ()):
            if not (png := output.get("data", {}).get("image/png")): continue
            source = "".join(cell["source"])
            assert re.match(r"#\| fig-alt: \"[^\"]{20,}\"\n", source), source
            width, _ = struct.unpack(">II", base64.b64decode("".join(png))[16:24])
            assert width <= widest, f"{width} px: {source}"


with_exercises = [p for p in notebooks if "## Exercises" in "\n".join(cells(p, "markdown"))]


@pytest.mark.parametrize("path", with_exercises, ids=lambda p: str(p.relative_to(nbs)))
def test_every_exercise_has_a_hint_and_a_solution(path):
    text = "\n\n".join(cells(path, "markdown"))
    exercises = re.search(r"^## Exercises\n(.*?)(?:^## |\Z)", text, re.M | re.S)[1]
    numbers = re.findall(r"^(\d)\. ", exercises, re.M)
    fewest = 1 if "sources" in path.parts or "figures" in path.name else 3  # how files are read is not the subject
    assert fewest <= len(numbers) <= 5 and exercises.count("<summary>Hint") == len(numbers)
    in_code = re.findall(r'^#\| code-summary: "Solution (\d)', "\n".join(cells(path, "code")), re.M)
    assert sorted(in_code + re.findall(r"<summary>Solution (\d)<", text)) == numbers


@pytest.mark.parametrize("path", notebooks, ids=lambda p: str(p.relative_to(nbs)))
def test_what_quarto_would_show_otherwise(path):
    "Faults that were seen in its pages only: nbdev links a name in backticks, within a link too; a class `solution` is one of theorems."
    text = re.sub(r"```.*?```", "", "\n\n".join(cells(path, "markdown")), flags=re.S)
    assert not re.findall(r"\[`[^`\]]+`\]\([^)]+\.ipynb", text)
    assert not {*re.findall(r'<a id="([^"]+)"', text)} & {*anchors(text)}  # two places of the same name
    assert not re.search(r"\d\^\d", text)
    for source in cells(path, "code"):
        folded = re.search(r'^#\| code-summary: "Solution', source, re.M)
        assert re.findall(r"^#\| classes: (.+)$", source, re.M) == (["answer"] if folded else [])  # what it prints is folded too


def test_stored_pictures_are_drawn():
    nb = json.loads((nbs / "00_data.ipynb").read_text("utf-8"))
    said = ["".join(o.get("text", "")) for c in nb["cells"] if "open_local()" in "".join(c["source"]) for o in c.get("outputs", ())]
    assert "5,000 images, drawn" in "".join(said)


# -- images that are on this machine already

@pytest.fixture(autouse=True)
def nothing_here(tmp_path, monkeypatch):
    "An empty cache, and a download that would be noticed."
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("CIFAR10_NB_DATA", raising=False)
    monkeypatch.setattr(D, "fetch_archive", lambda *args, **kwargs: pytest.fail("a download"))


def test_open_local_draws_where_nothing_is(capsys):
    train, test = D.open_local()
    assert (train.source, len(train), len(test)) == ("drawn", 5000, 1000)
    assert capsys.readouterr() == ("", "")


def test_open_local_finds_what_is_cached(monkeypatch):
    part = torch.zeros(2, 3, 32, 32, dtype=torch.uint8), torch.tensor([0, 1]), ["a", "b"]
    monkeypatch.setattr(D, "open_archive", lambda root, dataset: (part, part))
    assert [(s.source, len(s)) for s in D.open_local()] == [("cifar10", 2)] * 2


def test_open_local_asks_the_named_folder_first(tmp_path, monkeypatch):
    for name in ("train/a/1", "train/b/2", "test/a/3", "test/b/4"):
        (tmp_path / "mine" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32), "red").save(tmp_path / "mine" / f"{name}.png")
    monkeypatch.setenv("CIFAR10_NB_DATA", str(tmp_path / "mine"))
    assert [s.source for s in D.open_local()] == ["folder:mine"] * 2
    monkeypatch.setenv("CIFAR10_NB_DATA", str(tmp_path / "other"))
    with pytest.raises(InputError, match="CIFAR10_NB_DATA: .*no such folder"): D.open_local()


def test_bfloat16_convolutions_are_right():
    "PyTorch 2.5.1 computed 2x2 convolutions in bfloat16 wrongly on some CPUs. Where this fails, trust no run in bfloat16."
    torch.manual_seed(0)
    x, w = torch.randn(2, 24, 16, 16), torch.randn(24, 24, 2, 2) / 10
    right, half = F.conv2d(x, w), F.conv2d(x.bfloat16(), w.bfloat16()).float()
    assert (right - half).abs().max() < 0.05 * right.abs().max()


def test_a_cell_that_only_the_site_needs_does_no_harm_in_jupyter():
    "`show_doc` cells are not run by the tests, but by a reader who runs all cells: what they name is defined above."
    for path in notebooks:
        known, asked = set(), set()
        for source in cells(path, "code"):
            asked |= set(re.findall(r"^show_doc\((\w+)\)", source, re.M)) - known
            known |= set(re.findall(r"^ *(?:def|class) (\w+)", source, re.M))
        assert not asked, f"{path.name}: not defined above: {', '.join(asked)}"
