"Every advice that a message gives is followed here, word by word, and works."
import os
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from folders import write_images
from test_runs import Break, alone, broken, run, stop, tiny, weights  # noqa: F401 (fixtures)

from cifar10_nb import commands as commands_module
from cifar10_nb.core import InputError
from cifar10_nb.data import drawn
from cifar10_nb.jobs import opened_from, run_one
from cifar10_nb.lab import studies as studies_module
from cifar10_nb.record.checkpoint import Checkpoints, Interrupted, checkpoints
from cifar10_nb.train import Trainer, fit

short = "cifar10_train", "--epochs", 2, "--batch-size", 20, "--device", "cpu"


@pytest.fixture
def base(tmp_path):
    "A folder of images, and the weights of a run without interruption."
    write_images(tmp_path / "base", 80, 20)
    assert run(*short, "--data", "base", "--out", "whole").returncode == 0
    return tmp_path / "base"


def advised(done):
    "The command that the last line names, as a shell understands it."
    command = done.last.rpartition("to go on: ")[2]
    words = subprocess.run(["bash", "-c", f"printf '%s\\0' {command}"], capture_output=True, check=True).stdout
    return [os.fsdecode(word) for word in words.split(b"\0")[:-1]]


@pytest.mark.parametrize("data", [None, "auto", "cifar10", "base", "./base", "../{here}/base"])
@pytest.mark.parametrize("out", ["out", "with blanks/$and 'more'"])
def test_resume_after_ctrl_c(base, stop, monkeypatch, data, out):
    "What was opened is remembered, not the word for it: CIFAR10_NB_DATA may have another value the next day."
    if data in (None, "auto", "cifar10"): monkeypatch.setenv("CIFAR10_NB_DATA", "base")
    given = ["--data", data.format(here=base.parent.name)] if data else []
    stop(3)
    done = run(*short, *given, "--out", out)
    assert done.returncode == 130 and done.stdout == "", done.stderr
    stop()
    monkeypatch.delenv("CIFAR10_NB_DATA", raising=False)
    assert run(*advised(done)).returncode == 0
    assert weights(out) == weights("whole")


@pytest.mark.parametrize("out", ["two  blanks", "line\nbreak", os.fsdecode(b"caf\xe9"), "it's\tA4"])
def test_resume_of_a_folder_with_an_odd_name(base, stop, out):
    stop(3)
    done = run(*short, "--data", "base", "--out", out)
    stop()
    assert done.returncode == 130 and run(*advised(done)).returncode == 0 and weights(out) == weights("whole")


def test_resume_after_ctrl_c_without_out(base, stop):
    stop(3)
    done = run(*short, "--data", "base")
    stop()
    assert run(*advised(done)).returncode == 0 and weights("runs/small-base-seed0") == weights("whole")


@pytest.mark.parametrize("data, source, place, told", [("auto", "drawn", None, "drawn"), ("auto", "cifar10", None, "cifar10"), ("cifar10", "cifar10", None, "cifar10"),
    ("auto", "cifar10", "/place", "/place"), ("cifar10", "folder:x", "/place", "/place"), ("/a/b", "cifar10", "/place", "/a/b"), ("drawn", "drawn", "/place", "drawn"), ("", "drawn", None, "")])
def test_what_was_opened(monkeypatch, data, source, place, told):
    if place: monkeypatch.setenv("CIFAR10_NB_DATA", place)
    assert opened_from(data, source) == told and (told == "" or opened_from(told, source) == told)


@pytest.mark.parametrize("out", ["out", ""])
def test_the_same_command_after_ctrl_c_among_several_seeds(base, stop, monkeypatch, out):
    monkeypatch.setenv("CIFAR10_NB_DATA", "base")
    args = (*short, "--seeds", 2, *(["--out", out] if out else []))
    stop(3)
    done = run(*args)
    assert done.returncode == 130 and done.last == "cifar10_train: stopped after step 3; to go on: give the same command again"
    stop()
    assert run(*args).returncode == 0
    assert weights(Path(out or "runs/small-base-seed0") / "seed0") == weights("whole")


def test_resume_after_ctrl_c_in_a_study(base, stop, monkeypatch):
    monkeypatch.setitem(studies_module.studies, "ablation", {"all": replace(tiny, name="all"), "longer": replace(tiny, name="longer", epochs=3)})
    args = ("cifar10_ablate", "--data", "base", "--seeds", 1, "--device", "cpu", "--out", "study")
    stop(3)
    done = run(*args)
    assert done.returncode == 130
    stop()
    assert run(*advised(done)).returncode == 0
    again = run(*args)
    assert again.returncode == 0 and "| longer |" in again.stdout


def test_a_hook_that_knows_no_images_names_no_command(stop):
    "Checkpoints without `data`: the command could not open them again."
    trainer = Trainer(tiny, drawn(80, 20)[0], device="cpu", hooks=[Checkpoints("out")])
    trainer.hooks[-1].running = lambda t: __import__("contextlib").nullcontext(setattr(trainer.hooks[-1], "asked", True))
    with pytest.raises(Interrupted, match="to go on: call fit\\(\\) of this trainer$"): trainer.fit()
    assert run("cifar10_train", "--resume", "out").last.endswith("it was not written by cifar10_train")
    del trainer.hooks[-1].running
    assert trainer.fit().epochs == 2


