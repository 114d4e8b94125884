"Several processes: sharing one run under torchrun, and seeds side by side."
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import run

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


def test_a_failing_seed_is_named(here):
    (here / "apart9").mkdir()
    (here / "apart9/seed1").write_text("in the way")
    done = run("cifar10_train", "--data", "images", "--epochs", 1, "--seeds", 2, "--jobs", 2, "--out", "apart9", cwd=here)
    assert done.returncode == 2 and "seed1" in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr
