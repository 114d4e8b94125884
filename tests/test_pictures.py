"Scoring a network on somebody's own pictures: a few classes, with or without test/, and everything that may lie beside them."
import json
import shutil
from pathlib import Path

import pytest
import torch
from folders import write_images
from PIL import Image
from test_bad_input import ask

from cifar10_nb.core import InputError
from cifar10_nb.data import ImageSet, cifar10_classes, drawn, open_pictures, open_test
from cifar10_nb.evaluate import evaluate, mistakes
from cifar10_nb.record.run import load_model, shipped_weights
from cifar10_nb.lab.stats import wilson
from cifar10_nb.parts.recipe import get_recipe
from cifar10_nb.parts.score import predict_logits
from cifar10_nb.train import Trainer


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    "images/test with three pictures of each class, the weights of the package, and a network of two classes in `two`."
    root = tmp_path_factory.mktemp("pictures")
    with pytest.MonkeyPatch.context() as m:
        m.setenv("XDG_CACHE_HOME", str(root / "cache"))
        m.delenv("CIFAR10_NB_DATA", raising=False)
        write_images(root / "images", 10, 30)
        shutil.copy(shipped_weights(), root / "ten.safetensors")
        images, _ = drawn(100, 10)
        some = (images.y < 2).nonzero()[:, 0]
        two = ImageSet(images.x[some], images.y[some], ["sky", "road"], "drawn")
        Trainer(get_recipe("small", epochs=1, batch_size=10), two, None, 0, "cpu").fit().save(root / "two")
        yield root


def own(here, folder, **classes):
    "A folder with the pictures of some classes: name of the sub-folder -> class that the pictures are taken from."
    for name, c in classes.items(): shutil.copytree(here / "images/test" / c, folder / name, dirs_exist_ok=True)
    return folder


def scored(here, capsys, data, *args, weights="ten.safetensors"):
    "Exit code, stdout and stderr of cifar10_evaluate."
    return ask("evaluate", weights, "--data", data, "--device", "cpu", *args, capsys=capsys, folder=here)[:3]


def said(*args, **kwargs):
    "What cifar10_evaluate prints with --json."
    code, out, err = scored(*args, "--json", **kwargs)
    assert code == 0, err
    return json.loads(out)


@pytest.mark.parametrize("place, classes, seen", [
    ("", dict(cat="cat", dog="dog"), ["cat", "dog"]),
    ("test", dict(cat="cat", dog="dog"), ["cat", "dog"]),
    ("", dict(frog="frog"), ["frog"]),
    ("", dict(Cat="cat", DOG="dog"), ["cat", "dog"]),
    ("", dict(Cat="cat", cat="dog"), ["cat"]),
    ("test", {c: c for c in cifar10_classes}, cifar10_classes),
], ids=["flat", "test/", "one class", "capitals", "two folders of a class", "all classes"])
def test_what_counts_as_pictures(here, tmp_path, capsys, place, classes, seen):
    own(here, tmp_path / "photos" / place, **classes)
    found, n = said(here, capsys, tmp_path / "photos"), 3 * len(classes)
    assert (found["n"], found["source"], list(found["classes"])) == (n, "folder:photos", seen)
    assert sum(c["n"] for c in found["classes"].values()) == n
    assert {k for k, v in found["per_class"].items() if v is not None} == set(seen)


def test_fields_for_programs(here, tmp_path, capsys):
    found = said(here, capsys, own(here, tmp_path / "photos", cat="cat", ship="cat", truck="cat"))
    right = sum(c["right"] for c in found["classes"].values())
    assert found["test"]["top1"] == right / 9 and found["wrong"] == len(found["mistakes"]) == 9 - right >= 6
    assert found["interval"] == list(wilson(right, 9)[1:3])
    for name, c in found["classes"].items():
        assert found["per_class"][name] == pytest.approx(c["right"] / c["n"])
        assert c["interval"] == list(wilson(c["right"], c["n"])[1:3])
    for m in found["mistakes"]:
        assert (tmp_path / "photos" / m["file"]).is_file() and m["file"].startswith(m["true"] + "/")
        assert m["predicted"] != m["true"] and m["probability"] >= m["true_probability"] and 2 <= m["true_rank"] <= 10


