"The commands as a user runs them, most in a process of their own, on a small folder of drawn images."
import json
import os
import re
import subprocess
import sys

import pytest
import torch
from conftest import one_line, run, run_here
from PIL import Image

from cifar10_nb.commands import commands


def test_train_writes_what_it_prints(here, trained):
    on_file = json.loads((here / "first/run.json").read_text())
    assert {k: v for k, v in trained.items() if k != "out"} == on_file
    assert set(on_file["test"]) == {"top1", "top5", "loss"} and 0 <= on_file["test"]["top1"] <= 1
    assert on_file["recipe"]["epochs"] == 2 and on_file["recipe"]["batch_size"] == 20 and len(on_file["history"]) == 2
    assert on_file["source"] == "folder:images" and on_file["n_train"] == 192 and on_file["n_valid"] == 8


def test_evaluate_gives_the_same_digits(here, trained):
    done = run("cifar10_evaluate", "first/model.safetensors", "--data", "images", "--json", cwd=here)
    said = json.loads(done.stdout)
    assert said["test"] == trained["test"]
    wrong = sum(sum(row) - row[i] for i, row in enumerate(said["confusion"]))
    assert len(said["mistakes"]) == min(12, wrong) and all(m["true"] != m["predicted"] for m in said["mistakes"])
    done = run("cifar10_evaluate", "first", "--data", "images", "--tta", "flip", "--json", cwd=here)
    assert json.loads(done.stdout)["test"]["top1"] == trained["test_tta"]["top1"]


def test_same_seed_same_bytes_and_readable_table(here, trained):
    done = run("cifar10_train", "--data", "images", "--epochs", 2, "--batch_size", 20, "--out", "again", cwd=here)
    assert "test accuracy" in done.stdout and "next: cifar10_evaluate" in done.stdout
    assert (here / "again/model.safetensors").read_bytes() == (here / "first/model.safetensors").read_bytes()


def test_a_run_is_never_written_over(here, trained):
    before = (here / "first/run.json").read_bytes()
    one_line(run("cifar10_train", "--data", "images", "--out", "first", cwd=here), "first holds a run already")
    assert (here / "first/run.json").read_bytes() == before


def test_predict_any_picture(here, trained):
    photo = here / "a photo.png"
    Image.open(here / "images/test/frog" / sorted(os.listdir(here / "images/test/frog"))[0]).resize((200, 300)).convert("P").save(photo)
    done = run("cifar10_predict", photo, photo, "--weights", "first", "--topk", 3, "--json", cwd=here)
    said = json.loads(done.stdout)["predictions"]
    assert [len(p["top"]) for p in said] == [3, 3] and said[0]["top"] == said[1]["top"]
    assert said[0]["top"][0]["probability"] >= said[0]["top"][1]["probability"]


def test_predict_without_any_training(here, tmp_path):
    photo = here / "images/test/frog" / sorted(os.listdir(here / "images/test/frog"))[0]
    done = run("cifar10_predict", photo, cwd=tmp_path, env=dict(https_proxy="http://127.0.0.1:9", XDG_CACHE_HOME=str(tmp_path)))
    assert done.returncode == 0 and done.stderr == "", done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 8 and all(re.match(r"  +\d+\.\d\d%  [a-z]+$", line) for line in lines[1:6])
    assert "knows these classes only: airplane, " in lines[-1] and list(tmp_path.iterdir()) == []


def test_transfer_from_the_cache_folder_of_torch(here):
    from torchvision.models import resnet18
    home = here / "torch"
    (home / "hub/checkpoints").mkdir(parents=True)
    with torch.random.fork_rng():
        torch.save(resnet18().state_dict(), home / "hub/checkpoints/resnet18-f37072fd.pth")
    small = here / "few"
    for part in ("train", "test"):
        for name in ("cat", "dog"):
            (small / part / name).mkdir(parents=True)
            for f in sorted((here / "images" / part / name).iterdir())[:5]: (small / part / name / f.name).write_bytes(f.read_bytes())
    args = ("--recipe", "transfer", "--data", "few", "--epochs", 1, "--batch_size", 4, "--json")
    done = run("cifar10_train", *args, "--out", "transfer", cwd=here, env=dict(TORCH_HOME=str(home)))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["recipe"]["model"] == "resnet18_imagenet"
    # no file, and a network that answers nothing
    offline = dict(TORCH_HOME=str(here / "empty"), https_proxy="http://127.0.0.1:9", HTTPS_PROXY="http://127.0.0.1:9")
    done = run("cifar10_train", *args, "--out", "offline", cwd=here, env=offline)
    assert done.returncode == 2 and "no ImageNet weights: put https://" in done.stderr.strip().splitlines()[-1]
    assert not (here / "offline").exists()
    # a file that is no weights file
    (here / "broken/hub/checkpoints").mkdir(parents=True)
    (here / "broken/hub/checkpoints/resnet18-f37072fd.pth").write_bytes(b"nonsense")
    one_line(run("cifar10_train", *args, "--out", "offline", cwd=here, env=dict(TORCH_HOME=str(here / "broken"))), "is no weights file")


