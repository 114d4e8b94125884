"Runs that are interrupted: by Ctrl-C, by kill -9, by damage to their files, by a second process."
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import one_step_further
from folders import write_images

from cifar10_nb.core import InputError
from cifar10_nb.data import drawn
from cifar10_nb.parts.recipe import recipes
from cifar10_nb.record.checkpoint import Checkpoints, newest_checkpoint
from cifar10_nb.train import Trainer

command = [Path(sys.executable).parent / "cifar10_train", "--data", "images", "--epochs", "8", "--batch-size", "16", "--device", "cpu"]


def start(*args, cwd): return subprocess.Popen([*command, *args], cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finish(*args, cwd):
    done = subprocess.run([*command, *args], cwd=cwd, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    return done


def wait_for_checkpoint(folder, process, n=1):
    "Until training is under way, with `n` checkpoints."
    while len(list(Path(folder).glob("checkpoint-*"))) < n:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    "A folder of drawn images, a cache of its own, and the weights of a run without interruption."
    root = tmp_path_factory.mktemp("resume")
    write_images(root / "images", 200, 50)
    with pytest.MonkeyPatch.context() as m:
        m.setenv("XDG_CACHE_HOME", str(root / "cache"))
        m.delenv("CIFAR10_NB_DATA", raising=False)
        finish("--out", "whole", cwd=root)
        yield root


pytestmark = pytest.mark.usefixtures("usual_hangup")


def same(here, folder):
    "Are the weights those of the run without interruption, and are the checkpoints gone?"
    assert sorted(p.name for p in (here / folder).iterdir()) == ["model.safetensors", "run.json"]
    whole, run = (json.loads((here / f / "run.json").read_text()) for f in ("whole", folder))
    assert run["test"] == whole["test"] and len(run["history"]) == len(whole["history"]) == 8
    return (here / folder / "model.safetensors").read_bytes() == (here / "whole/model.safetensors").read_bytes()


def test_ctrl_c_and_resume(here):
    process = start("--out", "stopped", cwd=here)
    wait_for_checkpoint(here / "stopped", process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode == 130 and out == ""
    assert "to go on: cifar10_train --resume stopped" in err.splitlines()[-1] and "Traceback" not in err
    done = subprocess.run([command[0], "--resume", "stopped", "--json"], cwd=here, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["seed"] == 0 and same(here, "stopped")


def test_a_terminal_that_is_closed(here):
    "SIGHUP, and a terminal that takes no more words: the step is finished and saved."
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    process = subprocess.Popen([*command, "--out", "hung up"], cwd=here, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    wait_for_checkpoint(here / "hung up", process)
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGHUP)  # by the terminal, and by the shell
    os.close(ours)
    assert process.wait(60) == 130
    assert list((here / "hung up").glob("checkpoint-*")) and not (here / "hung up/.lock").exists()
    finish("--out", "hung up", cwd=here)
    assert same(here, "hung up")


def test_kill_and_the_same_command_again(here):
    folder = here / "runs/small-images-seed0"
    process = start("--seed", "0", cwd=here)
    wait_for_checkpoint(folder, process)
    began = time.monotonic()
    wait_for_checkpoint(folder, process, 2)
    time.sleep((time.monotonic() - began) / 2)  # into the middle of the third epoch
    process.kill()
    assert process.wait() == -signal.SIGKILL
    process.communicate()
    finish(cwd=here)
    assert [p.name for p in (here / "runs").iterdir()] == ["small-images-seed0"] and same(here, "runs/small-images-seed0")
    finish(cwd=here)  # once more: a run of its own
    assert sorted(p.name for p in (here / "runs").iterdir()) == ["small-images-seed0", "small-images-seed0-2"]


def test_second_process_is_refused(here):
    process = start("--out", "held", cwd=here)
    wait_for_checkpoint(here / "held", process)
    process.send_signal(signal.SIGSTOP)  # or it might be done before the second one has begun
    second = subprocess.run([*command, "--out", "held"], cwd=here, text=True, capture_output=True)
    process.kill(); process.communicate()
    assert second.returncode == 2 and "another process is training in held" in second.stderr.splitlines()[-1]


def test_damaged_checkpoints(here):
    process = start("--out", "damaged", cwd=here)
    wait_for_checkpoint(here / "damaged", process, 2)
    process.kill(); process.communicate()
    old, new = sorted((here / "damaged").glob("checkpoint-*.safetensors"))[-2:]
    new.write_bytes(new.read_bytes()[:-1])
    content = bytearray(old.read_bytes()); content[-5] ^= 1  # one bit
    whole = old.read_bytes(); old.write_bytes(content)
    refused = subprocess.run([*command, "--out", "damaged"], cwd=here, text=True, capture_output=True)
    assert refused.returncode == 2 and "all checkpoints in damaged are damaged" in refused.stderr.splitlines()[-1]
    old.write_bytes(whole)
    assert "is damaged and passed over" in finish("--out", "damaged", cwd=here).stderr
    assert same(here, "damaged")


def test_a_diverging_run_keeps_its_last_good_checkpoint(tmp_path):
    train, recipe = drawn(200, 10)[0], replace(recipes["small"], epochs=3, batch_size=50, sizes=())
    assert one_step_further(recipe, train, None, tmp_path) is None
    good = newest_checkpoint(tmp_path)
    trainer = Trainer(recipe, train, device="cpu", hooks=[Checkpoints(tmp_path)])
    trainer.model.head.weight.data.fill_(float("inf"))
    with pytest.raises(InputError, match=f"the loss became nan in epoch 1.*the last good checkpoint is {good}"): trainer.fit()
    assert newest_checkpoint(tmp_path) == good


def test_a_run_that_skips_images_goes_on_with_the_same_ones(tmp_path):
    train, recipe = drawn(200, 10)[0], replace(recipes["small"], epochs=4, batch_size=50, sizes=(), hardest=(1, 0.6))
    whole, stops = Trainer(recipe, train, device="cpu").fit(), 0
    while (run := one_step_further(recipe, train, None, tmp_path)) is None: stops += 1  # one step in each life
    assert stops == 4 + 4 + 2 + 2
    assert run.pflop == whole.pflop
    for a, b in zip(whole.model.state_dict().values(), run.model.state_dict().values(), strict=True): assert torch.equal(a, b)