def test_fields_that_were_there_before(here, capsys):
    found = said(here, capsys, "images")
    assert {"weights", "test", "n", "source", "tta", "per_class", "confusion", "mistakes"} <= set(found)
    assert len(found["mistakes"]) == min(12, found["wrong"])


def test_table_for_people(here, tmp_path, capsys):
    code, out, err = scored(here, capsys, own(here, tmp_path / "photos", cat="cat", ship="cat", truck="cat"))
    found = said(here, capsys, tmp_path / "photos")
    lines, (low, high) = out.splitlines(), found["interval"]
    assert (code, err) == (0, "") and lines[0].split() == ["pictures", "9", "of", "folder:photos"]
    assert f"95% interval {low:.1%} to {high:.1%}" in lines[1]
    assert f"{found['classes']['ship']['right']}/3" in next(line for line in lines if line.startswith("ship"))
    assert not [line for line in lines if line.startswith(("frog", "horse"))]  # no pictures, no line
    assert [line.split(":")[0].strip() for line in lines[-found["wrong"]:]] == [m["file"] for m in found["mistakes"]]


def test_many_mistakes_are_counted(here, tmp_path, capsys):
    for c in cifar10_classes: own(here, tmp_path / "photos", **{c: "cat"})
    out, found = scored(here, capsys, tmp_path / "photos")[1], said(here, capsys, tmp_path / "photos")
    assert found["wrong"] == len(found["mistakes"]) > 20
    assert out.splitlines()[-1] == f"  and {found['wrong'] - 20} more" and out.count(".png: ") == 20


def test_two_classes(here, tmp_path, capsys):
    out = scored(here, capsys, own(here, tmp_path / "photos", sky="ship"), weights="two")[1]
    assert "top-5" not in out and "accuracy" in out  # it would always be all


def test_tta_and_the_function_give_the_same(here, tmp_path, capsys):
    model = load_model(here / "ten.safetensors", "cpu")
    images = open_pictures(own(here, tmp_path / "photos", cat="cat", dog="dog"), model.info["classes"], model.info["size"])
    for tta in ("none", "full"):
        assert evaluate(model, images, tta).top1 == said(here, capsys, tmp_path / "photos", "--tta", tta)["test"]["top1"]
    assert [m["file"] for m in mistakes(evaluate(model, images), images)] == [m["file"] for m in said(here, capsys, tmp_path / "photos")["mistakes"]]


def test_size_of_the_model(here, tmp_path):
    images = open_pictures(own(here, tmp_path / "photos", dog="dog"), cifar10_classes, 64)
    assert (images.size, images.y.tolist()) == (64, [5, 5, 5])
    assert open_pictures(tmp_path / "photos", cifar10_classes, 32).size == 32  # no image of the other size from the cache


def test_a_class_called_train(here, tmp_path):
    images = open_test(own(here, tmp_path / "photos", train="truck", ship="ship"), ["ship", "train"])[1]
    assert sorted(images.files)[-1].startswith("train/") and images.y.sum() == 3


def test_a_report_needs_no_training_images(here, tmp_path, capsys):
    code, out, err = scored(here, capsys, own(here, tmp_path / "photos", cat="cat", dog="dog"), "--report", tmp_path / "page")
    assert code == 0 and f"report         {tmp_path / 'page/report.html'}" in out
    kept = json.loads((tmp_path / "page/report.json").read_text())
    assert kept["temperature"] is None and kept["n"] == 6


@pytest.mark.parametrize("beside", ["Thumbs.db", "desktop.ini", "README", "readme.txt", "README.md", ".DS_Store", "._1.png"])
@pytest.mark.parametrize("place", ["photos/cat", "photos", "full/train/cat", "full/test/dog", "full/train"])
def test_files_of_systems_are_passed_over(here, tmp_path, capsys, beside, place):
    own(here, tmp_path / "photos", cat="cat")
    for part in ("train", "test"): own(here, tmp_path / "full" / part, cat="cat", dog="dog")
    (tmp_path / place / beside).write_text("no picture")
    train, test = open_test(tmp_path / place.split("/")[0], ["cat", "dog"])
    assert len(test) == (3 if train is None else 6)
    out, err = capsys.readouterr()
    assert out == "" and err == f"note: passed over what is no image of a class: {beside} (1 in all)\n"


