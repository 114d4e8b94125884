"""Bad input, one case a line: each is answered by one clear line and exit code 2, and leaves nothing half-written.

More cases with a server that lies or stalls are in test_data.py, and damaged checkpoints in test_resume.py. The commands
run in this process, as from a terminal: starting Python anew for each case would take minutes.
"""
import hashlib
import json
import os
import pickle
import shutil
import struct
import zlib
from pathlib import Path

import pytest
import torch
from folders import write_images
from PIL import Image
from safetensors.torch import save_file

from cifar10_nb.commands import commands
from cifar10_nb.data import drawn
from cifar10_nb.parts.recipe import get_recipe
from cifar10_nb.train import Trainer

def ask(name, *args, capsys, folder):
    "Exit code, stdout and stderr of a command, and what it left in `folder`."
    before = tree(folder)
    with pytest.MonkeyPatch.context() as m:
        m.chdir(folder)
        capsys.readouterr()
        try: code = commands[f"cifar10_{name}"].from_terminal([*map(str, args)]) or 0
        except SystemExit as e: code = e.code
    out, err = capsys.readouterr()
    return code, out, err, tree(folder) - before


def tree(folder): return {p.relative_to(folder) for p in Path(folder).rglob("*") if "cache" not in p.parts}


def one_line(name, args, words, capsys, folder):
    code, out, err, left = ask(name, *args, capsys=capsys, folder=folder)
    lines = [line for line in err.strip().splitlines() if line]
    assert (code, out) == (2, ""), (code, out, err)
    assert len(lines) == 1 and lines[0].startswith(f"cifar10_{name}: ") and len(lines[0]) < 400, err
    for word in [words] if isinstance(words, str) else words: assert word in lines[0], lines[0]
    assert not left, left


def png_that_says(width, height):
    "A small file whose header promises a huge image."
    def chunk(kind, data): return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


class Bomb:
    "A pickle that writes a file when it is opened."
    def __init__(self, path): self.path = str(path)
    def __reduce__(self): return (open, (self.path, "w"))


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    "Good data, a good run, and everything that can be wrong beside them."
    root = tmp_path_factory.mktemp("bad")
    with pytest.MonkeyPatch.context() as m:
        m.setenv("XDG_CACHE_HOME", str(root / "cache"))
        m.delenv("CIFAR10_NB_DATA", raising=False)
        images_in(root)
        weights_in(root)
        runs_in(root)
        yield root


def images_in(root):
    write_images(root / "images", 40, 20)
    def spoilt(name, change):
        shutil.copytree(root / "images", root / name)
        change(root / name)
    def only(folder, keep):
        for path in folder.glob("*/*"):
            if path.name not in keep: shutil.rmtree(path)
    spoilt("one_class", lambda f: only(f, ["cat"]))
    spoilt("no_test", lambda f: shutil.rmtree(f / "test"))
    spoilt("no_train", lambda f: shutil.rmtree(f / "train"))
    spoilt("untested_class", lambda f: shutil.rmtree(f / "test/cat"))
    spoilt("empty_class", lambda f: [p.unlink() for p in f.glob("test/cat/*")])
    spoilt("empty_test", lambda f: [p.unlink() for p in f.glob("test/*/*")])
    spoilt("other_classes", lambda f: [p.rename(p.with_name(f"old_{p.name}")) for p in list(f.glob("*/*"))])
    spoilt("text", lambda f: (f / "train/cat/note.txt").write_text("buy milk"))
    spoilt("nested", lambda f: (f / "train/cat/more").mkdir())
    spoilt("pipe", lambda f: os.mkfifo(f / "train/cat/pipe.png"))
    spoilt("loop", lambda f: (f / "train/cat/loop.png").symlink_to("loop.png"))
    spoilt("unprintable", lambda f: [(f / part / "cat").rename(f / part / "c\nat") for part in ("train", "test")])
    spoilt("cut_image", lambda f: (f / "train/cat/cut.png").write_bytes(next((f / "train/cat").iterdir()).read_bytes()[:70]))
    spoilt("bomb", lambda f: (f / "train/cat/bomb.png").write_bytes(png_that_says(20_000, 20_000)))
    (root / "empty").mkdir()
    (root / "a_file").write_text("in the way")
    (root / "archive").mkdir()
    (root / "archive/cifar-10-python.tar.gz").write_bytes(b"no archive")
    good = next((root / "images/test/cat").iterdir())
    shutil.copy(good, root / "good.png")
    (root / "cut.png").write_bytes(good.read_bytes()[:70])
    (root / "empty.png").write_bytes(b"")
    (root / "text.png").write_text("<html>not found</html>")
    (root / "bomb.png").write_bytes(png_that_says(20_000, 20_000))
    (root / "flat.png").write_bytes(png_that_says(0, 5))
    Image.new("RGB", (8, 8)).save(root / "page.eps")


