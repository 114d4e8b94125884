"Several processes: sharing one run under torchrun, and seeds side by side."
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import preloaded, run

from cifar10_nb.core import InputError
from cifar10_nb.machine.ranks import init_ranks
from cifar10_nb.record.checkpoint import checkpoints

torchrun = [Path(sys.executable).parent / "torchrun", "--standalone", "--nproc-per-node", "2"]  # on a free port
command = Path(sys.executable).parent / "cifar10_train"
together = [*torchrun, "--no-python", command]
train = [*together, "--data", "images", "--batch-size", "16", "--device", "cpu"]

steps = """
import json, os, torch
from dataclasses import replace
from cifar10_nb.data import drawn
from cifar10_nb.machine.ranks import end_ranks, init_ranks
from cifar10_nb.parts.recipe import lr_at, recipes
from cifar10_nb.train import Trainer

def losses():
    recipe = replace(recipes["final"], model="small_cnn", batch_size=32, warmup=0, epochs=9, patience=0, precision="fp32")
    trainer = Trainer(recipe, drawn(320, 10)[0], seed=3, device="cpu")
    trainer.model.eval()  # batch statistics are those of a share of the batch
    for epoch in range(2):
        for x, y, index in trainer.batches:
            x, y = trainer.prepare(x, y, index)
            trainer.set_lr(lr_at(recipe, trainer.n_steps, trainer.steps))
            losses, out = trainer.step(x, y)
            trainer.count(losses, out, y)
            assert out.shape == y.shape
            yield losses.mean().item()

torch.set_num_threads(1)
init_ranks("cpu")
found = list(losses())
if end_ranks() == 0: print(json.dumps(found), flush=True)
os._exit(0)  # as the command does
"""


pytestmark = pytest.mark.usefixtures("usual_hangup")


def quiet(): return dict(os.environ, OMP_NUM_THREADS="1", PYTHONWARNINGS="ignore")


def test_two_ranks_take_the_same_steps_as_one(tmp_path):
    (tmp_path / "steps.py").write_text(steps)
    found = []
    for start in ([sys.executable], torchrun):
        done = subprocess.run([*start, tmp_path / "steps.py"], text=True, capture_output=True, env=quiet())
        assert done.returncode == 0, done.stderr
        found.append(json.loads(done.stdout))
    assert len(found[0]) == 20 and found[0][0] != found[0][-1]
    assert found[1] == pytest.approx(found[0], rel=1e-4)


def test_a_run_of_two_ranks(here):
    done = subprocess.run([*train, "--epochs", "2", "--out", "two", "--json"], cwd=here, text=True, capture_output=True, env=quiet())
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)  # printed once
    assert said["device"]["processes"] == 2 and len(said["history"]) == 2 and said["n_train"] == 192 and said["test"]["top1"] >= 0
    assert sorted(p.name for p in (here / "two").iterdir()) == ["model.safetensors", "run.json"]
    assert json.loads((here / "two/run.json").read_text())["images_per_s"] == said["images_per_s"]


def begun(cwd, *words, **kwargs): return subprocess.Popen(words, cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kwargs)


def goes_further(job, folder):
    "Wait for a checkpoint newer than those that are there."
    kept = checkpoints(folder)[-1:]
    while checkpoints(folder)[-1:] <= kept:
        assert job.poll() is None, job.communicate()
        time.sleep(0.05)


def test_a_killed_rank_ends_the_job_and_another_number_goes_on(here):
    folder = here / "killed"
    job = begun(here, *train, "--epochs", "200", "--save-every", "0", "--out", "killed", env=quiet())
    goes_further(job, folder)
    workers = [int(p) for p in Path(f"/proc/{job.pid}/task/{job.pid}/children").read_text().split()]
    assert len(workers) == 2
    os.kill(workers[1], signal.SIGKILL)
    job.communicate(timeout=120)
    assert job.returncode != 0
    alone = begun(here, command, "--resume", "killed")
    goes_further(alone, folder)
    alone.send_signal(signal.SIGTERM)  # as Ctrl-C
    err = alone.communicate()[1]
    assert alone.returncode == 130 and "to go on: cifar10_train --resume killed" in err.splitlines()[-1]
    two = begun(here, *together, "--resume", "killed", env=quiet())
    goes_further(two, folder)
    two.send_signal(signal.SIGTERM)
    err = two.communicate(timeout=120)[1]
    assert two.returncode != 0 and checkpoints(folder), err


def test_batches_that_cannot_be_shared(here):
    done = subprocess.run([*train[:-4], "--batch-size", "15", "--device", "cpu", "--out", "odd"], cwd=here, text=True,
                          capture_output=True, env=quiet())
    assert done.returncode != 0 and done.stderr.count("2 processes cannot share batches of 15 images") == 1


