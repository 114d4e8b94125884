"What a run leaves in its folder, and what it refuses to go on with: other files, other images, other code, numbers that are none."
import contextlib
import json
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import run_here as run
from folders import write_images

from cifar10_nb import commands as commands_module
from cifar10_nb import jobs as jobs_module
from cifar10_nb.core import InputError, to_json
from cifar10_nb.data import drawn
from cifar10_nb.jobs import FolderInUse, run_one
from cifar10_nb.lab.results import file_result, group_runs
from cifar10_nb.parts.recipe import recipes
from cifar10_nb.record.checkpoint import Checkpoints, Interrupted, checkpoints, newest_checkpoint
from cifar10_nb.record.run import Run, read_run
from cifar10_nb.train import Trainer, fit

tiny = replace(recipes["small"], epochs=2, batch_size=20, warmup=0, sizes=(), valid=0.1)


@pytest.fixture(scope="module")
def images(): return drawn(80, 20)


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    "A folder, a cache and an environment of its own."
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("CIFAR10_NB_DATA", raising=False)
    monkeypatch.chdir(tmp_path)


pytestmark = pytest.mark.usefixtures("usual_hangup")


class Stop:
    "Ctrl-C after some steps."
    def __init__(self, *steps): self.steps = steps
    def after_step(self, t, index, losses):
        if t.n_steps in self.steps: signal.raise_signal(signal.SIGINT)


@pytest.fixture
def stop(monkeypatch):
    "A function: from now on, runs of `jobs` are stopped after these steps (none: not any more)."
    def stop_after(*steps):
        def trainer(*args, **kwargs):
            made = Trainer(*args, **kwargs)
            made.hooks.insert(0, Stop(*steps))
            return made
        monkeypatch.setattr(jobs_module, "Trainer", trainer)
    return stop_after


def weights(folder): return (Path(folder) / "model.safetensors").read_bytes()


# Checkpoints and other files

def save_at(folder, *steps):
    "A run that is stopped after each of these steps, in lives of its own."
    for step in steps:
        with pytest.raises(Interrupted): fit(tiny, drawn(80, 20)[0], device="cpu", hooks=[Stop(step), Checkpoints(folder)])


def steps_in(folder): return [int(p.name.split("-")[1]) for p in checkpoints(folder)]


@pytest.mark.parametrize("name", ["checkpoint-backup.safetensors", "checkpoint-zz.safetensors", "checkpoint-00000009-copy.safetensors",
    "checkpoint-00000009-0123456789abcdef (1).safetensors", "checkpoint-9-0123456789abcdef.safetensors", "checkpoint-00000009-0123456789abcdef.safetensors.bak"])
def test_a_file_of_the_user_is_no_checkpoint(tmp_path, name):
    save_at(tmp_path / "run", 1)
    shutil.copy(checkpoints(tmp_path / "run")[0], tmp_path / "run" / name)
    save_at(tmp_path / "run", 2, 3, 5)
    assert steps_in(tmp_path / "run") == [4, 5] and (tmp_path / "run" / name).exists()
    assert newest_checkpoint(tmp_path / "run") == checkpoints(tmp_path / "run")[-1]
    run_one(tiny, *drawn(80, 20), 5, "cpu", tmp_path / "other")  # a finished run removes its own
    fit(tiny, drawn(80, 20)[0], device="cpu", hooks=[Checkpoints(tmp_path / "run")])
    assert (tmp_path / "run" / name).exists()


def test_an_older_backup_put_back_beside_damaged_ones(tmp_path, capsys):
    "The checkpoint just written has fewer steps than the damaged ones, and is not the one that goes."
    save_at(tmp_path / "run", 1, 2)
    backup = checkpoints(tmp_path / "run")[0]
    shutil.copy(backup, tmp_path)
    save_at(tmp_path / "run", 5, 6)
    for path in checkpoints(tmp_path / "run"): path.write_bytes(path.read_bytes()[:-1])
    shutil.copy(tmp_path / backup.name, tmp_path / "run")
    save_at(tmp_path / "run", 2, 3)
    assert steps_in(tmp_path / "run") == [2, 3, 5, 6]
    assert "is damaged and passed over" in capsys.readouterr().err
    whole = fit(tiny, drawn(80, 20)[0], device="cpu")
    gone_on = fit(tiny, drawn(80, 20)[0], device="cpu", hooks=[Checkpoints(tmp_path / "run")])
    for a, b in zip(whole.model.state_dict().values(), gone_on.model.state_dict().values()): assert torch.equal(a, b)
    assert steps_in(tmp_path / "run") == [4, 8]  # one an epoch


