"""Folders and pictures as people have them: one case a line, each standing for a kind.

What is right is either an answer or one clear line; never a wrong answer without a word. Small inputs are made here.
"""
import io
import json
import os
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cifar10_nb import core
from cifar10_nb.core import InputError, cache_dir, check_place, drawable, printable, write_atomic
from cifar10_nb.data import ImageSet, drawn, open_data, open_folder, open_test
from cifar10_nb.evaluate import Scores, evaluate, plot_confusion, plot_per_class, predict
from cifar10_nb.parts.recipe import get_recipe
from cifar10_nb.sources import folders, pictures
from cifar10_nb.sources.pictures import open_image
from cifar10_nb.train import Trainer, fit, recipes


@pytest.fixture(autouse=True)
def clean(tmp_path, monkeypatch):
    "A cache of its own for every test."
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("CIFAR10_NB_DATA", raising=False)


def folder(root, make=lambda i: Image.new("RGB", (32, 32), (20 * i, 90, 0)), ext="png", n=(4, 2), classes=("a", "b"), **save):
    "root/train and root/test with the pictures that `make` gives for a number."
    for part, count in zip(("train", "test"), n):
        for i in range(count):
            for c in classes:
                path = root / part / c / f"{i:02}.{ext}"
                path.parent.mkdir(parents=True, exist_ok=True)
                make(len(classes) * i + list(classes).index(c)).save(path, **save)
    return root


def refused(words, act):
    with pytest.raises(InputError) as e: act()
    assert "\n" not in str(e.value) and len(str(e.value)) < 500
    for w in [words] if isinstance(words, str) else words: assert w in str(e.value), e.value


# -- the size of images

@pytest.fixture(scope="module")
def large(tmp_path_factory):
    "A folder of 64-pixel images whose two classes differ in what is lost at 32 pixels: stripes, and their mean."
    root = tmp_path_factory.mktemp("large")
    def stripes(i):
        a = np.full((64, 64, 3), 128, np.uint8)
        if i % 2: a[:, ::2] = 255; a[:, 1::2] = 0
        return Image.fromarray(a)
    return folder(root / "images", stripes, n=(20, 10))


def test_a_network_scores_images_at_its_own_size(large, tmp_path):
    train, test = open_folder(large, size=64)
    run = fit(get_recipe("small", epochs=4, batch_size=8, lr=0.02), train, None, 0, "cpu")
    assert evaluate(run.model, test).top1 == 1
    for sets in (open_test(large, ["a", "b"], 64), open_test(large, ["a", "b"], 64, train=False)):
        assert sets[1].size == 64 and evaluate(run.model, sets[1]).top1 == 1
    refused(["32x32 pixels", "trained on 64x64", "size=64"], lambda: evaluate(run.model, open_folder(large)[1]))
    [[best, *_]] = predict(run.model, [large / "test/b/00.png"], 1)
    assert best[0] == "b"


@pytest.mark.parametrize("source", ["drawn", "folder"])
def test_every_source_has_every_size(large, source):
    train, test = open_data(large if source == "folder" else "drawn", size=48)
    assert train.size == test.size == 48 and train.x.shape[2:] == (48, 48)


@pytest.mark.parametrize("side, want", [(32, [24, 28, 32]), (64, [48, 56, 64]), (48, [36, 42, 48]), (16, [12, 14, 16])])
def test_progressive_sizes_are_in_proportion(side, want):
    recipe = get_recipe("small", epochs=3, sizes=(24, 28, 32))
    assert [recipe.size_at(e, side) for e in range(3)] == want


def test_what_cannot_fit_is_refused(large):
    def zeros(*shape): return ImageSet(torch.zeros(8, 3, *shape, dtype=torch.uint8), torch.arange(8) % 2, ["a", "b"], "zeros")
    make = lambda train, valid=None: Trainer(get_recipe("small", epochs=2, batch_size=4), train, valid, 0, "cpu")
    refused("must be square", lambda: make(zeros(32, 48)))
    refused(["32 pixels a side", "64"], lambda: make(zeros(32, 32), zeros(64, 64)))
    refused(["small_cnn cannot take images of 6x6", "--size"], lambda: make(zeros(8, 8)))
    for size in (7, 2000, 0, -3): refused("must be a whole number between 8 and 1024", lambda: open_data(large, size=size))
    refused(["take", "GB", "smaller size"], lambda: pictures.check_size(10**8, 1024))


