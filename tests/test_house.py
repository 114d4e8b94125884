"The plan of the house: arrows between modules point downwards, none goes round, and no room is too large to read."
import ast
import json
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
    assert len(lines) <= 460, f"{name_of(path)} has {len(lines)} lines: move an idea to a room of its own"
    assert max(map(len, lines)) <= 160
    assert sum(len(line) > 140 for line in lines) <= 3


@pytest.mark.parametrize("path", notebooks, ids=lambda p: str(p.relative_to(root / "nbs")))
def test_a_notebook_is_a_walk_and_no_march(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    assert len(cells) <= 100
    exports = ["".join(c["source"]) for c in cells if "".join(c["source"]).startswith("#| export")]
    longest = max((len(e.splitlines()) - 1 for e in exports), default=0)
    assert longest <= 48, f"an export cell of {longest} lines"
