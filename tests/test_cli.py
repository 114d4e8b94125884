"What people type: options, places, pictures and terminals. The commands run in this process, as from a terminal."
import io
import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from folders import write_images
from PIL import Image
from safetensors.torch import load_file, save_file
from test_bad_input import ask

from cifar10_nb import commands as C
from cifar10_nb.core import InputError
from cifar10_nb.data import drawn, open_folder
from cifar10_nb.jobs import opened_from
from cifar10_nb.lab import report as report_module
from cifar10_nb.parts.recipe import Recipe, get_recipe, read_fields, read_recipe, recipes
from cifar10_nb.record.checkpoint import Checkpoints, Interrupted, newest_checkpoint, read_checkpoint
from cifar10_nb.record.run import Run, load_model
from cifar10_nb.train import Trainer

quick = "--epochs", "1", "--batch-size", "20", "--device", "cpu"


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    "Images of ten classes, some pictures, and a run on them."
    root = tmp_path_factory.mktemp("cli")
    with pytest.MonkeyPatch.context() as m:
        m.setenv("XDG_CACHE_HOME", str(root / "cache"))
        m.setenv("HOME", str(root))
        m.delenv("CIFAR10_NB_DATA", raising=False)
        write_images(root / "images", 40, 20)
        (root / "photos/more").mkdir(parents=True)
        for i, path in enumerate(sorted((root / "images/test").glob("*/*"))[:3]): shutil.copy(path, root / f"photos/{'more/' * (i == 2)}{i}.png")
        (root / "photos/Thumbs.db").touch()
        run = Trainer(get_recipe("small", epochs=1, batch_size=20), drawn(40, 10)[0], None, 0, "cpu").fit()
        run.test = run.test_tta = dict(loss=1.0, top1=0.5, top5=0.9, tta="flip")
        run.save(root / "run")
        yield root


@pytest.fixture
def say(here, capsys):
    "A function that gives exit code, stdout and stderr of a command in `here`."
    return lambda name, *args: ask(name, *args, capsys=capsys, folder=here)[:3]


def right(done, *words):
    code, out, err = done
    assert code == 0, err
    for w in words: assert w in out, out
    return out


def wrong(done, *words, told=False):
    code, out, err = done
    assert code == 2 and bool(out) == told, (code, out, err)
    last = err.strip().splitlines()[-1]
    for w in words: assert w in last, err


# -- options

@pytest.mark.parametrize("args, words", [
    (("--epoch", "3"), "there is no option --epoch: did you mean --epochs?"),
    (("--batchsize=3",), "there is no option --batchsize: did you mean --batch-size?"),
    (("--Seed", "1"), "did you mean --seed?"),
    (("--zebra", "1"), "there is no option --zebra (see cifar10_train --help)"),
    (("red",), "nothing is known of 'red'"),
    (("--set", "mixp=0.2"), "a recipe has no 'mixp'; did you mean mixup?"),
    (("--set", "mixup"), "write FIELD=VALUE"),
    (("--set", "cutout=8.5"), "cutout must be a whole number"),
    (("--set", "freeze=perhaps"), "freeze must be yes or no"),
    (("--set", "mixup=much"), "mixup must be a number"),
    (("--set", "mixup=-1"), "mixup is -1.0: it must lie between 0 and 100"),
    (("--set", "sizes=4"), "sizes is (4,): each must be a whole number between 8 and 1024"),
    (("--set", "schedule=steps"), "choose one of cosine, linear, constant"),
    (("--set", "epochs=2", "--epochs", "3"), "--epochs and --set epochs are the same: give one"),
    (("--recipe", "none.json"), "none.json: no such file"),
    (("--recipe", "photos/0.json"), "photos/0.json: no such file"),
    (("--recipe", "list.json"), "list.json holds no recipe"),
    (("--recipe", "text.json"), "text.json is no JSON file"),
    (("--recipe", "odd.json"), "odd.json: a recipe has no 'mixp'; did you mean mixup?"),
    (("--recipe", "kind.json"), "kind.json: lr is 'fast': it must be a number"),
    (("--recipe", "whole.json"), "whole.json: epochs is True: it must be a whole number"),
    (("--size", "4"), "the size of images is 4"), (("--size", "big"), "'big'"),
    (("--size", "8", "--data", "images"), "cannot take images of 6x6"),
    (("--resume", "run", "--size", "64"), "--size cannot be given beside --resume"),
    (("--resume", "run", "--set", "mixup=0.2"), "--set cannot be given beside --resume"),
])
def test_options_that_are_wrong(here, say, args, words):
    for name, content in {"list": "[]", "text": "{", "odd": '{"mixp": 1}', "kind": '{"lr": "fast"}', "whole": '{"epochs": true}'}.items():
        (here / f"{name}.json").write_text(content)
    wrong(say("train", *args), words)
    assert not list(here.glob("runs/**/*.safetensors"))