# -- more than eight bits

def grey(top, dtype=np.uint16, low=0):
    return lambda i: Image.fromarray(np.linspace(low, top, 32 * 32).reshape(32, 32).astype(dtype))


deep = [  # name, picture, file, brightest pixel or words of the refusal
    ("12 bits in 16", grey(4095), "png", ["0 to 4095", "65535"]),
    ("10 bits in 16", grey(1023), "tiff", ["0 to 1023", "65535"]),
    ("14 bits in 16", grey(16383), "png", ["0 to 16383"]),
    ("all of 16 bits", grey(65535), "png", 255),
    ("most of 16 bits", grey(40_000), "tiff", 156),
    ("black in 16 bits", grey(0), "png", 0),
    ("signed and negative", grey(100, np.int32, -5), "tiff", ["-5 to 100"]),
    ("32 bits, to 255", grey(255, np.int32), "tiff", 255),
    ("32 bits, to 65535", grey(65535, np.int32), "tiff", 255),
    ("32 bits, to 4095", grey(4095, np.int32), "tiff", ["0 to 4095"]),
    ("32 bits, to a million", grey(10**6, np.int32), "tiff", ["0 to 1e+06"]),
    ("floats to 1", grey(1, np.float32), "tiff", 255),
    ("floats to 0.5", grey(0.5, np.float32), "tiff", 128),
    ("floats to 255", grey(255, np.float32), "tiff", 255),
    ("floats to 1.2", grey(1.2, np.float32), "tiff", ["0 to 1.2"]),
    ("floats to 1000", grey(1000, np.float32), "tiff", ["0 to 1000"]),
    ("floats below 0", grey(1, np.float32, -1), "tiff", ["-1 to 1"]),
    ("infinite", grey(float("inf"), np.float32), "tiff", ["infinite or none"]),
    ("one NaN", lambda i: Image.fromarray(np.where(np.eye(32) > 0, np.nan, 1).astype(np.float32)), "tiff", ["infinite or none"])]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("name, make, ext, want", deep, ids=[d[0] for d in deep])
def test_what_is_white(tmp_path, name, make, ext, want, alone):
    f = folder(tmp_path / "own", make, ext)
    act = (lambda: np.asarray(open_image(f / f"train/a/00.{ext}")).max()) if alone else (lambda: open_folder(f)[0].x.max().item())
    if isinstance(want, list): return refused([*want, "8 bits" if "none" not in want[0] else want[0]], act)
    assert abs(int(act()) - want) <= 1
    assert abs(int(act()) - want) <= 1  # from the cache


def rgb16(path, top):
    "A PNG of 16 bits a colour, which PIL can read but not write."
    def chunk(kind, data): return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + struct.pack(">96H", *[top] * 96) for _ in range(32))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 32, 32, 16, 2, 0, 0, 0)) +
                     chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def test_colours_of_16_bits(tmp_path):
    rgb16(tmp_path / "full.png", 60_000); rgb16(tmp_path / "dark.png", 4095)
    assert open_image(tmp_path / "full.png").getpixel((0, 0)) == (234,) * 3
    refused(["dark.png", "nearly black"], lambda: open_image(tmp_path / "dark.png"))


def test_one_rule_for_a_folder(tmp_path):
    "A dark file among bright ones is dark; a file that follows another rule is refused, whichever part it is in."
    f = folder(tmp_path / "own", grey(60_000))
    grey(3000)(0).save(f / "train/a/00.png")
    x = open_folder(f)[0].x
    assert x[0].max() == 12 and x[1].max() > 200
    f = folder(tmp_path / "mixed", grey(255, np.float32), "tiff")
    grey(1, np.float32)(0).save(f / "test/a/00.tiff")
    for _ in range(2): refused(["white is", "mixed"], lambda: open_folder(f))  # also when all of it is cached


# -- the cache

def bmp(i): return Image.new("RGB", (32, 32), (20 * i, 90, 0))


def freeze(f):
    for p in f.rglob("*.*"): os.utime(p, (10**9, 10**9))


def test_pictures_replaced_under_the_same_name_size_and_time(tmp_path):
    f = folder(tmp_path / "own", bmp, "bmp"); freeze(f)
    before = open_folder(f)[0].x
    folder(f, lambda i: bmp(i + 4), "bmp"); freeze(f)
    assert not torch.equal(open_folder(f)[0].x, before) and open_folder(f)[0].x[0, 0, 0, 0] == 80