@pytest.mark.parametrize("beside", ["@eaDir", "__MACOSX", ".git"])
@pytest.mark.parametrize("place", ["", "cat"])
def test_folders_of_systems_are_passed_over(here, tmp_path, beside, place):
    own(here, tmp_path, cat="cat")
    (tmp_path / place / beside / "more").mkdir(parents=True)
    assert len(open_pictures(tmp_path, ["cat", "dog"])) == 3


def test_a_picture_may_be_called_readme(here, tmp_path):
    own(here, tmp_path, cat="cat")
    Image.new("RGB", (40, 30)).save(tmp_path / "cat/readme.png")
    assert len(open_pictures(tmp_path, ["cat", "dog"])) == 4


def spoil(name, content=b"buy milk"):
    def change(folder):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return change


def emptied(folder): [p.unlink() for p in folder.glob("*/*")]


@pytest.mark.parametrize("change, words", [
    (lambda f: (f / "teapot").mkdir(), ["teapot is no class of this model (it knows airplane, automobile, "]),
    (lambda f: (f / "cats").mkdir(), ["cats is no class of this model; did you mean cat?"]),
    (lambda f: [(f / n).mkdir() for n in "vwxyz"], ["v, w, x and 2 more are no class of this model"]),
    (lambda f: shutil.rmtree(f / "cat"), ["has no pictures in folders named like classes of the model, such as airplane/"]),
    (emptied, ["has no pictures"]),
    (lambda f: (f / "test").mkdir(), ["photos/test has no pictures"]),
    (lambda f: (f / "cat").rename(f / "train"), ["has no folder test/: pictures to score a model on belong into"]),
    (lambda f: [shutil.move(p, f) for p in list(f.glob("cat/*"))], ["has no pictures in folders named like"]),
    (spoil("cat/note.txt"), ["note.txt: not an image"]),
    (spoil("cat/IMG_1.HEIC"), ["IMG_1.HEIC: not an image that PIL can read; save it as JPEG"]),
    (spoil("cat/cut.png", b"\x89PNG\r\n\x1a\n\0\0"), ["cut.png"]),
    (spoil("cat/more/1.png"), ["more is a folder: put the images straight into photos/cat"]),
], ids=["unknown", "near", "many unknown", "empty", "no files", "empty test/", "train/ alone", "loose", "text", "HEIC", "cut", "nested"])
def test_mistakes_are_named(here, tmp_path, capsys, change, words):
    own(here, tmp_path / "photos", cat="cat")
    change(tmp_path / "photos")
    code, out, err = scored(here, capsys, tmp_path / "photos")
    assert (code, out, err.count("\n")) == (2, "", 1) and err.startswith("cifar10_evaluate: ") and len(err) < 400, err
    for w in words: assert w in err, err


def test_sources_stay_what_they_were(here, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("drawn").mkdir()
    assert [part.source for part in open_test("drawn", cifar10_classes)] == ["drawn", "drawn"]
    with pytest.raises(InputError, match="nowhere: no such folder"): open_test("nowhere", cifar10_classes)
    with pytest.raises(InputError, match="incomplete or damaged"):
        spoil("cifar-10-python.tar.gz")(tmp_path / "archive")
        open_test("archive", cifar10_classes)


def test_names_of_files_go_along():
    images, _ = drawn(20, 10)
    named = ImageSet(images.x, images.y, images.classes, "x", [f"{i}.png" for i in range(20)])
    part, held = named.split(5)
    assert sorted(part.files + held.files) == sorted(named.files) and named.subset([3, 1]).files == ["3.png", "1.png"]
    assert named.subset(images.y == 2).files == [f"{i}.png" for i in (images.y == 2).nonzero()[:, 0].tolist()]
    with pytest.raises(InputError, match="2 names of files for 20 images"): ImageSet(images.x, images.y, images.classes, "x", ["a", "b"])


def test_a_temperature_divides_the_logits():
    model, images = load_model(shipped_weights(), "cpu"), drawn(20, 100)[1]
    logits = predict_logits(model, images)
    model.info = model.info | dict(temperature=2 * model.info["temperature"])
    assert torch.allclose(predict_logits(model, images), logits / 2, rtol=1e-6)
    model.info.pop("temperature")
    assert not torch.allclose(predict_logits(model, images), logits, rtol=1e-2)  # the weights of the package have one