def test_any_field_can_be_set():
    for text, want in {"mixup=0.2": 0.2, "cutout=8": 8, "sizes=24,32": (24, 32), "sizes=(24, 28)": (24, 28), "sizes=": (), "hardest=1,0.5": (1, 0.5),
                       "freeze=yes": True, "flip=none": "none", "weight-decay=5e-4": 5e-4, "lr=1": 1.0}.items():
        ((name, value),) = read_fields([text]).items()
        assert value == want and type(value) is type(want), text
        assert name in vars(Recipe())
    assert read_fields(["mixup=0.2 cutout=8", "sizes=(24, 28)  lr=1"]) == dict(mixup=0.2, cutout=8, sizes=(24, 28), lr=1.0)


def test_set_changes_the_run(here, say):
    said = json.loads(right(say("train", "--data", "images", *quick, "--set", "cutout=8", "--set", "mixup=0.2", "--out", "set", "--json")))
    assert (said["recipe"]["cutout"], said["recipe"]["mixup"], said["recipe"]["epochs"]) == (8, 0.2, 1)
    again = json.loads(right(say("train", "--data", "images", "--recipe", "set/run.json", "--device", "cpu", "--out", "set2", "--json")))
    assert again["recipe"] == said["recipe"] and again["test"] == said["test"]
    both = json.loads(right(say("train", "--data", "images", *quick, "--set", "cutout=8", "--set", "sizes=(16, 24)", "--seeds", "2", "--jobs", "2", "--out", "jobs", "--json")))
    assert all((r["recipe"]["cutout"], r["recipe"]["sizes"]) == (8, [16, 24]) for r in both["runs"])


def test_a_recipe_in_a_file(tmp_path):
    (tmp_path / "mine.json").write_text(json.dumps(dict(lr=0.2, sizes=[24, 32])))
    assert read_recipe(tmp_path / "mine.json") == Recipe(name="mine", lr=0.2, sizes=(24, 32))
    (tmp_path / "speed.json").write_text(json.dumps(dict(recipe={k: v for k, v in vars(recipes["speed"]).items()})))
    assert get_recipe(str(tmp_path / "speed.json")) == recipes["speed"]
    assert get_recipe(str(tmp_path / "speed.json"), epochs=3).warmup == pytest.approx(recipes["speed"].warmup / 5)


def test_version_and_help(say, capsys):
    from cifar10_nb import __version__
    for name in C.commands:
        assert right(say(name.removeprefix("cifar10_"), "--version")) == f"{name} {__version__}\n"
        out = right(say(name.removeprefix("cifar10_"), "--help"))
        assert "(default: )" not in out and "default: None" not in out and "default: False" not in out
    C.main(["--version"])
    assert capsys.readouterr().out == f"cifar10_nb {__version__}\n"


# -- places

def test_home_is_expanded_everywhere(here, say):
    right(say("train", "--data=~/images", *quick, "--out=~/at_home"), str(here / "at_home"))
    assert (here / "at_home/run.json").exists() and not (here / "~").exists()
    right(say("predict", "~/photos/0.png", "--weights=~/at_home"))
    right(say("evaluate", "~/at_home", "--data=~/images", "--report=~/page"), str(here / "page/report.html"))
    (here / "recipe.json").write_text('{"lr": 0.2}')
    wrong(say("train", "--recipe=~/recipe.json", "--data=~/nowhere"), f"{here}/nowhere: no such folder")


@pytest.mark.parametrize("name, args, words", [
    ("train", ("--data", "nowhere", "--out", "/proc/run"), "--out /proc/run cannot be written"),
    ("train", ("--data", "nowhere", "--out", "run/run.json/x"), "is a file"),
    ("evaluate", ("run", "--data", "nowhere", "--report", "/proc/page"), "--report /proc/page cannot be written"),
    ("evaluate", ("run", "--data", "nowhere", "--report", "run/run.json"), "--report run/run.json is a file: name a folder"),
    ("ablate", ("--data", "nowhere", "--out", "/proc/x"), "--out /proc/x cannot be written"),
    ("bench", ("ceiling", "--out", "/proc/x"), "--out /proc/x cannot be written"),
    ("export", ("run", "--out", "/proc/model.onnx"), "--out /proc cannot be written"),
    ("export", ("run", "--out", "run/run.json/model.onnx"), "is a file"),
])
def test_places_are_checked_before_the_work(say, name, args, words): wrong(say(name, *args), words)