def test_two_class_folders_swapped(tmp_path):
    f = folder(tmp_path / "own", bmp, "bmp"); freeze(f)
    before = open_folder(f)[0]
    for part in ("train", "test"):
        for old, new in (("a", "c"), ("b", "a"), ("c", "b")): (f / part / old).rename(f / part / new)
    after = open_folder(f)[0]
    assert after.y.tolist() == before.y.tolist() and not torch.equal(after.x, before.x)
    assert torch.equal(after.x[after.y == 0], before.x[before.y == 1])


def test_a_change_in_the_middle_of_a_large_file_with_another_time(tmp_path):
    f = folder(tmp_path / "own", lambda i: Image.new("RGB", (300, 300)), "bmp")
    open_folder(f)
    path = f / "train/a/00.bmp"
    data = bytearray(path.read_bytes()); data[30_000:90_000] = b"\xff" * 60_000
    before = path.stat()
    path.write_bytes(data); os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert open_folder(f)[0].x[0].max() > 200


def test_only_what_changed_is_decoded(tmp_path, monkeypatch):
    f, seen = folder(tmp_path / "own"), []
    read = pictures.open_image
    monkeypatch.setattr(pictures, "open_image", lambda path, *a: seen.append(Path(path).name) or read(path, *a))
    open_folder(f)
    assert len(seen) == 12
    seen.clear()
    Image.new("RGB", (32, 32), "blue").save(f / "train/a/new.png")
    assert open_folder(f)[0].x[-1, 2].min() == 255 and seen == ["new.png"]
    open_folder(f)
    assert seen == ["new.png"]


def test_a_flipped_bit_in_the_cache(tmp_path):
    f = folder(tmp_path / "own")
    before = open_folder(f)[0].x.clone()
    for path in cache_dir().iterdir():
        data = bytearray(path.read_bytes()); data[-2000] ^= 1
        path.unlink(); path.write_bytes(data)
    assert torch.equal(open_folder(f)[0].x, before)


# -- broken files, and what lies beside the pictures

def test_broken_files_are_named_together_and_the_others_kept(tmp_path, monkeypatch):
    f = folder(tmp_path / "own")
    for name in ("train/a/01.png", "train/b/02.png", "test/a/00.png"): (f / name).write_bytes(b"spoilt")
    refused(["3 files cannot be read", "a/01.png", "b/02.png", "a/00.png"], lambda: open_folder(f))
    for name in ("train/a/01.png", "train/b/02.png", "test/a/00.png"): (f / name).unlink()
    monkeypatch.setattr(folders, "decode_images", lambda *a, **k: pytest.fail("decoded again"))
    assert [len(s) for s in open_folder(f)] == [6, 3]


def test_a_broken_training_image_is_no_reason_not_to_score(tmp_path):
    f = folder(tmp_path / "own")
    (f / "train/a/01.png").write_bytes(b"spoilt")
    train, test = open_test(f, ["a", "b"], train=False)
    assert len(train) == 0 and len(test) == 4 and train is not None
    refused("01.png", lambda: open_test(f, ["a", "b"]))


left_there = ["Thumbs.db", "thumbs.db:encryptable", "ehthumbs.db", "desktop.ini", "Picasa.ini", "Icon\r", "README.md", "README first.txt",
              "a.png:Zone.Identifier", "@eaDir/", "__MACOSX/", ".DS_Store", "._a.png", ".ipynb_checkpoints/", "$RECYCLE.BIN/",
              "System Volume Information/", "lost+found/", "#recycle/", "ZbThumbnail.info"]


@pytest.mark.parametrize("place", ["train", "train/a", "test/b"])
@pytest.mark.parametrize("name", left_there, ids=[n.strip("/\r") for n in left_there])
def test_what_systems_leave_is_passed_over(tmp_path, capsys, name, place):
    f = folder(tmp_path / "own")
    if name.endswith("/"): (f / place / name).mkdir()
    else: (f / place / name).write_text("no picture")
    assert [len(s) for s in open_folder(f)] == [8, 4]
    assert capsys.readouterr().err.count("note: passed over") == 1