def test_steps_count_as_numbers(tmp_path):
    for step in (99_999_999, 100_000_000): (tmp_path / f"checkpoint-{step:08}-0123456789abcdef.safetensors").write_bytes(b"")
    assert [int(p.name.split("-")[1]) for p in checkpoints(tmp_path)] == [99_999_999, 100_000_000]


# Runs that others have finished

def test_a_run_that_was_finished_in_the_meantime_is_kept(images, monkeypatch):
    "Two starts into one folder; the first is slow to read its images, so it looks into the folder, and then comes second."
    write_images(Path("images"), 80, 20)
    args = ("cifar10_train", "--data", "images", "--epochs", 1, "--batch-size", 20, "--device", "cpu", "--out", "out")
    usual, begun = commands_module.open_data, []
    def slow(data, **how):
        monkeypatch.setattr(commands_module, "open_data", usual)
        begun.append(run(*args, "--seed", 1))
        return usual(data, **how)
    monkeypatch.setattr(commands_module, "open_data", slow)
    late = run(*args, "--seed", 0)
    assert begun[0].returncode == 0, begun[0].stderr
    assert late.returncode == 2 and late.last == "cifar10_train: out holds another run: choose another --out"
    assert read_run("out")["seed"] == 1 and [p.name for p in sorted(Path("out").iterdir())] == ["model.safetensors", "run.json"]
    assert run(*args[:-1], "out2", "--seed", 0).returncode == 0  # as advised


@pytest.mark.parametrize("what", ["seed", "recipe", "weights only", "seeds"])
def test_the_folder_is_looked_at_under_the_lock(images, what):
    if what == "seed": run_one(tiny, *images, 1, "cpu", "out")
    if what == "recipe": run_one(replace(tiny, epochs=1), *images, 0, "cpu", "out")
    if what == "weights only": Path("out").mkdir(), Path("out/model.safetensors").write_bytes(b"mine")
    if what == "seeds": Path("out/seed0").mkdir(parents=True)
    before = {p: p.read_bytes() for p in Path("out").rglob("*") if p.is_file()}
    with pytest.raises(FolderInUse, match="out holds another run: choose another --out"): run_one(tiny, *images, 0, "cpu", "out")
    assert {p: p.read_bytes() for p in Path("out").rglob("*") if p.is_file()} == before


def test_a_finished_run_on_other_images_is_not_this_one(images):
    train, test = images
    first = run_one(tiny, train, test, 0, "cpu", "out")
    assert run_one(tiny, replace(train, source="folder:renamed"), test, 0, "cpu", "out").test == first.test  # a name is nothing
    for other in ((replace(train, x=255 - train.x), test), (train, replace(test, x=255 - test.x)), (train, test.subset(10))):
        with pytest.raises(InputError, match="out holds a run on other images, drawn: choose another --out"): run_one(tiny, *other, 0, "cpu", "out")
    assert run_one(tiny, replace(train, x=255 - train.x), test, 0, "cpu", "out2").test


# What a run was made with

def test_uncommitted_changes_are_not_forgotten(images, stop, monkeypatch, capsys):
    monkeypatch.setenv("CIFAR10_NB_COMMIT", "aaaa+changes")
    stop(3)
    with pytest.raises(Interrupted): run_one(tiny, *images, 0, "cpu", "out", "drawn")
    monkeypatch.setenv("CIFAR10_NB_COMMIT", "bbbb")
    stop()
    run_one(tiny, *images, 0, "cpu", "out", "drawn")
    assert "note: the run goes on with commit bbbb (it was aaaa+changes), so it may end otherwise; run.json says so" in capsys.readouterr().err
    made = read_run("out")
    assert made["commit"] == "bbbb" and [(m["commit"], m["steps"]) for m in made["moved"]] == [("aaaa+changes", 3)] and made["timed"] is False
    with pytest.raises(InputError, match="out was made with uncommitted changes"): file_result("out", "results")
    assert not Path("results").exists()


