"The plan of the house: arrows between modules point downwards, none goes round, and no room is too large to read."
import ast
import json
import re
from pathlib import Path

import pytest

root = Path(__file__).resolve().parent.parent
package = root / "cifar10_nb"
modules = sorted(p for p in package.rglob("*.py") if p.stem not in ("__init__", "__main__", "_modidx"))
floors = [["core"], ["sources", "machine", "lab.stats", "lab.corrupt"], ["data", "parts.pretrained"], ["models", "augment"], ["parts"], ["record"],
          ["train", "evaluate"], ["jobs"], ["lab"], ["cli"], ["commands"]]
notebooks = sorted(p for p in (root / "nbs").rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts)


def name_of(path): return ".".join(path.relative_to(package).with_suffix("").parts)


def floor_of(name):
    "The floor that a module stands on."
    for known in (name, name.partition(".")[0]):
        for number, rooms in enumerate(floors):
            if known in rooms: return number
    raise AssertionError(f"{name} has no floor: give it one in this test, and in CONTRIBUTING.md")


def imported_by(path):
    "Modules of the package that a module imports, inside functions too."
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.ImportFrom): continue
        base = node.module or ""
        if node.level: base = ".".join([*path.relative_to(package).parts[:-node.level], *filter(None, [base])])
        elif base.startswith("cifar10_nb"): base = base.removeprefix("cifar10_nb").strip(".")
        else: continue
        known = {name_of(m) for m in modules}
        yield from ({base} & known or {f"{base}.{a.name}".strip(".") for a in node.names} & known)


@pytest.mark.parametrize("path", modules, ids=name_of)
def test_arrows_point_downwards(path):
    name = name_of(path)
    for other in imported_by(path):
        same_room = "." in name and name.partition(".")[0] == other.partition(".")[0]
        assert floor_of(other) < floor_of(name) or (same_room and other != name), f"{name} imports {other}, which stands above or beside it"


def test_no_arrow_goes_round():
    arrows = {name_of(path): set(imported_by(path)) for path in modules}
    while free := {name for name, targets in arrows.items() if not targets & arrows.keys()}:
        arrows = {name: targets for name, targets in arrows.items() if name not in free}
    assert not arrows, f"these import each other in a circle: {sorted(arrows)}"


def test_only_commands_print():
    for path in modules:
        if name_of(path) == "commands": continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            called = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
            assert not called or any(k.arg == "file" for k in node.keywords), f"{name_of(path)}:{node.lineno} prints"


@pytest.mark.parametrize("path", modules, ids=name_of)
def test_a_module_fits_in_the_head(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    code = [line for line in lines if line.strip() and not line.startswith("# %%")]
    assert len(lines) <= 460 and len(code) <= 390, f"{name_of(path)} has {len(code)} lines of code: move an idea to a room of its own"
    assert max(map(len, lines)) <= 160
    assert sum(len(line) > 140 for line in lines) <= 3


# exported cells of more than 25 lines, by their notebook and the first name that they define, and why each is not divided
long_cells = {
    "00_data ImageSet": "each field with what it is, and what has to hold for all of them",
    "00_data __repr__": "five properties of a line each",
    "07_commands cifar10_train": "each option with its help",
    "parts/01_recipe Recipe": "each setting with what it does",
    "sources/01_download download": "each limit with what it is for, and a plan that is read in one piece",
}


def exported(path):
    "Exported cells of a notebook: its name with the first name that the cell defines (or `imports`), and the lines."
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if not (source := "".join(cell["source"])).startswith("#| export"): continue
        body = ast.parse(source).body
        name = next((node.name for node in body if isinstance(node, (ast.FunctionDef, ast.ClassDef))), "")
        if all(isinstance(node, (ast.Import, ast.ImportFrom)) for node in body): name = "imports"
        yield f"{path.relative_to(root / 'nbs').with_suffix('').as_posix()} {name}", source.splitlines()[1:]


@pytest.mark.parametrize("path", notebooks, ids=lambda p: str(p.relative_to(root / "nbs")))
def test_code_on_a_page_fits_its_column(path):
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] != "code" or re.search(r"^#\| *(hide|export|exporti|echo: false|default_exp\b.*) *$", source, re.M): continue
        for line in source.splitlines(): assert len(line) <= 100 or line.startswith("#|"), f"{len(line)} characters: {line}"


@pytest.mark.parametrize("path", notebooks, ids=lambda p: str(p.relative_to(root / "nbs")))
def test_a_notebook_is_a_walk_and_no_march(path):
    assert len(json.loads(path.read_text(encoding="utf-8"))["cells"]) <= 100
    for name, lines in exported(path):
        most = 50 if name in long_cells else 25
        assert len(lines) <= most or name.endswith(" imports"), f"{name}: an export cell of {len(lines)} lines: divide it"
        for line in lines: assert len(line) <= 120, f"{name}: a line of {len(line)} characters: {line}"