@pytest.mark.parametrize("name", ["photo.png", "labels.csv"])
def test_what_lies_beside_the_classes_is_named(tmp_path, capsys, name):
    f = folder(tmp_path / "own")
    (f / "train" / name).write_text("in no class")
    assert [len(s) for s in open_folder(f)] == [8, 4]
    assert capsys.readouterr().err == f"note: passed over what is no image of a class: {name} (1 in all)\n"


@pytest.mark.parametrize("name", ["readme.png", "README.jpg", "readme_2.PNG"])
def test_a_picture_may_be_called_readme(tmp_path, name):
    f = folder(tmp_path / "own")
    Image.new("RGB", (8, 8)).save(f / "train/a" / name)
    assert len(open_folder(f)[0]) == 9


no_images = {"photo.heic": (b"buy milk", "HEIC"), "photo.jpg": (b"\0\0\0\x18ftypheic\0\0", "HEIC"), "a.jxl": (b"x", "JPEG XL"),
             "b.png": (b"\xff\x0a\xfa", "JPEG XL"), "a.svg": (b'<?xml version="1.0"?>\n<svg>', "SVG"), "c.png": (b"<svg xmlns=''>", "SVG"),
             "a.pdf": (b"%PDF-1.4", "PDF"), "a.CR2": (b"x", "raw data"), "a.mp4": (b"x", "film"), "d.jpg": (b"<!DOCTYPE html><html>", "web page"),
             "e.png": (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"), "f.png": (b"", "empty"),
             "g.png": (b"PK\x03\x04", "archive")}


@pytest.mark.parametrize("name", no_images)
def test_what_is_no_image_is_named_with_what_to_do(tmp_path, name):
    content, words = no_images[name]
    (tmp_path / name).write_bytes(content)
    refused([f"{name}: not an image that PIL can read; ", words], lambda: open_image(tmp_path / name))


@pytest.mark.parametrize("kind", ["fifo", "device", "socket"])
def test_what_is_no_file_does_not_hang(tmp_path, kind):
    import socket
    path = tmp_path / "a.png"
    if kind == "fifo": os.mkfifo(path)
    elif kind == "device": path = Path("/dev/zero")
    else: socket.socket(socket.AF_UNIX).bind(str(path))
    start = time.monotonic()
    refused("it is no file", lambda: open_image(path))
    assert time.monotonic() - start < 5


# -- cameras, and very large pictures

def with_exif(*entries):
    "EXIF data of (tag, number or text), also such as no camera and no library writes."
    fields, more = b"", b""
    for tag, value in entries:
        if isinstance(value, int): fields += struct.pack(">HHIHH", tag, 3, 1, value, 0)
        else:
            text = value.encode() + b"\0"
            place = text.ljust(4, b"\0") if len(text) <= 4 else struct.pack(">I", 14 + 12 * len(entries) + len(more))
            fields, more = fields + struct.pack(">HHI", tag, 2, len(text)) + place, more + (text if len(text) > 4 else b"")
    return b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">H", len(entries)) + fields + b"\0\0\0\0" + more


half = Image.new("RGB", (40, 20)); half.paste("white", (0, 0, 20, 20))
exifs = {"upright": (with_exif((274, 1)), False), "turned": (with_exif((274, 6)), True), "a text": (with_exif((274, "6")), True), "a strange number": (with_exif((274, 77)), False),
         "words": (with_exif((274, "north")), False), "garbage": (b"Exif\0\0" + os.urandom(40), False), "cut": (with_exif((274, 6))[:20], False), "no header": (b"hello", False),
         "only a header": (b"Exif\0\0", False), "another tag of the wrong kind": (with_exif((274, 6), (282, "many"), (296, "inches")), True)}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("ext", ["jpg", "png", "webp"])
@pytest.mark.parametrize("name", exifs)
def test_unsound_exif_on_sound_pixels(tmp_path, name, ext):
    data, turned = exifs[name]
    half.save(tmp_path / f"a.{ext}", exif=data)
    got = open_image(tmp_path / f"a.{ext}")
    if name != "cut": assert got.size == ((20, 40) if turned else (40, 20))


@pytest.mark.parametrize("ext", ["jpg", "png", "webp", "tiff"])
def test_sound_orientations_are_as_pil_has_them(tmp_path, ext):
    from PIL import ImageOps
    image = half.copy()
    image.paste("red", (0, 0, 5, 5))
    for turn in range(1, 9):
        exif = Image.Exif(); exif[274] = turn
        image.save(tmp_path / f"a.{ext}", exif=exif)
        with Image.open(tmp_path / f"a.{ext}") as opened: want = ImageOps.exif_transpose(opened).convert("RGB")
        assert np.array_equal(np.asarray(open_image(tmp_path / f"a.{ext}")), np.asarray(want))