def test_what_was_found_is_told_though_the_page_cannot_be_written(say, monkeypatch):
    def full(*args): raise OSError(28, "No space left on device")
    monkeypatch.setattr(report_module, "save_report", full)
    for more in ((), ("--json",)):
        done = say("evaluate", "run", "--data", "images", "--report", "page2", *more)
        wrong(done, "No space left on device", told=True)
        assert "accuracy" in done[1] or json.loads(done[1])["test"]


def test_a_run_is_told_though_it_cannot_be_saved(here, say, monkeypatch):
    saved, left = Run.save, [True]
    def full(self, folder):
        if left: raise OSError(28, "No space left on device")
        return saved(self, folder)
    monkeypatch.setattr(Run, "save", full)
    command = "train", "--data", "images", *quick, "--out", "full"
    done = say(*command)
    wrong(done, "could not be written to full (No space left on device)", "give the same command again", told=True)
    assert "test accuracy" in done[1] and "next:" not in done[1]
    left.clear()
    right(say(*command), "saved in       full")


def test_what_was_opened_is_remembered(here, monkeypatch):
    monkeypatch.chdir(here)
    where = str(here / "images")
    for data, env, source, want in [("auto", "", "drawn", "drawn"), ("auto", "", "cifar10", "cifar10"), ("cifar100", "", "cifar100", "cifar100"),
                                    ("auto", where, "folder:images", where), ("cifar10", "images", "folder:images", where), ("images", "", "folder:images", where),
                                    ("~/images", "/other", "folder:images", where), ("drawn", where, "drawn", "drawn")]:
        monkeypatch.setenv("CIFAR10_NB_DATA", env)
        assert opened_from(data, source) == want


# -- the size of images

def test_size_is_kept_by_checkpoint_run_and_doors(here, say, monkeypatch):
    stop = lambda hook, t: (_ for _ in ()).throw(Interrupted("stop"))
    with monkeypatch.context() as m:
        save = Checkpoints.save
        m.setattr(Checkpoints, "save", lambda self, t, asked: save(self, t, True))
        assert say("train", "--data", "images", *quick, "--epochs", "2", "--size", "48", "--out", "sized")[0] == 130
    assert read_checkpoint(newest_checkpoint(here / "sized"))["state"]["size"] == 48
    right(say("train", "--resume", "sized", "--device", "cpu"))
    assert load_model(here / "sized", "cpu").info["size"] == 48
    said = json.loads(right(say("evaluate", "sized", "--data", "images", "--json")))
    assert said["test"] == json.loads((here / "sized/run.json").read_text())["test"]
    right(say("evaluate", "sized", "--data", "drawn", "--json"))
    wrong(say("compare", "sized", "run", "--data", "images"), "sees images of 48 pixels")
    right(say("predict", "photos/0.png", "--weights", "sized"))


# -- pictures

def test_predict_answers_for_the_files_that_are_there(say):
    done = say("predict", "photos/0.png", "none.png", "photos/1.png", "--weights", "run")
    wrong(done, "none.png: no such file", told=True)
    assert "photos/0.png" in done[1] and "photos/1.png" in done[1] and "none.png" not in done[1]
    done = say("predict", "photos/0.png", "none.png", "run/run.json", "--weights", "run", "--json")
    wrong(done, "2 files cannot be read", "none.png", "run.json", told=True)
    assert [p["image"] for p in json.loads(done[1])["predictions"]] == ["photos/0.png"]
    wrong(say("predict", "none.png", "none.png", "--weights", "run"), "none.png: no such file")
    wrong(say("predict", "photos/0.png", "none*.png", "--weights", "run"), "none*.png: no such file", told=True)


@pytest.mark.parametrize("args, want", [
    (["photos"], ["photos/0.png", "photos/1.png", "photos/more/2.png"]),
    (["photos/*.png"], ["photos/0.png", "photos/1.png"]),
    (["photos/[1-9]*", "photos/more"], ["photos/1.png", "photos/more/2.png"]),
    (["photos/**/*.png"], ["photos/0.png", "photos/1.png", "photos/more/2.png"]),
    (["a[1].png"], ["a[1].png"]),
])
def test_predict_takes_folders_and_patterns(here, say, args, want):
    shutil.copy(here / "photos/0.png", here / "a[1].png")
    said = json.loads(right(say("predict", *args, "--weights", "run", "--json")))
    assert [p["image"] for p in said["predictions"]] == want


