"What only an NVIDIA GPU does: skipped where there is none."
import math
from dataclasses import replace

import pytest
import torch
from conftest import one_step_further

from cifar10_nb import train
from cifar10_nb.data import drawn
from cifar10_nb.machine import graphs
from cifar10_nb.parts.hooks import Average
from cifar10_nb.parts.recipe import recipes
from cifar10_nb.record.checkpoint import Checkpoints
from cifar10_nb.train import Trainer

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")


def losses(recipe, images):
    trainer = Trainer(recipe, images, seed=3, device="cuda")
    return trainer, [row["train_loss"] for row in trainer.fit().history]


@pytest.mark.parametrize("name", ["speed", "final", "scratch"])
def test_recorded_steps_are_the_same_steps(name, monkeypatch):
    "Steps replayed from CUDA graphs lead where ordinary steps lead, up to the chance of the order in which a GPU adds."
    images = drawn(800, 10)[0]
    recipe = replace(recipes[name], model="speed_cnn", batch_size=100, micro_batch=50, epochs=3, warmup=0, sizes=(24, 28, 32), patience=0)
    trainer, replayed = losses(recipe, images)
    assert len(trainer.step.kept) == 3 and all("graph" in kept for kept in trainer.step.kept.values())
    monkeypatch.setattr(graphs, "eager_steps", math.inf)
    monkeypatch.setattr(train, "rehearse", lambda trainer: None)
    trainer, ordinary = losses(recipe, images)
    assert not any("graph" in kept for kept in trainer.step.kept.values())
    assert replayed == pytest.approx(ordinary, abs=0.1)
    assert replayed[-1] < replayed[0]


def test_rehearsal_leaves_no_trace():
    "After the rehearsal a run begins as if there had been none."
    images, recipe = drawn(300, 10)[0], replace(recipes["quick"], batch_size=100, micro_batch=50, ema=0.9)
    trainer = Trainer(recipe, images, seed=3, device="cuda")
    fresh = Trainer(recipe, images, seed=3, device="cpu")
    assert (trainer.n_steps, trainer.epoch, trainer.seen, trainer.flops) == (0, 0, 0, 0)
    for name, value in fresh.model.state_dict().items():  # a whitening filter may have the other sign
        assert torch.allclose(trainer.model.state_dict()[name].cpu().abs(), value.abs(), atol=1e-3), name
    (hook,) = [h for h in trainer.hooks if isinstance(h, Average)]
    assert hook.average.n_averaged == 0
    assert all(not v.any() for o in trainer.optimizers for state in o.state.values() for v in state.values())
    assert trainer.rng.get_state().equal(fresh.rng.get_state()) and trainer.batches.rng.get_state().equal(fresh.batches.rng.get_state())


def test_frozen_layers_stay_as_they_are():
    "A recorded step leaves the statistics of frozen batch norms alone."
    images, recipe = drawn(64, 10)[0], replace(recipes["transfer"], pretrained=False, freeze=True, epochs=6, batch_size=32)
    trainer = Trainer(recipe, images, seed=3, device="cuda")
    before = {k: v.clone() for k, v in trainer.model.body.state_dict().items() if not k.startswith("fc.")}
    trainer.fit()
    assert any("graph" in kept for kept in trainer.step.kept.values())
    for name, value in before.items(): assert value.equal(trainer.model.body.state_dict()[name]), name


@pytest.mark.parametrize("there, back", [("cpu", "cuda"), ("cuda", "cpu")])
@pytest.mark.parametrize("name", ["speed", "final", "scratch"])
def test_a_run_goes_on_with_another_device(name, there, back, tmp_path):
    "A checkpoint of a CPU is taken up by a GPU, and the other way round."
    images, recipe = drawn(400, 10)[0], replace(recipes[name], model="speed_cnn", batch_size=100, micro_batch=50, epochs=4, warmup=0, sizes=(), patience=0)
    assert one_step_further(recipe, images, None, tmp_path, device=there) is None
    run = Trainer(recipe, images, device=back, hooks=[Checkpoints(tmp_path)]).fit()
    assert run.epochs == 4 and run.history[-1]["train_loss"] < run.history[0]["train_loss"]


@pytest.mark.parametrize("name", ["speed", "final", "scratch"])
def test_a_recorded_step_follows_the_learning_rate(name):
    "A graph reads the rate from memory: with a rate of zero a recorded step moves no weight, and with another one it does."
    images, recipe = drawn(400, 10)[0], replace(recipes[name], model="small_cnn", batch_size=100, micro_batch=0, warmup=0, sizes=(), patience=0)
    trainer = Trainer(recipe, images, device="cuda")
    assert all("graph" in kept for kept in trainer.step.kept.values())  # since the rehearsal
    batch, weights = trainer.prepare(*next(iter(trainer.batches))), trainer.model.head.weight
    for rate in (0.0, 1e-3):
        trainer.set_lr(rate)
        before = weights.clone()
        trainer.step(*batch)
        assert weights.equal(before) == (rate == 0), rate