def peak(code):
    "Megabytes that a process needs to run some code, beyond those of its imports."
    start = "import resource,sys; from cifar10_nb.sources.pictures import open_image; from PIL import Image; import numpy\n" \
            "Image.init(); a = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", start + code + "\nprint((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - a) // 1024)"],
                          text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[-1])


@pytest.mark.parametrize("pixels", [(12_000, 9000), (16_320, 12_240)], ids=["108 megapixels", "200 megapixels"])
def test_large_photographs_are_answered(tmp_path, pixels):
    Image.new("L", pixels, 90).save(tmp_path / "a.jpg")
    assert peak(f"im = open_image({str(tmp_path / 'a.jpg')!r}, 32); assert im.size == (32, 32) and im.getpixel((9, 9)) == (90,) * 3") < 300


def png16(path, width, height):
    "A grey PNG of 16 bits, small on disk."
    def chunk(kind, data): return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    pack = zlib.compressobj(6)
    rows = (b"\0" + b"\xff\xff" * width) * 100
    data = b"".join(pack.compress(rows) for _ in range(height // 100)) + pack.flush()
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 0, 0, 0, 0)) + chunk(b"IDAT", data) + chunk(b"IEND", b""))


def test_a_small_file_does_not_take_all_memory(tmp_path):
    png16(tmp_path / "a.png", 13_000, 13_000)
    assert (tmp_path / "a.png").stat().st_size < 400_000
    assert peak(f"assert open_image({str(tmp_path / 'a.png')!r}, 32).getpixel((0, 0)) == (255,) * 3") < 1600


def test_bombs_are_refused(tmp_path):
    png16(tmp_path / "a.png", 60_000, 4000)
    refused(["a.png", "too many pixels", "save it as JPEG"], lambda: open_image(tmp_path / "a.png", 32))
    Image.new("L", (30_000, 30_000)).save(tmp_path / "b.jpg", quality=1)
    refused(["b.jpg", "too many pixels", "make it smaller"], lambda: open_image(tmp_path / "b.jpg", 32))


# -- names

@pytest.mark.filterwarnings("error::UserWarning")
@pytest.mark.parametrize("name", ["$5", "$a$", r"\$", "$\\frac{1}$", "cat_1^2", "猫", "고양이", "ねこ", "Кот", "ελ", "😀", "a\\b", "%d", "<b>"])
def test_names_in_pictures(name):
    names = [name, "b", "c"]
    scores = Scores(0.5, 1.0, 1.0, 6, f"folder:{name}", "none", dict(zip(names, (0.5, 0.4, 1.0))), [[1, 1, 0], [0, 1, 1], [0, 0, 2]], torch.zeros(6, 3))
    images = ImageSet(torch.zeros(6, 3, 32, 32, dtype=torch.uint8), torch.arange(6) % 3, names, "x")
    for fig in (plot_per_class(scores), plot_confusion(scores), images.show(3)): fig.savefig(io.BytesIO(), format="png")


def test_a_font_of_the_system_is_used_where_it_has_the_characters(monkeypatch):
    import matplotlib
    with matplotlib.rc_context():
        monkeypatch.setattr(core, "_font_for", lambda missing: "Some Font")
        assert drawable("猫") == "猫" and matplotlib.rcParams["font.family"][-1] == "Some Font"
        monkeypatch.setattr(core, "_font_for", lambda missing: None)
        assert drawable("猫a") == r"\u732ba"


@pytest.mark.parametrize("n", [2, 200])
def test_charts_for_few_and_many_classes(n):
    names = [f"class number {i}" for i in range(n)]
    confusion = torch.eye(n, dtype=torch.int64) * 3
    scores = Scores(1.0, 1.0, 0.1, 3 * n, "x", "none", dict.fromkeys(names, 1.0), confusion.tolist(), torch.zeros(3 * n, n))
    for fig in (plot_per_class(scores), plot_confusion(scores)):
        assert max(fig.get_size_inches()) <= 12
        assert sum(bool(t.get_text()) for ax in fig.axes for t in ax.get_xticklabels()) <= 50