def test_seeds_side_by_side(here):
    args = ("--data", "images", "--epochs", 1, "--batch-size", 16, "--device", "cpu", "--seeds", 3, "--json")
    both = [json.loads(run("cifar10_train", *args, "--out", f"apart{jobs}", "--jobs", jobs, cwd=here).stdout) for jobs in (1, 2)]
    assert [r["seed"] for r in both[1]["runs"]] == [0, 1, 2]
    for a, b in zip(*(said["runs"] for said in both)): assert a["history"][0]["train_loss"] == pytest.approx(b["history"][0]["train_loss"], rel=0.02)  # sums in another order


def test_seeds_side_by_side_with_equal_threads(here):
    args = ("--data", "images", "--epochs", 1, "--batch-size", 16, "--device", "cpu", "--seeds", 2)
    for jobs in (1, 2):
        done = run("cifar10_train", *args, "--out", f"equal{jobs}", "--jobs", jobs, cwd=here, env=dict(OMP_NUM_THREADS="1"))
        assert done.returncode == 0, done.stderr
    for seed in (0, 1): assert len({(here / f"equal{jobs}/seed{seed}/model.safetensors").read_bytes() for jobs in (1, 2)}) == 1


def test_a_failing_seed_is_named(here):
    (here / "apart9").mkdir()
    (here / "apart9/seed1").write_text("in the way")
    done = run("cifar10_train", "--data", "images", "--epochs", 1, "--seeds", 2, "--jobs", 2, "--out", "apart9", cwd=here)
    assert done.returncode == 2 and "seed1" in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr


# Mistakes that only one of the ranks meets

apart = """
import os, sys, torch
from dataclasses import replace
from cifar10_nb.commands import command
from cifar10_nb.core import InputError
from cifar10_nb.data import drawn
from cifar10_nb.machine.ranks import agreed, end_ranks, from_rank0, init_ranks, rank0_first, rank_and_world
from cifar10_nb.parts.recipe import recipes
from cifar10_nb.record.checkpoint import Checkpoints
from cifar10_nb.train import fit

case, recipe = sys.argv[1], replace(recipes["small"], epochs=1, batch_size=16, sizes=(), warmup=0)

def fail(): raise InputError("no images here")

@command
def work():
    torch.set_num_threads(1)
    if case == "device": return init_ranks("cpu" if os.environ["RANK"] == "0" else "nonsense")
    init_ranks("cpu")
    rank, train, kwargs = rank_and_world()[0], drawn(64, 10)[0], {}
    if case == "images" and rank == 1: train = replace(train, x=255 - train.x)
    if case == "count" and rank == 1: train = train.subset(32)
    if case == "classes" and rank == 1: train = replace(train, classes=[*train.classes, "cow"])
    if case == "held-out": kwargs["valid"] = drawn(20 + rank, 10)[0]
    if case == "recipe" and rank == 1: recipe_ = replace(recipe, lr=0.01)
    if case == "seed": kwargs["seed"] = rank
    if case == "work": agreed(lambda: fail() if rank == 1 else None)
    if case == "work of 0": from_rank0(fail)
    if case == "first": rank0_first(lambda: fail() if rank == 0 else None)
    if case == "second": rank0_first(lambda: fail() if rank == 1 else None)
    if case == "disk": kwargs["hooks"] = [Checkpoints("/proc/none" if rank == 0 else "out")]
    if case == "network": kwargs["model"] = (lambda n: fail()) if rank == 1 else torch.nn.LazyLinear
    fit(recipe_ if case == "recipe" and rank == 1 else recipe, train, device="cpu", **kwargs)

work.from_terminal([])
"""
mistakes = {
    "images": "rank 1 has other images to train on than rank 0: start all processes with the same options, on the same images",
    "count": "rank 1 has other images to train on", "classes": "rank 1 has other images to train on",
    "held-out": "rank 1 has other held out images", "recipe": "rank 1 has other recipe", "seed": "rank 1 has other seed",
    "work": "work: rank 1: no images here", "work of 0": "work: no images here", "first": "work: no images here",
    "second": "work: rank 1: no images here", "disk": "no checkpoint could be written into /proc/none", "network": "rank 1: no images here",
    "device": "work: rank 1: no device 'nonsense' here"}


@pytest.mark.parametrize("case", mistakes)
def test_a_mistake_on_one_rank_is_told_once(tmp_path, case):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]  # free, a moment ago
    common = dict(WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), OMP_NUM_THREADS="1", PYTHONWARNINGS="ignore")
    ranks = [common | dict(RANK=str(r), LOCAL_RANK=str(r)) for r in (0, 1)]
    codes, _, said = preloaded().run(apart, ["apart.py", case], tmp_path, tmp_path / "said.txt", ranks)
    assert any(codes) and said.count(mistakes[case]) == 1, said
    assert "apart.py\", line" not in said  # no traceback of ours