def test_doubt_between_two_classes():
    assert C._doubt(0.6, 2) == ": not sure at all" and C._doubt(0.6, 10) == ": with some doubt" == C._doubt(0.8, 2) and C._doubt(0.95, 2) == ""


# -- terminals and strangers

@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "utf-8"])
def test_a_terminal_of_another_encoding(here, monkeypatch, encoding):
    for part in ("train", "test"):
        shutil.copytree(here / "images" / part / "cat", here / f"asian-{encoding}" / part / "猫")
        shutil.copytree(here / "images" / part / "dog", here / f"asian-{encoding}" / part / "Müller")
    monkeypatch.chdir(here)
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True) for _ in "oe")
    monkeypatch.setattr(sys, "stdout", out); monkeypatch.setattr(sys, "stderr", err)
    C.cifar10_train.from_terminal(["--data", f"asian-{encoding}", "--seeds", "2", "--out", f"run-{encoding}", *quick])
    C.cifar10_evaluate.from_terminal([f"run-{encoding}/seed0", "--data", f"asian-{encoding}"])
    said = out.buffer.getvalue().decode(encoding)
    assert "test accuracy" in said and ("猫" if encoding == "utf-8" else "\\u732b") in said


def test_names_of_strangers_do_nothing(here, say, tmp_path):
    model = load_model(here / "run", "cpu")
    info = model.info | dict(classes=["\x1b[2Jcat", *model.info["classes"][1:]])
    save_file(load_file(here / "run/model.safetensors"), tmp_path / "odd.safetensors", metadata={"cifar10_nb": json.dumps(info)})
    wrong(say("predict", "photos/0.png", "--weights", tmp_path / "odd.safetensors"), "was not written by this package")
    shutil.copy(here / "photos/0.png", here / "photos/\x1b[31mred\n.png")
    try:
        out = right(say("predict", "photos/\x1b[31mred\n.png", "--weights", "run"), r"photos/\x1b[31mred\n.png")
        wrong(say("predict", "\x1b[2J.png", "--weights", "run"), r"\x1b[2J.png: no such file")
    finally: (here / "photos/\x1b[31mred\n.png").unlink()
    assert "\x1b" not in out
    kept = json.loads((here / "run/run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps(kept | dict(source="\x1b]0;title\x07")))
    assert "\x1b" not in "".join(map(str, say("compare", tmp_path)))


def test_a_folder_whose_name_is_not_utf8(here, say):
    odd = os.fsdecode(b"\xe9t\xe9")
    shutil.copytree(here / "images", here / odd, dirs_exist_ok=True)
    right(say("train", "--data", odd, *quick, "--out", f"{odd}/run"), "test accuracy", r"folder:\xe9t\xe9")
    right(say("evaluate", f"{odd}/run", "--data", odd, "--report", f"{odd}/page"))
    right(say("predict", f"{odd}/test/cat", "--weights", f"{odd}/run"))
    assert read_or_none(here / odd / "run") and open_folder(here / odd)[0].source == r"folder:\xe9t\xe9"


def read_or_none(folder): return json.loads((folder / "run.json").read_text())["source"] == r"folder:\xe9t\xe9"


def test_pictures_on_both_sides_of_an_option(here):
    from cifar10_nb.cli import parser_of
    told = parser_of(C.cifar10_predict).parse_args(["a.png", "--topk", "3", "b.png"])
    assert (told.images, told.topk) == (["a.png", "b.png"], 3)


def test_files_are_named_once_and_circles_end(tmp_path):
    from cifar10_nb.cli import files_of
    (tmp_path / "q").mkdir()
    for place in ("a.png", "q/b.png"): (tmp_path / place).write_bytes(b"")
    assert files_of([f"{tmp_path}/**"]) == [f"{tmp_path}/a.png", f"{tmp_path}/q/b.png"]
    (tmp_path / "all").symlink_to(tmp_path)
    assert files_of([str(tmp_path)]) == [f"{tmp_path}/a.png", f"{tmp_path}/q/b.png"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
def test_a_full_disk_at_the_last_line(here):
    import subprocess
    env = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    with open("/dev/full", "w") as full:
        done = subprocess.run([Path(sys.executable).parent / "cifar10_predict", "--help"], stdout=full, stderr=subprocess.PIPE, text=True, env=env)
    assert "Traceback" not in done.stderr
    code = "from cifar10_nb.cli import command\n@command\ndef say_it():\n    'Say it.'\n    print('said')\nsay_it.from_terminal([])"
    with open("/dev/full", "w") as full: done = subprocess.run([sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, text=True, env=env)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1 and done.stderr.startswith("say_it: ")
