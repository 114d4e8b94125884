"What several test modules share: a folder of drawn images with a run in it, and commands in a process of their own or in this one."
import contextlib
import functools
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

if "PYTEST_XDIST_WORKER" in os.environ:  # workers share the processors; torch reads this when it is imported
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, os.cpu_count() // int(os.environ["PYTEST_XDIST_WORKER_COUNT"]))))

import pytest
from folders import write_images
from preloaded import Preloaded

from cifar10_nb.commands import commands
from cifar10_nb.record.checkpoint import Checkpoints, Interrupted
from cifar10_nb.train import Trainer


@functools.cache
def preloaded():
    "The process that commands are forked from. It ends with this one, whose end of its pipe is closed then."
    return Preloaded(["torch._dynamo", "torchvision", "cifar10_nb.commands"])


def run(command, *args, cwd, env=None):
    "A command in a process of its own: forked from one that has imported torch, where it has no environment or children of its own."
    if env or "--jobs" in args:
        script = Path(sys.executable).parent / command
        return subprocess.run([script, *map(str, args)], cwd=cwd, text=True, capture_output=True, env={**os.environ, **(env or {})})
    with tempfile.TemporaryDirectory() as d:
        out, err = Path(d, "out"), Path(d, "err")
        code = f"from cifar10_nb.commands import commands; commands[{command!r}].from_terminal()"
        (status,), _, said = preloaded().run(code, [command, *args], cwd, out, err=err)
        return SimpleNamespace(returncode=status, stdout=said, stderr=err.read_text(encoding="utf-8", errors="replace"))


def run_here(command, *args, cwd="."):
    "What a command does, in this process: an import of torch saved each time."
    out, err, code = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as m, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        m.setattr(sys, "argv", [command, *map(str, args)])
        m.chdir(cwd)
        try: commands[command].from_terminal()
        except SystemExit as e: code = e.code
    last = (err.getvalue().strip().splitlines() or [""])[-1]
    return SimpleNamespace(returncode=code, stdout=out.getvalue(), stderr=err.getvalue(), last=last)


def one_line(done, *words):
    "The answer to a mistake: exit code 2, nothing on stdout, one line on stderr that names it."
    assert done.returncode == 2, done
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    for w in words: assert w in done.stderr


def one_step_further(recipe, train, valid, folder, seed=0, device="cpu", **kwargs):
    """Go on from the newest checkpoint in `folder` with a trainer of its own, and stop after a step as Ctrl-C does.

    The finished run, or None if it was stopped. This is the only place that knows how a run is interrupted.
    """
    hook = Checkpoints(folder)
    trainer = Trainer(recipe, train, valid, seed, device, [hook], **kwargs)
    hook.running = lambda t: contextlib.nullcontext(setattr(hook, "asked", True))
    try: return trainer.fit()
    except Interrupted: return None


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    "A folder with images/train and images/test (ten classes, 200 and 50 images) and a cache of its own."
    root = tmp_path_factory.mktemp("commands")
    write_images(root / "images", 200, 50)
    with pytest.MonkeyPatch.context() as m:
        m.setenv("XDG_CACHE_HOME", str(root / "cache"))
        m.delenv("CIFAR10_NB_DATA", raising=False)
        yield root


@pytest.fixture(scope="module")
def trained(here):
    "What cifar10_train said of a run of two epochs, whose folder is `first`."
    args = ("--data", "images", "--epochs", 2, "--batch-size", 20, "--out", "first", "--json")
    done = run("cifar10_train", *args, cwd=here)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def usual_hangup():
    "SIGHUP has its usual effect, also where the tests were started with nohup; processes that are started here inherit it."
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)