@pytest.mark.parametrize("args, words", [
    (("--recipe", "smal"), ("no recipe is called 'smal'", "small")),
    (("--epochs", "many"), ("--epochs", "'many'", "--help")),
    (("--epochs", "0"), ("epochs is 0",)),
    (("--batch_size", "0"), ("batch_size is 0",)),
    (("--lr", "nan"), ("lr is nan",)),
    (("--seeds", "0"), ("--seeds is 0",)),
    (("--seed", "-1"), ("--seed is -1",)),
    (("--device", "toaster"), ("no device 'toaster'",)),
    (("--data", "nowhere"), ("nowhere",)),
    (("--colour", "red"), ("--colour",)),
])
def test_mistakes_of_train(here, args, words):
    one_line(run_here("cifar10_train", *args, cwd=here), "cifar10_train: ", *words)
    assert not (here / "runs").exists()


@pytest.mark.parametrize("command, args, words", [
    ("cifar10_evaluate", ("nowhere",), ("no weights at nowhere",)),
    ("cifar10_evaluate", ("first", "--data", "images", "--tta", "twice"), ("'twice'", "none, flip, full")),
    ("cifar10_evaluate", ("images/test/cat",), ("no weights at",)),
    ("cifar10_evaluate", (), ("weights",)),
    ("cifar10_predict", ("no.png", "--weights", "first"), ("no.png",)),
    ("cifar10_predict", ("first/run.json", "--weights", "first"), ("run.json",)),
    ("cifar10_predict", ("no.png",), ("no.png: no such file",)),
    ("cifar10_predict", ("no.png", "--weights", "first", "--topk", "0"), ("topk is 0",)),
])
def test_mistakes_of_the_others(here, trained, command, args, words):
    one_line(run_here(command, *args, cwd=here), f"{command}: ", *words)


@pytest.mark.parametrize("command", ["cifar10_train", "cifar10_evaluate", "cifar10_predict", "cifar10_compare", "cifar10_file",
                                     "cifar10_ablate", "cifar10_bench", "cifar10_export"])
def test_help_is_complete(here, command):
    done = run_here(command, "--help", cwd=here)
    assert done.returncode == 0
    options = re.split(r"\n  (?=--|-h)", done.stdout)[1:]
    for option in options: assert len(re.sub(r"--?[\w-]+|[A-Z]+,?", "", option).split()) >= 2, f"no help for {option}"
    if command in ("cifar10_train", "cifar10_evaluate", "cifar10_predict"): assert "--json" in done.stdout and "--device" in done.stdout


@pytest.mark.parametrize("module", ["cifar10_nb", "cifar10_nb.commands"])
def test_the_package_as_a_program(here, trained, module):
    def start(*args): return subprocess.run([sys.executable, "-m", module, *args], cwd=here, text=True, capture_output=True)
    done = start()
    assert (done.returncode, done.stderr) == (0, "") and [line.split()[0] for line in done.stdout.splitlines()] == [*commands]
    assert start("--help").stdout == done.stdout
    one_line(start("cifar10_tran"), "there is no command 'cifar10_tran': choose one of cifar10_train, ")
    one_line(start("cifar10_evaluate", "nowhere"), "there are no weights at nowhere")


def test_a_run_knows_its_images(here, trained):
    "Digests of the images in run.json, and of the held-out ones in the weights file."
    from cifar10_nb.data import open_data
    from cifar10_nb.parts.recipe import recipes
    from cifar10_nb.record.run import load_model
    with pytest.MonkeyPatch.context() as m:
        m.chdir(here)
        images, test = open_data("images")
    train, valid = recipes["small"].hold_out(images)
    assert trained["digests"] == dict(train=train.digest(), valid=valid.digest(), test=test.digest())
    assert load_model(here / "first", "cpu").info["held_out"] == valid.digest()