def weights_in(root):
    train, _ = drawn(40, 10)
    recipe = get_recipe("small", epochs=1, batch_size=20)
    run = Trainer(recipe, train, None, 0, "cpu").fit()
    run.test = run.test_tta = dict(loss=1.0, top1=0.5, top5=0.9, tta="flip")
    run.save(root / "run")
    whole, info = (root / "run/model.safetensors").read_bytes(), run.model.info
    state = {k: v.contiguous() for k, v in run.model.state_dict().items()}
    def weights(name, info=info, state=state):
        save_file(state, root / name, metadata={"cifar10_nb": json.dumps(info)} if info is not None else None)
    weights("no_info.safetensors", None)
    weights("strange_info.safetensors", ["a", "list"])
    weights("unknown_model.safetensors", info | dict(model="alexnet"))
    weights("other_model.safetensors", info | dict(model="resnet18_cifar"))
    weights("from_the_future.safetensors", info | dict(recipe=info["recipe"] | dict(telepathy=True)))
    weights("less_info.safetensors", {k: v for k, v in info.items() if k != "mean"})
    weights("more_classes.safetensors", info | dict(classes=[*info["classes"], "zebra"]))
    weights("short_mean.safetensors", info | dict(mean=[0.5]))
    weights("no_std.safetensors", info | dict(std=[0.0, 0.2, 0.2]))
    weights("no_size.safetensors", info | dict(size="large"))
    weights("twins.safetensors", info | dict(classes=10 * ["cat"]))
    weights("infinite.safetensors", state=state | {"head.bias": state["head.bias"] / 0})
    weights("short.safetensors", state=dict(list(state.items())[:3]))
    (root / "cut.safetensors").write_bytes(whole[:len(whole) // 2])
    (root / "no_header.safetensors").write_bytes(whole[:5])
    (root / "long_header.safetensors").write_bytes(struct.pack("<Q", 2**62) + whole[8:])
    (root / "pickle.safetensors").write_bytes(pickle.dumps(dict(a=1)))
    (root / "malicious.safetensors").write_bytes(pickle.dumps(Bomb(root / "ran")))
    torch.save(dict(a=torch.zeros(1)), root / "torch.safetensors")


def runs_in(root):
    def run_json(name, content):
        (root / name).mkdir()
        (root / name / "run.json").write_text(content)
    kept = json.loads((root / "run/run.json").read_text())
    run_json("broken_run", "{")
    run_json("other_json", json.dumps(dict(a=1)))
    run_json("list_run", "[]")
    run_json("strange_seed", json.dumps(kept | dict(seed="0/../../x", commit="abc")))
    run_json("no_commit", json.dumps(kept | dict(commit="")))
    run_json("changed", json.dumps(kept | dict(commit="abc+changes")))
    run_json("untested", json.dumps(kept | dict(test={}, test_tta={})))
    (root / "only_weights").mkdir()
    shutil.copy(root / "run/model.safetensors", root / "only_weights")
    shutil.copytree(root / "run", root / "mixed/seed0")
    (root / "foreign").mkdir()  # a file under the name of a checkpoint, with the right digest, but something else inside
    data = (root / "run/model.safetensors").read_bytes()
    (root / f"foreign/checkpoint-00000001-{hashlib.sha256(data).hexdigest()[:16]}.safetensors").write_bytes(data)
    (root / "hub/checkpoints").mkdir(parents=True)
    (root / "hub/checkpoints/resnet18-f37072fd.pth").write_bytes(pickle.dumps(Bomb(root / "ran")))


on = ("--data", "images")
cases = [
    # options out of range, or of the wrong type
    ("train", ("--recipe", "smal"), ("no recipe is called 'smal'", "did you mean small")),
    ("train", ("--recipe", "qqq"), "choose one of"),
    ("train", ("--recipe", ""), "choose one of"),
    ("train", ("--epochs", "0"), "epochs is 0: it must lie between 1 and"),
    ("train", ("--epochs", "-3"), "epochs is -3"),
    ("train", ("--epochs", "1.5"), "--epochs"),
    ("train", ("--epochs", "many"), "'many'"),
    ("train", ("--epochs", "100000000"), "epochs is 100000000"),
    ("train", ("--batch-size", "0"), "batch_size is 0"),
    ("train", ("--micro-batch", "-1"), "micro_batch is -1"),
    ("train", ("--batch-size", "99999999"), "batch_size is 99999999"),
    ("train", ("--lr", "0"), "lr is 0.0"),
    ("train", ("--lr", "-1"), "lr is -1.0"),
    ("train", ("--lr", "nan"), "lr is nan"),
    ("train", ("--lr", "inf"), "lr is inf"),
    ("train", ("--lr", "fast"), "'fast'"),
    ("train", ("--batch-size", "big"), "'big'"),
    ("train", ("--seed", "first"), "'first'"),
    ("train", ("--seeds", "few"), "'few'"),
    ("train", ("--jobs", "all"), "'all'"),
    ("train", ("--save-every", "hour"), "'hour'"),
    ("train", ("--seed", "-1"), "--seed is -1"),
    ("train", ("--seed", str(2**70)), "--seed is"),
    ("train", ("--seeds", "0"), "--seeds is 0"),
    ("train", ("--seeds", "1001"), "--seeds is 1001"),
    ("train", ("--jobs", "0"), "--jobs is 0"),
    ("train", ("--save-every", "nan"), "--save-every is nan"),
    ("train", ("--save-every", "-1"), "--save-every is -1.0"),
    ("train", ("--compile", "fast"), "no mode of torch.compile is called 'fast'"),
    ("train", ("--device", "toaster"), "no device 'toaster' here"),
    ("train", ("--device", "cuda:99"), "no device 'cuda:99' here"),
    ("train", ("--device", "meta"), "no device 'meta' here"),
    ("train", ("--colour", "red"), "--colour"),
    ("train", ("red",), "red"),
    ("train", ("--epochs",), "--epochs"),
    ("train", (*on, "--out", "a_file"), "--out a_file is a file: name a folder"),
    ("train", (*on, "--out", "a_file/run"), "a_file"),
    ("train", (*on, "--out", "/proc/run"), "/proc/run"),
    ("train", (*on, "--out", "run"), "run holds a run already"),
    ("train", (*on, "--out", "run", "--seeds", "2"), "run holds a run already"),
    ("train", (*on, "--out", "broken_run"), "broken_run"),
    ("train", (*on, "--out", "list_run"), "list_run"),
    ("train", (*on, "--out", "foreign"), "foreign"),
    ("train", (*on, "--out", "only_weights"), "only_weights holds a run already"),
    ("train", (*on, "--out", "mixed", "--epochs", "1", "--batch-size", "20", "--seeds", "2"), "seed0 holds a run on other images, drawn"),
    ("train", ("--resume", "nowhere"), "there is no checkpoint in nowhere"),
    ("train", ("--resume", "run"), "the run in run is finished"),
    ("train", ("--resume", "foreign"), "foreign"),
    ("train", ("--resume", "foreign", "--lr", "0.2"), "--lr cannot be given beside --resume"),
    # data folders
    ("train", ("--data", "nowhere"), "nowhere: no such folder"),
    ("train", ("--data", "imags"), "did you mean images"),
    ("train", ("--data", "cifar-10"), "did you mean cifar10"),
    ("train", ("--data", "a_file"), "a_file: no such folder"),
    ("train", ("--data", "empty"), "empty holds neither"),
    ("train", ("--data", "images/train"), "holds neither"),
    ("train", ("--data", "one_class"), "two at least"),
    ("train", ("--data", "no_test"), "no folder test/"),
    ("train", ("--data", "no_train"), "no folder train/"),
    ("train", ("--data", "untested_class"), ("same classes", "cat")),
    ("train", ("--data", "empty_test"), "no images in"),
    ("train", ("--data", "empty_class"), ("no images in", "test/cat")),
    ("train", ("--data", "text"), "note.txt: not an image"),
    ("train", ("--data", "nested"), "more is a folder"),
    ("train", ("--data", "pipe"), "pipe.png is no file that can be read"),
    ("train", ("--data", "loop"), "loop.png"),
    ("train", ("--data", "unprintable"), "a class needs a name that can be printed"),
    ("train", ("--data", "cut_image"), "cut.png: cannot be read"),
    ("train", ("--data", "bomb"), "bomb.png: cannot be read"),
    ("train", ("--data", "archive"), "incomplete or damaged"),
    # pictures
    ("predict", ("none.png", "--weights", "run"), "none.png: no such file"),
    ("predict", ("empty", "--weights", "run"), "empty: is a folder"),
    ("predict", ("*.none", "--weights", "run"), "*.none: no such file"),
    ("predict", ("text.png", "cut.png", "--weights", "run"), ("2 files cannot be read", "cut.png: cannot be read", "text.png")),
    ("predict", ("cut.png", "--weights", "run"), "cut.png: cannot be read"),
    ("predict", ("empty.png", "--weights", "run"), "empty.png: not an image"),
    ("predict", ("text.png", "--weights", "run"), "text.png: not an image"),
    ("predict", ("bomb.png", "--weights", "run"), "bomb.png: cannot be read"),
    ("predict", ("flat.png", "--weights", "run"), "flat.png"),
    ("predict", ("page.eps", "--weights", "run"), "page.eps: cannot be read as an image (PostScript"),
    ("predict", ("good.png", "--weights", "run", "--device", "toaster"), "no device 'toaster' here"),
    ("predict", ("run/run.json", "--weights", "run"), "run.json: not an image"),
    ("predict", ("good.png", "--weights", "run", "--topk", "0"), "topk is 0"),
    ("predict", ("good.png", "--weights", "run", "--topk", "all"), "'all'"),
    ("predict", ("--weights", "run"), "images"),
    # weights
    *(("evaluate", (weights, *on), words) for weights, words in {
        "nowhere": "there are no weights at nowhere", "empty": "there are no weights at empty/model.safetensors",
        "a_file": "a_file is no safetensors file", "cut.safetensors": "cut.safetensors is no safetensors file",
        "no_header.safetensors": "is no safetensors file", "long_header.safetensors": "is no safetensors file",
        "pickle.safetensors": "is no safetensors file", "malicious.safetensors": "is no safetensors file",
        "torch.safetensors": "is no safetensors file", "no_info.safetensors": "was not written by this package",
        "strange_info.safetensors": "was not written by this package", "less_info.safetensors": "was not written by this package",
        "from_the_future.safetensors": "was not written by this package", "unknown_model.safetensors": ("alexnet", "put it into cifar10_nb.models.models under this name"),
        "short_mean.safetensors": "was not written by this package", "no_std.safetensors": "was not written by this package",
        "no_size.safetensors": "was not written by this package", "twins.safetensors": "was not written by this package",
        "infinite.safetensors": "are not all finite numbers", "other_model.safetensors": "do not fit a resnet18_cifar", "more_classes.safetensors": "do not fit a small_cnn",
        "short.safetensors": "do not fit a small_cnn"}.items()),
    ("evaluate", ("run", "--data", "other_classes"), "these weights know other classes"),
    ("evaluate", ("run", *on, "--tta", "twice"), "--tta is 'twice': choose one of none, flip, full"),
    ("evaluate", ("run", *on, "--device", "toaster"), "no device 'toaster' here"),
    ("evaluate", ("run", *on, "--report", "a_file"), "--report a_file is a file: name a folder"),
    ("evaluate", (), "weights"),
    # results
    ("file", ("nowhere",), "there is no run at nowhere"),
    ("file", ("broken_run",), "is no JSON file"),
    ("file", ("other_json",), "was not written by cifar10_train"),
    ("file", ("list_run",), "was not written by cifar10_train"),
    ("file", ("strange_seed",), "seed is something else"),
    ("file", ("untested",), "has no test scores"),
    ("file", ("no_commit",), "names no commit"),
    ("file", ("changed",), "uncommitted changes"),
    ("compare", ("run", "run", "run"), "3 names: give one run, or two weights"),
    ("compare", ("nowhere",), "there is no run at nowhere"),
    ("compare", ("run", "--results", "empty"), "no run of small"),
    ("compare", ("run", "cut.safetensors", *on), "is no safetensors file"),
    ("compare", ("run", "run", *on, "--tta", "twice"), "--tta is 'twice'"),
    ("ablate", (*on, "--seeds", "0"), "--seeds is 0"),
    ("ablate", ("--data", "nowhere"), "nowhere: no such folder"),
    # benchmarks and export
    ("bench", ("everything",), "no benchmark is called 'everything'"),
    ("bench", ("ceiling", "--rounds", "0"), "--rounds is 0"),
    ("bench", ("ceiling", "--rounds", "some"), "'some'"),
    ("bench", ("ceiling", "--device", "toaster"), "no device 'toaster' here"),
    ("bench", ("overhead", "--recipe", "smal"), "did you mean small"),
    ("export", ("run", "--to", "onyx"), "--to is 'onyx'"),
    ("export", ("run", "--to", "pt2", "--int8"), "--int8 needs --to onnx"),
    ("export", ("run", "--out", "model.pt"), "must end in .onnx"),
    ("export", ("run", "--out", "a_file/model.onnx"), "a_file"),
    ("export", ("cut.safetensors",), "is no safetensors file"),
]


@pytest.mark.parametrize("name, args, words", cases, ids=[" ".join([c[0], *c[1]]) for c in cases])
def test_bad_input(here, capsys, name, args, words):
    one_line(name, args, words, capsys, here)
    assert not (here / "ran").exists()  # what the pickles would have left


def test_there_are_enough_cases():
    assert len(cases) > 120 and len(set(map(str, cases))) == len(cases)


def test_imagenet_weights_that_are_a_malicious_pickle(here, capsys, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(here / "hub"))
    one_line("train", ("--recipe", "transfer", *on, "--out", "transfer"), "is no weights file", capsys, here)
    assert not (here / "ran").exists()


odd = {"1x1": lambda: Image.new("RGB", (1, 1), "red"), "CMYK": lambda: Image.new("CMYK", (40, 30)), "palette": lambda: Image.new("P", (40, 30)),
       "16 bit": lambda: Image.new("I;16", (40, 30), 60_000), "alpha": lambda: Image.new("RGBA", (40, 30), (1, 2, 3, 0)),
       "grey": lambda: Image.new("L", (40, 30)), "wide": lambda: Image.new("RGB", (4000, 3)), "black and white": lambda: Image.new("1", (40, 30))}


@pytest.mark.parametrize("kind", odd)
def test_odd_pictures_are_no_mistake(here, capsys, tmp_path, kind):
    path = tmp_path / ("odd.tiff" if kind in ("CMYK", "16 bit") else "odd.png")
    odd[kind]().save(path)
    code, out, err, left = ask("predict", path, "--weights", "run", "--json", capsys=capsys, folder=here)
    assert (code, err, left) == (0, "", set())
    assert 0.5 <= sum(c["probability"] for c in json.loads(out)["predictions"][0]["top"]) < 1.001  # the five largest of ten


def test_a_turned_picture_is_set_upright(here, capsys, tmp_path):
    image = Image.open(here / "good.png").convert("RGB").resize((64, 64))
    exif = Image.Exif(); exif[0x0112] = 6  # was taken with the camera turned by a quarter
    image.save(tmp_path / "upright.png")
    image.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    said = [json.loads(ask("predict", tmp_path / f, "--weights", "run", "--json", capsys=capsys, folder=here)[1])["predictions"][0]["top"]
            for f in ("upright.png", "turned.png")]
    assert said[0] == said[1]


def test_animations_show_their_first_frame(here, capsys, tmp_path):
    frames = [Image.new("RGB", (32, 32), c) for c in ("red", "blue")]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "still.gif")
    said = [json.loads(ask("predict", tmp_path / f, "--weights", "run", "--json", capsys=capsys, folder=here)[1])["predictions"][0]["top"]
            for f in ("moving.gif", "still.gif")]
    assert said[0] == said[1]