def test_a_folder_whose_name_is_not_utf8(tmp_path):
    odd = os.fsdecode(b"caf\xe9")
    f = folder(tmp_path / odd, classes=(odd, "b"))
    train, test = open_folder(f)
    assert train.classes == ["b", r"caf\xe9"] and train.source == r"folder:caf\xe9" and train.digest()
    assert torch.equal(open_test(f / "test", train.classes)[1].y, test.y)
    fit(get_recipe("small", epochs=1, batch_size=4), train, None, 0, "cpu").save(tmp_path / odd / "run")
    json.loads((tmp_path / odd / "run/run.json").read_text())


def test_printable():
    assert printable("cat\x1b[2J\nx\u202e") == r"cat\x1b[2J\nx\u202e" and printable("Kätzchen 猫") == "Kätzchen 猫"
    refused("can be printed", lambda: ImageSet(torch.zeros(2, 3, 8, 8, dtype=torch.uint8), torch.arange(2), ["a\x1b[31m", "b"], "x"))


# -- places

def test_write_atomic_follows_no_link(tmp_path):
    (tmp_path / "secret").write_text("kept")
    for name in (f".out.json.{os.getpid()}.tmp", "out.json"): (tmp_path / name).symlink_to(tmp_path / "secret")
    write_atomic(tmp_path / "out.json", b"new")
    assert (tmp_path / "secret").read_text() == "kept" and (tmp_path / "out.json").read_bytes() == b"new"
    assert not (tmp_path / "out.json").is_symlink()


@pytest.mark.parametrize("place, words", [("a_file", "is a file: name a folder"), ("a_file/run", "a_file is a file"), ("/proc/run", "cannot be written"),
                                          ("/dev/null", "is a file"), ("dangling/run", "is a file")])
def test_places_that_cannot_be_written_to(tmp_path, monkeypatch, place, words):
    monkeypatch.chdir(tmp_path)
    Path("a_file").touch(); Path("dangling").symlink_to("nowhere")
    before = sorted(tmp_path.iterdir())
    refused(["--out", words], lambda: check_place(place, "--out"))
    check_place("new/folder", "--out")
    assert sorted(tmp_path.iterdir()) == before


homes = {"no variable, no entry": (None, 54321), "root's": ("/", 54321), "a folder that is not there": ("/nowhere", 54321), "empty": ("", 54321)}


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody else")
@pytest.mark.parametrize("case", homes)
def test_no_home(tmp_path, case):
    home, uid = homes[case]
    code = "import os; os.setgid(%d); os.setuid(%d)\nfrom cifar10_nb.core import cache_dir\nprint(cache_dir(), cache_dir())" % (uid, uid)
    os.chmod(tmp_path, 0o777)
    env = {k: v for k, v in os.environ.items() if k not in ("HOME", "XDG_CACHE_HOME")} | dict(TMPDIR=str(tmp_path)) | ({} if home is None else dict(HOME=home))
    for parent in tmp_path.parents:
        if parent != Path("/") and not parent.stat().st_mode & 1: pytest.skip("pytest's folder is closed to others")
    done = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, env=env, cwd="/")
    if "PermissionError" in done.stderr or "No module" in done.stderr: pytest.skip("the package is closed to others")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(tmp_path / f"cifar10_nb-{uid}")] * 2 and done.stderr.count("note:") == 1


def test_no_home_in_this_process(tmp_path, monkeypatch, capsys):
    "A bare number for a user, and no variable: Python itself does not know where home is."
    import pwd
    def unknown(uid): raise KeyError(uid)
    for name in ("XDG_CACHE_HOME", "HOME"): monkeypatch.delenv(name)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setattr(core.tempfile, "tempdir", str(tmp_path))
    core._homeless_cache.cache_clear()
    assert len(open_folder(folder(tmp_path / "own"))[0]) == 8 and len(open_folder(tmp_path / "own")[0]) == 8
    assert len(list((tmp_path / f"cifar10_nb-{os.getuid()}").iterdir())) == 2
    assert capsys.readouterr().err.count("note: there is no home folder") == 1
    refused("~/x: no such folder", lambda: open_data("~/x"))
    core._homeless_cache.cache_clear()


