"""The loop keeps its bytes: five tiny recipes, each beside a plain loop that shares only its building blocks.

Digests differ between processors and versions of torch, so none is written down here: both sides are computed, on
one thread. For two ranks the plain loop finds the gradients of two shards one after the other, each with its own
batch statistics, takes their mean, and keeps the running statistics of rank 0, as gloo and DistributedDataParallel
do. That is exact to the last bit as long as gradients are averaged once a step, so `speed` has no micro-batches
there. The order in which two ranks add up their losses is free: their history is compared to six digits, their
weights byte for byte.
"""
import json
from dataclasses import replace

import pytest
import torch
from conftest import one_step_further
from reference_loop import digest, train_as_written

from cifar10_nb.data import drawn
from cifar10_nb.parts.recipe import recipes
from cifar10_nb.train import fit

tiny = dict(
    small=replace(recipes["small"], epochs=3, batch_size=16, sizes=(16, 24, 32)),
    final=replace(recipes["final"], model="small_cnn", epochs=8, batch_size=16, lr=0.1, head_lr=0.25, warmup=0,
        ema=0.5, clip=2.0, patience=2, precision="fp32"),
    speed=replace(recipes["speed"], epochs=4, batch_size=16, micro_batch=10, warmup=0.5, sizes=(16, 20),
        hardest=(1, 0.7)),
    scratch=replace(recipes["scratch"], epochs=2, batch_size=20),
    speed_cnn=replace(recipes["speed"], epochs=2, batch_size=20, micro_batch=0, warmup=0.5, sizes=(24,), hardest=(),
        crop=4, crop_mode="zero", flip="random", cutmix=0.5, optimizer="adamw", lr=2e-3, weight_decay=0.02,
        schedule="cosine"))
shared = {name: replace(tiny[name], micro_batch=0) for name in ("small", "final", "speed")}
seed = 4


def images(name):
    "Images to train on, and held-out ones where the recipe looks at any."
    train, valid = drawn(68, 10)[0].split(18)
    return train, None if name == "speed" else valid


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def written():
    "What the plain loop makes of each recipe."
    return {name: train_as_written(r, *images(name), seed=seed) for name, r in tiny.items()}


def told(history, plain):
    "The columns of a history that the plain loop has too."
    return [{k: row[k] for k in want} for row, want in zip(history, plain, strict=True)]


def check(run, want):
    "Does a run end with the weights of the plain loop, byte for byte, after the same history?"
    assert told(run.history, want.history) == want.history
    assert (run.epochs, run.best_epoch) == (len(want.history), want.best_epoch)
    found = run.model.state_dict()
    assert found.keys() == want.state.keys()
    assert [k for k in found if not torch.equal(found[k], want.state[k])] == []
    assert digest(found) == digest(want.state)


@pytest.mark.parametrize("name", tiny)
def test_the_bytes_of_the_plain_loop(name, written):
    check(fit(tiny[name], *images(name), seed, "cpu"), written[name])


@pytest.mark.parametrize("name", tiny)
def test_the_same_bytes_when_interrupted_after_every_step(name, written, tmp_path):
    stops = 0
    while (run := one_step_further(tiny[name], *images(name), tmp_path, seed)) is None: stops += 1
    assert stops == written[name].steps
    check(run, written[name])


def test_the_recipes_do_what_they_are_there_for(written):
    plain = written["final"]
    assert plain.best_epoch < len(plain.history) < tiny["final"].epochs  # early stopping, and not the last weights
    assert written["speed"].steps == 3 + 3 + 2 + 2                       # fewer images in the second half
    for change in (dict(clip=0), dict(head_lr=1.0), dict(ema=0), dict(mixup=0), dict(patience=0)):
        other = train_as_written(replace(tiny["final"], **change), *images("final"), seed=seed)
        assert digest(other.state) != digest(plain.state)


def rank(number, folder):
    "One of two processes: train every shared recipe, and write down what came of it."
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=number, world_size=2)
    found = {}
    for name, recipe in shared.items():
        run = fit(recipe, *images(name), seed, "cpu")
        weights, learned = digest(run.model.state_dict()), digest(dict(run.model.named_parameters()))
        found[name] = dict(weights=weights, learned=learned, history=run.history, best_epoch=run.best_epoch)
    (folder / f"{number}.json").write_text(json.dumps(found))
    torch.distributed.destroy_process_group()


def test_two_ranks_have_the_bytes_of_two_shards(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    torch.multiprocessing.spawn(rank, (tmp_path,), nprocs=2)
    first, second = (json.loads((tmp_path / f"{number}.json").read_text()) for number in (0, 1))
    for name, recipe in shared.items():
        want = train_as_written(recipe, *images(name), seed=seed, ranks=2)
        assert first[name]["learned"] == second[name]["learned"], f"{name}: the ranks disagree"
        history = told(first[name]["history"], want.history)
        for row, wanted in zip(history, want.history): assert row == pytest.approx(wanted, rel=1e-6), name
        assert first[name]["best_epoch"] == want.best_epoch
        assert first[name]["weights"] == digest(want.state), f"{name}: other weights than two shards give"