@pytest.mark.parametrize("data", ["base", "drawn"])
def test_what_to_do_next(base, monkeypatch, data):
    "The two commands under the table of a run."
    if data == "drawn": monkeypatch.setattr(commands_module, "open_data", lambda source, **how: drawn(80, 20))
    done = run(*short, "--data", data, "--out", "a run")
    evaluate, predict = (shlex.split(line.removeprefix("next:")) for line in done.stdout.splitlines()[-2:])
    said = run(*evaluate)
    assert said.returncode == 0, said.stderr
    photo = next(base.rglob("test/*/*.png"))
    assert run(*[photo if word == "PHOTO.jpg" else word for word in predict]).returncode == 0


def test_damaged_checkpoints(base, stop):
    stop(3)
    run(*short, "--data", "base", "--out", "out")
    stop()
    for path in checkpoints("out"): path.write_bytes(b"damaged")
    done = run(*short, "--data", "base", "--out", "out")
    assert done.returncode == 2 and done.last.endswith("all checkpoints in out are damaged: remove them to start again from the beginning")
    for path in checkpoints("out"): path.unlink()
    assert run(*short, "--data", "base", "--out", "out").returncode == 0 and weights("out") == weights("whole")


@pytest.mark.parametrize("remove", [True, False])
def test_a_checkpoint_of_another_version(base, stop, monkeypatch, remove):
    from cifar10_nb.record import checkpoint
    usual = checkpoint.save_tree
    monkeypatch.setattr(checkpoint, "save_tree", lambda tree: usual({k: v for k, v in tree.items() if k != "digests"}))
    stop(3)
    run(*short, "--data", "base", "--out", "out")
    stop()
    monkeypatch.undo()
    done = run(*short, "--data", base, "--out", base.parent / "out")
    assert done.returncode == 2 and done.last.endswith("was not written by this version of the package: remove it, or choose another folder")
    if remove:
        for path in checkpoints(base.parent / "out"): path.unlink()
    out = base.parent / ("out" if remove else "other")
    assert run(*short, "--data", base, "--out", out).returncode == 0 and weights(out) == weights(base.parent / "whole")


def test_another_recipe_in_the_folder(stop):
    stop(3)
    with pytest.raises(Interrupted): run_one(tiny, *drawn(80, 20), 0, "cpu", "out", "drawn")
    stop()
    with pytest.raises(InputError, match="out holds an unfinished run of another recipe or seed: choose another folder"):
        fit(tiny, drawn(80, 20)[0], seed=1, device="cpu", hooks=[Checkpoints("out")])
    assert fit(tiny, drawn(80, 20)[0], seed=1, device="cpu", hooks=[Checkpoints("other")]).epochs == 2


def test_memory(base, monkeypatch):
    "torch says on a CPU by a RuntimeError that there is no memory left, numpy and Python by a MemoryError."
    said = "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate 4000000000000 bytes. Error code 12"
    windows = "[enforce fail at alloc_cpu.cpp:80] data. DefaultCPUAllocator: not enough memory: you tried to allocate 4000000000000 bytes."
    for error in (RuntimeError(said), RuntimeError(windows), MemoryError()):
        def fail(*args, **kwargs): raise error
        monkeypatch.setattr(commands_module, "run_seeds", fail)
        done = run(*short, "--data", "base", "--out", "out")
        assert done.returncode == 2 and done.last == "cifar10_train: there is not enough memory: use a smaller --batch-size, or fewer images"
    monkeypatch.setattr(commands_module, "run_seeds", lambda *a, **k: (_ for _ in ()).throw(RuntimeError("something else")))
    with pytest.raises(RuntimeError, match="something else"): run(*short, "--data", "base", "--out", "out")


def test_a_folder_that_cannot_be_written(base, monkeypatch):
    "Not every failure to write is a lack of space. What was written before is kept, and the same command goes on."
    from cifar10_nb.record import checkpoint
    usual, count = checkpoint.write_atomic, iter(range(100))
    def write(path, data):
        if next(count) == 1: raise PermissionError(13, "Permission denied")
        usual(path, data)
    monkeypatch.setattr(checkpoint, "write_atomic", write)
    done = run(*short, "--data", "base", "--out", "out")
    assert done.returncode == 2 and done.last.endswith("no checkpoint could be written into out (Permission denied): make it a folder that can be "
        "written, then give the same command again")
    assert len(checkpoints("out")) == 1 and run(*short, "--data", "base", "--out", "out").returncode == 0 and weights("out") == weights("whole")


@pytest.mark.parametrize("source, name", [("cifar10", "cifar-10-batches-py"), ("cifar100", "cifar-100-python")])
def test_which_of_two_archives_was_opened(monkeypatch, tmp_path, source, name):
    for other in ("cifar-10-batches-py", "cifar-100-python"): (tmp_path / other).mkdir()
    monkeypatch.setenv("CIFAR10_NB_DATA", str(tmp_path))
    assert opened_from(source, source) == str(tmp_path / name)