def test_a_mistake_on_one_rank_under_torchrun(tmp_path):
    (tmp_path / "apart.py").write_text(apart)
    done = subprocess.run([*torchrun, "apart.py", "images"], cwd=tmp_path, text=True, capture_output=True, env=quiet(), timeout=120)
    assert done.returncode != 0 and done.stderr.count(mistakes["images"]) == 1, done.stderr
    assert "apart.py\", line" not in done.stderr


@pytest.mark.parametrize("told, said", [(dict(WORLD_SIZE="2"), "WORLD_SIZE is 2, and RANK, MASTER_ADDR, MASTER_PORT not set"),
    (dict(WORLD_SIZE="2", RANK="0"), "WORLD_SIZE is 2, and MASTER_ADDR, MASTER_PORT not set"), (dict(WORLD_SIZE="two"), "WORLD_SIZE two"),
    (dict(WORLD_SIZE="0"), "WORLD_SIZE 0"), (dict(WORLD_SIZE="2", RANK="2"), "RANK is 2 and WORLD_SIZE 2"), (dict(WORLD_SIZE="2", RANK="x"), "RANK is x")])
def test_half_of_what_torchrun_sets(here, monkeypatch, capsys, told, said):
    for k, v in told.items(): monkeypatch.setenv(k, v)
    with pytest.raises(InputError, match=said) as e: init_ranks("cpu")
    assert "torchrun" in str(e.value) and "unset" in str(e.value)
    monkeypatch.delenv("WORLD_SIZE")
    assert init_ranks("cpu") == "cpu"


def test_half_of_what_torchrun_sets_on_the_command_line(here):
    done = run("cifar10_train", "--data", "images", "--out", "alone", cwd=here, env=dict(WORLD_SIZE="2"))
    assert done.returncode == 2 and "start several processes with torchrun, or unset WORLD_SIZE" in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr


# Processes side by side that are stopped or killed

side_by_side = [command, "--data", "images", "--epochs", "8", "--batch-size", "8", "--device", "cpu", "--seeds", "2", "--jobs", "2"]


def children_of(job):
    "The processes of the seeds, when both have written a checkpoint."
    found = []
    while len(found) < 2:
        assert job.poll() is None, job.communicate()
        lists = Path(f"/proc/{job.pid}/task").glob("*/children")
        found = [int(p) for text in lists for p in text.read_text().split()]
        time.sleep(0.05)
    return found


def both_begun(job, folder):
    while len({p.parent for p in Path(folder).glob("seed*/checkpoint-*")}) < 2:
        assert job.poll() is None, job.communicate()
        time.sleep(0.05)


@pytest.fixture(scope="module")
def undisturbed(here):
    done = subprocess.run([*side_by_side, "--out", "undisturbed"], cwd=here, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    return [(here / f"undisturbed/seed{s}/model.safetensors").read_bytes() for s in (0, 1)]


@pytest.mark.parametrize("how", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_the_parent_is_stopped(here, undisturbed, how):
    "Its children save; the line says how to go on, and that works. Ctrl-C in a terminal reaches the whole group."
    args = [*side_by_side, "--out", f"stopped{how}"]
    job = begun(here, *args, start_new_session=True)
    both_begun(job, here / f"stopped{how}")
    children = children_of(job)
    os.killpg(job.pid, getattr(signal, how)) if how == "SIGINT" else job.send_signal(getattr(signal, how))
    out, err = job.communicate(timeout=120)
    assert job.returncode == 130 and out == "" and "Traceback" not in err
    assert err.splitlines()[-1] == "cifar10_train: stopped; to go on: give the same command again"
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]
    assert all(checkpoints(here / f"stopped{how}/seed{s}") for s in (0, 1))
    if how != "SIGINT": return  # what was saved is the same kind of checkpoint
    again = subprocess.run(args, cwd=here, text=True, capture_output=True)
    assert again.returncode == 0, again.stderr
    assert [(here / f"stopped{how}/seed{s}/model.safetensors").read_bytes() for s in (0, 1)] == undisturbed


def test_a_killed_child_is_told_in_words(here, undisturbed):
    args = [*side_by_side, "--out", "lost"]
    job = begun(here, *args)
    both_begun(job, here / "lost")
    os.kill(children_of(job)[0], signal.SIGKILL)
    err = job.communicate(timeout=120)[1]
    last = err.splitlines()[-1]
    assert job.returncode == 2 and "its process was killed by SIGKILL (is there enough memory?): give the same command again to go on" in last
    again = subprocess.run(args, cwd=here, text=True, capture_output=True)
    assert again.returncode == 0, again.stderr
    assert [(here / f"lost/seed{s}/model.safetensors").read_bytes() for s in (0, 1)] == undisturbed


def test_a_child_that_is_stopped_says_how_to_go_on(here):
    job = begun(here, *side_by_side, "--out", "onestopped")
    both_begun(job, here / "onestopped")
    os.kill(children_of(job)[0], signal.SIGTERM)
    last = job.communicate(timeout=120)[1].splitlines()[-1]
    assert job.returncode == 2 and "to go on: cifar10_train --resume onestopped/seed" in last