@pytest.mark.parametrize("commits, filed", [(("aaaa", "bbbb"), True), (("", "bbbb"), False), (("aaaa", "bbbb+changes"), False), (("aaaa", "aaaa"), True)])
def test_every_commit_of_a_run_counts(images, commits, filed):
    made = run_one(tiny, *images, 0, "cpu", "out").to_dict()
    Path("out/run.json").write_text(json.dumps(made | dict(commit=commits[1], moved=[dict(device={}, versions={}, commit=commits[0], steps=1)])))
    with contextlib.nullcontext() if filed else pytest.raises(InputError, match="commit"): file_result("out", "results")


def test_another_number_of_threads_is_recorded(images, stop, capsys):
    threads = torch.get_num_threads()
    stop(3)
    with pytest.raises(Interrupted): run_one(tiny, *images, 0, "cpu", "out", "drawn")
    try:
        torch.set_num_threads(threads + 1)
        stop()
        run_one(tiny, *images, 0, "cpu", "out", "drawn")
    finally: torch.set_num_threads(threads)
    assert f"threads {threads + 1} (it was {threads})" in capsys.readouterr().err
    made = read_run("out")
    assert made["device"]["threads"] == threads + 1 and made["moved"][0]["device"]["threads"] == threads


@pytest.mark.parametrize("what", ["training", "held-out", "test"])
def test_images_that_were_rewritten_between_kill_and_resume(images, stop, what):
    (train, test), other = images, lambda s: replace(s, x=255 - s.x)
    stop(3)
    with pytest.raises(Interrupted): run_one(tiny, train, test, 0, "cpu", "out", "drawn")
    stop()
    before = checkpoints("out")
    own, held = tiny.hold_out(train)
    if what == "held-out":
        with pytest.raises(InputError, match="an unfinished run on other held-out images"):
            Trainer(tiny, own, other(held), 0, "cpu", [Checkpoints("out")])
        assert Trainer(tiny, own, held, 0, "cpu", [Checkpoints("out")]).n_steps == 3
    elif what == "test":
        with pytest.raises(InputError, match="an unfinished run on other test images"): run_one(tiny, train, other(test), 0, "cpu", "out")
    else:
        with pytest.raises(InputError, match="an unfinished run on other training and held-out images: go on with those that it began with"):
            run_one(tiny, other(train), test, 0, "cpu", "out")
    assert checkpoints("out") == before and run_one(tiny, train, test, 0, "cpu", "out").digests["test"] == test.digest()


def test_seeds_of_other_images_share_no_mean(images):
    made = run_one(replace(tiny, epochs=1), *images, 0, "cpu", "out").to_dict()
    made = json.loads(json.dumps(made))
    assert made["digests"].keys() == {"train", "valid", "test"}
    like = lambda seed, **digests: dict(made, seed=seed, digests=dict(made["digests"], **digests))
    groups = group_runs([like(0), like(1), like(2, test="other"), like(3, train="other"), like(4, test="other"), dict(made, seed=5, digests={})])
    assert [[r["seed"] for r in g] for g in groups] == [[0, 1, 5], [2, 4], [3]]


# Numbers that are none

class Break:
    "At a step, weights of which a product is too large for a number, though each of them is finite."
    def __init__(self, step=1, value=1e38): self.step, self.value = step, value
    def after_step(self, t, index, losses):
        if t.n_steps == self.step: t.model.head.weight.data.fill_(self.value)


@pytest.fixture
def broken(monkeypatch):
    "Runs of `jobs` break at a step."
    def at(step):
        def trainer(*args, **kwargs):
            made = Trainer(*args, **kwargs)
            made.hooks.insert(0, Break(step))
            return made
        monkeypatch.setattr(jobs_module, "Trainer", trainer)
    return at


def test_a_loss_on_held_out_images_that_is_no_number(images):
    train, valid = images[0].split(20)
    with pytest.raises(InputError, match="the loss on held-out images became nan in epoch 1, by step 3, .*: use a smaller --lr$"):
        fit(tiny, train, valid, device="cpu", hooks=[Break(3)])


def test_a_test_loss_that_is_no_number(images, broken):
    recipe = replace(tiny, valid=0.0)
    broken(8)
    with pytest.raises(InputError, match="the loss on test images became nan in epoch 2, by step 8, .*: use a smaller --lr, and another folder"):
        run_one(recipe, *images, 0, "cpu", "out", "drawn")
    assert not Path("out/run.json").exists() and not Path("out/model.safetensors").exists()


def test_an_average_that_is_no_number(images):
    class BreakAverage:
        def after_step(self, t, index, losses): t.final.head.weight.data.fill_(float("inf"))
    with pytest.raises(InputError, match="a weight became infinite in epoch 1"):
        fit(replace(tiny, ema=0.9), images[0], device="cpu", hooks=[BreakAverage()])


def test_divergence_on_the_command_line(broken):
    "Exit code 2, one line, no results; the advice works."
    broken(6)
    write_images(Path("images"), 80, 20)
    args = ("cifar10_train", "--data", "images", "--epochs", 2, "--batch-size", 20, "--device", "cpu")
    failed = run(*args, "--lr", 0.1, "--out", "out")
    assert failed.returncode == 2 and failed.stdout == "" and "use a smaller --lr, and another folder (the last good" in failed.last
    assert not Path("out/run.json").exists()
    broken(0)
    assert run(*args, "--lr", 0.01, "--out", "out2").returncode == 0


def test_json_has_no_nan(images, tmp_path):
    made = run_one(replace(tiny, epochs=1), *images, 0, "cpu", "out")
    made.history[0]["valid_loss"], made.test["loss"] = float("nan"), float("inf")
    made.save(tmp_path / "odd")
    text = (tmp_path / "odd/run.json").read_text()
    assert "NaN" not in text and "Infinity" not in text and json.loads(text)["test"]["loss"] is None
    for value in (float("nan"), [float("inf")], dict(a=(1.5, -float("inf")))): assert "null" in to_json(value)


# Going on

def test_the_stop_button_again_and_again(images):
    "A trainer that was stopped goes on as often as it is called, with any of the signals, and in any order."
    trainer = Trainer(tiny, images[0], device="cpu", hooks=[Stop(2)])
    with pytest.raises(Interrupted): trainer.fit()
    trainer.hooks = [h for h in trainer.hooks if not isinstance(h, Stop)]
    assert trainer.fit().epochs == 2 and trainer.n_steps == 8


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize("kept", [False, True])
def test_signals_stop_between_steps(images, kept, name):
    number = getattr(signal, name)
    class Press:
        def after_step(self, t, index, losses):
            if t.n_steps in (3, 5): signal.raise_signal(number)
            if t.n_steps in (3, 5) and name != "SIGINT": signal.raise_signal(number)  # a shell and a cluster say it twice
    whole, trainer = fit(tiny, images[0], device="cpu"), Trainer(tiny, images[0], device="cpu", hooks=[Press(), *([Checkpoints("out")] if kept else [])])
    before = signal.getsignal(number)
    for step in (3, 5):
        with pytest.raises(Interrupted): trainer.fit()
        assert trainer.n_steps == step and signal.getsignal(number) == before
    for a, b in zip(whole.model.state_dict().values(), trainer.fit().model.state_dict().values()): assert torch.equal(a, b)


def test_nohup_stays(images):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        class Press:
            def after_step(self, t, index, losses): signal.raise_signal(signal.SIGHUP)
        assert fit(replace(tiny, epochs=1), images[0], device="cpu", hooks=[Press()]).epochs == 1
    finally: signal.signal(signal.SIGHUP, before)


def test_images_that_were_moved(stop):
    "--resume with --data: the same images in another place go on to the same bytes; others are refused."
    write_images(Path("images"), 80, 20)
    args = ("cifar10_train", "--epochs", 2, "--batch-size", 20, "--device", "cpu")
    assert run(*args, "--data", "images", "--out", "whole").returncode == 0
    stop(5)
    assert run(*args, "--data", "images", "--out", "out").returncode == 130
    stop()
    Path("images").rename("moved")
    gone = run("cifar10_train", "--resume", "out", "--device", "cpu")
    assert gone.returncode == 2 and gone.last.endswith(f"the images of this run were in {Path.cwd() / 'images'}, which is gone: say with --data where they are now")
    write_images(Path("others"), 60, 20)
    other = run("cifar10_train", "--resume", "out", "--device", "cpu", "--data", "others")
    assert other.returncode == 2 and "out holds an unfinished run on other training and held-out images" in other.last
    done = run("cifar10_train", "--resume", "out", "--device", "cpu", "--data", "moved")
    assert done.returncode == 0, done.stderr
    assert weights("out") == weights("whole") and read_run("out")["source"] == "folder:moved"
