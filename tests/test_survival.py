"Nothing is lost: runs that are killed at any moment, and a disk that fills up."
import multiprocessing
import os
import random
import signal
import subprocess
import sys

import pytest
from folders import write_images

kills, options = 20, ["--data", "images", "--epochs", "20", "--batch-size", "8", "--device", "cpu", "--save-every", "0"]
forks = multiprocessing.get_context("forkserver")  # children of a process that has torch already: they begin at once
forks.set_forkserver_preload(["cifar10_nb.commands", "torchvision", "tqdm.auto", "test_survival"])


def train(folder, environment, *args):
    "In a process of its own: cifar10_train."
    from cifar10_nb.commands import cifar10_train
    os.chdir(folder)
    os.environ.update(environment)
    for number, name in ((1, "said.out"), (2, "said.err")): os.dup2(os.open(f"{folder}/{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    if "DIE_AT_RENAME" in environment: die_at_rename(int(environment["DIE_AT_RENAME"]))
    cifar10_train.from_terminal([*options, *args])


def die_at_rename(times):
    "From now on, the n-th file that is fully written is never put in its place."
    rename, count = os.replace, iter(range(1, 10**9))
    def replace(*args): os.kill(os.getpid(), signal.SIGKILL) if next(count) == times else rename(*args)
    os.replace = replace


def start(here, *args, **environment):
    environment |= dict(XDG_CACHE_HOME=str(here / "cache"), OMP_NUM_THREADS="1")
    process = forks.Process(target=train, args=(str(here), environment, *args))
    process.start()
    return process


def finish(here, *args):
    process = start(here, *args)
    process.join(900)
    return process.exitcode, (here / "said.err").read_text()


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    "A folder of images, and a run without interruption."
    root = tmp_path_factory.mktemp("survival")
    write_images(root / "images", 40, 20)
    code, err = finish(root, "--out", "whole")
    assert code == 0, err
    yield root


def steps_kept(folder): return max((int(p.name.split("-")[1]) for p in folder.glob("checkpoint-*")), default=0)


def test_killed_at_random_moments(here):
    folder, dice, killed, torn, reached, inside = here / "killed", random.Random(0), 0, 0, 0, 0
    while killed < kills:
        process = start(here, "--out", "killed")
        process.join(dice.uniform(0.1, 0.7))
        assert process.exitcode in (None, 0), (here / "said.err").read_text()
        if (folder / "run.json").exists(): break  # done before its time: the count below says so
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        assert steps_kept(folder) >= reached  # never again from the beginning
        reached = steps_kept(folder)
        inside += reached % 4 > 0  # an epoch has four steps
        killed, torn = killed + 1, torn + any(p.name.endswith(".tmp") for p in folder.glob("*"))
    assert killed == kills, f"only {killed} kills before the run was done"
    assert inside, "no checkpoint was written inside an epoch"
    code, err = finish(here, "--out", "killed")
    assert code == 0, err
    assert sorted(p.name for p in folder.iterdir()) == ["model.safetensors", "run.json"]
    assert (folder / "model.safetensors").read_bytes() == (here / "whole/model.safetensors").read_bytes()
    print(f"{killed} kills survived, {torn} of them while a file was being written")


@pytest.mark.parametrize("times", [1, 2, 5, 82])  # 80 checkpoints, the weights, run.json
def test_killed_before_a_file_is_in_its_place(here, times):
    process = start(here, "--out", f"torn{times}", DIE_AT_RENAME=str(times))
    process.join(900)
    assert process.exitcode == -signal.SIGKILL
    names = [p.name for p in (here / f"torn{times}").iterdir() if p.name != ".lock"]
    assert sum(name.endswith(".tmp") for name in names) == 1 and len(names) == min(times, 3) + (times == 82), names  # two checkpoints are kept
    code, err = finish(here, "--out", f"torn{times}")
    assert code == 0, err
    assert sorted(p.name for p in (here / f"torn{times}").iterdir()) == ["model.safetensors", "run.json"]
    assert (here / f"torn{times}/model.safetensors").read_bytes() == (here / "whole/model.safetensors").read_bytes()


@pytest.mark.skipif(not sys.platform.startswith("linux") or os.geteuid() != 0, reason="mounting a small disk needs root")
def test_full_disk(here):
    disk = here / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=9m", "tmpfs", disk], capture_output=True).returncode: pytest.skip("no right to mount")
    try:
        code, err = finish(here, "--out", "disk/run")
        said = err.strip().splitlines()[-1]
        assert code == 2 and "Traceback" not in err
        assert "no checkpoint could be written into disk/run (No space left on device): free some space, then give the same command again" in said
        kept = sorted(p.name for p in (disk / "run").iterdir())
        assert kept and all(name.startswith("checkpoint-") for name in kept), kept
        subprocess.run(["mount", "-o", "remount,size=90m", disk], check=True)
        code, err = finish(here, "--out", "disk/run")
        assert code == 0, err
        assert (disk / "run/model.safetensors").read_bytes() == (here / "whole/model.safetensors").read_bytes()
    finally: subprocess.run(["umount", "-l", disk], check=True)