def test_no_home_and_a_planted_cache(tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME"); monkeypatch.setenv("HOME", "/nowhere")
    monkeypatch.setattr(core.tempfile, "tempdir", str(tmp_path))
    core._homeless_cache.cache_clear()
    (tmp_path / "theirs").mkdir()
    (tmp_path / f"cifar10_nb-{os.getuid()}").symlink_to(tmp_path / "theirs")
    refused(["is not yours", "XDG_CACHE_HOME"], cache_dir)
    (tmp_path / f"cifar10_nb-{os.getuid()}").unlink()
    assert cache_dir() == tmp_path / f"cifar10_nb-{os.getuid()}" and cache_dir().stat().st_mode & 0o77 == 0
    core._homeless_cache.cache_clear()


@pytest.mark.parametrize("name", ["~/cifar_test_images", "~nobody-of-this-name/x"])
def test_home_is_expanded_in_python_too(tmp_path, monkeypatch, name):
    monkeypatch.setenv("HOME", str(tmp_path))
    f = folder(tmp_path / "cifar_test_images")
    if name.startswith("~/"):
        assert len(open_data(name)[0]) == 8 and len(open_folder(name)[1]) == 4 and open_image(f"{name}/train/a/00.png").size == (32, 32)
        assert len(open_test(f"{name}/test", ["a", "b"])[1]) == 4
    else: refused("no such folder", lambda: open_data(name))


# -- data that is unusual, and sound

def test_a_channel_that_is_constant_trains(tmp_path):
    def red(i): return Image.fromarray(np.stack([np.random.default_rng(i).integers(0, 255, (32, 32)), np.zeros((32, 32)), np.full((32, 32), 9)], -1).astype(np.uint8))
    train, _ = open_folder(folder(tmp_path / "own", red, n=(8, 2)))
    for name in ("small", "quick"):
        run = fit(get_recipe(name, epochs=1, batch_size=4, micro_batch=0), train, None, 0, "cpu")
        assert min(run.model.info["std"]) > 0 and np.isfinite(run.history[-1]["train_loss"])
        run.save(tmp_path / name)
        from cifar10_nb.record.run import load_model
        load_model(tmp_path / name, "cpu")


def test_too_few_images_for_early_stopping():
    images = drawn(4, 2)[0]
    refused(["early stopping", "4 images", "--set valid=", "--set patience=0"], lambda: recipes["final"].hold_out(images))


packed = {"a.zip": "unzip a.zip", "a.tar.gz": "tar xf a.tar.gz", "a.tgz": "tar xf a.tgz", "a.csv": "a file: name the folder", "cifar-10-binary.tar.gz": "tar xf"}


@pytest.mark.parametrize("name", packed)
def test_files_in_place_of_folders(tmp_path, name):
    (tmp_path / name).write_bytes(b"x")
    refused([name, packed[name]], lambda: open_data(tmp_path / name))
    refused([name, packed[name]], lambda: open_test(tmp_path / name, ["a", "b"]))


def test_the_binary_version_is_explained(tmp_path):
    (tmp_path / "cifar-10-batches-bin").mkdir()
    refused("for Python", lambda: open_data(tmp_path / "cifar-10-batches-bin"))


def test_large_files_that_are_alike_where_they_are_looked_at(tmp_path):
    "Same size, same times, same samples: both are read, also from the cache."
    f = tmp_path / "own"
    for part in ("train", "test"):
        for k, name in enumerate("ab"):
            (f / part / name).mkdir(parents=True)
            pixels = np.full((128, 128, 3), 255, np.uint8)
            pixels[20:40, 10 + 50 * k:40 + 50 * k] = 0  # neither at the beginning, in the middle nor at the end
            Image.fromarray(pixels).save(f / part / name / "x.ppm")
            os.utime(f / part / name / "x.ppm", (0, 0))
    times = {p: os.stat_result for p in f.rglob("*.ppm")}
    assert len(times) == 4
    first, again = (open_folder(f)[0].x for _ in range(2))
    assert torch.equal(first, again) and not torch.equal(first[0], first[1])


def test_a_dark_bmp_of_five_six_five(tmp_path):
    width = height = 8
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 16, 3, 2 * width * height, 0, 0, 0, 0) + struct.pack("<III", 0xF800, 0x7E0, 0x1F)
    body = struct.pack("<H", (3 << 11) | (7 << 5) | 3) * (width * height)
    (tmp_path / "dark.bmp").write_bytes(b"BM" + struct.pack("<IHHI", 14 + len(head) + len(body), 0, 0, 14 + len(head)) + head + body)
    assert 20 < np.asarray(open_image(tmp_path / "dark.bmp", 32)).mean() < 32
