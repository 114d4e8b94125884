"""The two readers of files from outside, weights and image folders, given thousands of spoilt files: they may accept one, or answer
with an `InputError` of one line, and nothing else. A few seconds of it here; CIFAR10_NB_FUZZ=600 makes it ten minutes."""
import io
import json
import os
import random
import time

import pytest
import torch
from folders import write_images
from safetensors.torch import load, save

from cifar10_nb.core import InputError
from cifar10_nb.data import open_folder
from cifar10_nb.sources.draw import draw_image
from cifar10_nb.evaluate import predict
from cifar10_nb.record.run import load_model, shipped_weights

seconds = float(os.environ.get("CIFAR10_NB_FUZZ", 6)) / 8  # for each of the tests below
junk = [None, True, 0, -1, 2**70, 1e308, float("nan"), "", "cat", "\0", [], [[]], {}, {"a": 1}, [1, 2, 3], ["a"] * 10, ["a", "b"], "resnet18_imagenet", "speed_cnn"]


def rounds(name):
    "Random number generators until the time is up, but 21 at least, each with a seed of its own."
    start, seed = time.monotonic(), 0
    while time.monotonic() - start < seconds or seed <= 20:
        yield random.Random(f"{name} {seed}")
        seed += 1
    assert seed > 20
    print(f"{name}: {seed} files")


def bytes_spoilt(data, dice):
    "A few bytes changed, cut out, doubled or cut off."
    data = bytearray(data)
    for _ in range(dice.randint(1, 4)):
        at, n = dice.randrange(min(len(data), dice.choice((16, 300, 5000, 10**9)))), dice.randint(1, 40)
        change = dice.randrange(5)
        if change == 0: data[at] = dice.randrange(256)
        elif change == 1: data[at] ^= 1 << dice.randrange(8)
        elif change == 2: del data[at:at + n]
        elif change == 3: data[at:at] = data[at:at + n]
        else: del data[at + 1:]
        if not data: return b""
    return bytes(data)


def tree_spoilt(tree, dice):
    "A JSON value with something in it replaced by junk, or gone."
    if isinstance(tree, dict) and tree and dice.random() < 0.8:
        key = dice.choice(list(tree))
        if dice.random() < 0.2: return {k: v for k, v in tree.items() if k != key}
        return tree | {key: tree_spoilt(tree[key], dice)}
    if isinstance(tree, list) and tree and dice.random() < 0.5:
        at = dice.randrange(len(tree))
        return [*tree[:at], tree_spoilt(tree[at], dice), *tree[at + dice.randint(0, 1):]]
    return dice.choice(junk)


def survives(read, *args):
    "Is a file read, or refused in one line?"
    try: read(*args)
    except InputError as e: assert "\n" not in str(e) and len(str(e)) < 2000, str(e)


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    path = tmp_path_factory.mktemp("fuzz") / "frog.png"
    draw_image("frog", random.Random(0), 32).save(path)
    return path


def use(path, picture): predict(load_model(path, "cpu"), [picture])


def test_weights_bytes(tmp_path, picture):
    whole, path = shipped_weights().read_bytes(), tmp_path / "spoilt.safetensors"
    for dice in rounds("weights, bytes"):
        path.write_bytes(bytes_spoilt(whole, dice))
        survives(use, path, picture)


def test_weights_header(tmp_path, picture):
    whole, path = shipped_weights().read_bytes(), tmp_path / "spoilt.safetensors"
    state, info = load(whole), load_model(shipped_weights(), "cpu").info
    for dice in rounds("weights, header"):
        spoilt = dict(state)
        if dice.random() < 0.3: spoilt[dice.choice(list(state))] = torch.zeros([dice.randint(0, 3)] * dice.randint(0, 4), dtype=dice.choice((torch.float32, torch.int8, torch.bool)))
        path.write_bytes(save(spoilt, metadata={"cifar10_nb": json.dumps(tree_spoilt(info, dice))}))
        survives(use, path, picture)


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf"), 1, "0.7", None, [0.7]], ids=str)
def test_no_such_temperature(tmp_path, temperature):
    info = load_model(shipped_weights(), "cpu").info | dict(temperature=temperature)
    (tmp_path / "odd.safetensors").write_bytes(save(load(shipped_weights().read_bytes()), metadata={"cifar10_nb": json.dumps(info)}))
    with pytest.raises(InputError, match="was not written by this package"): load_model(tmp_path / "odd.safetensors", "cpu")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP"])
@pytest.mark.filterwarnings("ignore")
def test_images(tmp_path, monkeypatch, kind):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_images(tmp_path / "images", 20, 10)
    draw_image("dog", random.Random(1), 48).save(file := io.BytesIO(), kind)
    for dice in rounds(f"images, {kind}"):
        (tmp_path / f"images/train/dog/spoilt.{kind.lower()}").write_bytes(bytes_spoilt(file.getvalue(), dice))
        survives(open_folder, tmp_path / "images")
