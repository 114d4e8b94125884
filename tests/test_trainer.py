"A trainer that is stopped and goes on, networks of the user's own, and runs that diverge."
import signal
from dataclasses import replace

import pytest
import torch
from torch import nn

from cifar10_nb.core import InputError
from cifar10_nb.data import drawn
from cifar10_nb.evaluate import evaluate
from cifar10_nb.machine.graphs import rehearse
from cifar10_nb.models import models
from cifar10_nb.parts.recipe import recipes
from cifar10_nb.record.checkpoint import Checkpoints, Interrupted, checkpoints
from cifar10_nb.record.run import load_model, load_run, weights_bytes
from cifar10_nb.train import Trainer, fit

small = replace(recipes["small"], epochs=3, batch_size=16, warmup=0, sizes=())
plain = replace(recipes["scratch"], epochs=2, batch_size=20)


@pytest.fixture(scope="module")
def images(): return drawn(68, 10)[0].split(18)


class PressStop:
    "Ctrl-C during some steps, as the Stop button of a notebook sends it."
    def __init__(self, *steps): self.steps = steps
    def after_step(self, t, index, losses):
        if t.n_steps in self.steps: signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("kept", [False, True])
def test_fit_goes_on_after_ctrl_c(images, tmp_path, kept):
    "In the middle of an epoch, at its end, twice in the same epoch: each call of fit goes on where the one before stopped."
    whole = fit(small, *images, device="cpu")
    hooks = [PressStop(1, 2, 3, 5), *([Checkpoints(tmp_path)] if kept else [])]
    trainer, stopped = Trainer(small, *images, device="cpu", hooks=hooks), []
    for _ in range(4):
        with pytest.raises(Interrupted) as e: trainer.fit()
        stopped.append(trainer.n_steps)
        assert f"stopped after step {trainer.n_steps}; to go on: call fit() of this trainer" in str(e.value)
    run = trainer.fit()
    assert stopped == [1, 2, 3, 5] and trainer.n_steps == 9
    assert [{k: v for k, v in row.items() if k != "seconds"} for row in run.history] == [
        {k: v for k, v in row.items() if k != "seconds"} for row in whole.history]
    assert weights_bytes(run.model) == weights_bytes(whole.model) and run.pflop == whole.pflop
    assert trainer.fit().epochs == 3 and trainer.n_steps == 9  # there is nothing left to do


@pytest.fixture
def usual_ctrl_c():
    "Ctrl-C raises KeyboardInterrupt, also where this process was started with SIGINT ignored, as a shell's background jobs are."
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_second_ctrl_c_does_not_wait(images, usual_ctrl_c):
    class Twice:
        def after_step(self, t, index, losses):
            for _ in range(2): signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt) as e: fit(small, *images, device="cpu", hooks=[Twice()])
    assert not isinstance(e.value, Interrupted)


def test_hooks_after_a_checkpoint_lose_nothing(images, tmp_path):
    "Checkpoints come last, wherever they stand in the list: what they save includes the other hooks' step."
    class Count:
        def before_fit(self, t): self.n = 0
        def after_step(self, t, index, losses): self.n += 1
        def state_dict(self): return dict(n=self.n)
        def load_state_dict(self, state): self.n = state["n"]
    for _ in range(20):
        count, hook = Count(), Checkpoints(tmp_path)
        trainer = Trainer(small, *images, device="cpu", hooks=[hook, count, PressStop(2, 4, 6)])
        try: trainer.fit()
        except Interrupted: continue
        break
    assert count.n == trainer.n_steps == 9


def test_a_checkpoint_with_other_hooks_is_refused(images, tmp_path):
    with pytest.raises(Interrupted): fit(small, *images, device="cpu", hooks=[PressStop(2), Checkpoints(tmp_path)])
    class Remembers:
        def state_dict(self): return {}
        def load_state_dict(self, state): pass
    with pytest.raises(InputError, match="was not written by this version"):
        Trainer(small, *images, device="cpu", hooks=[Remembers(), Checkpoints(tmp_path)])


class Tiny(nn.Module):
    "A network of the user's own, with two layers that share their weights."
    def __init__(self, n_classes, width=6):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, width, 3, 2), nn.BatchNorm2d(width), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head, self.again = nn.Linear(width, n_classes), nn.Linear(width, n_classes)
        self.again.weight = self.head.weight
    def forward(self, x): return self.head(self.body(x)) + self.again(self.body(x))


def linear(k): return nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, k))


ways = {"class": (Tiny, "Tiny"), "object": (lambda: Tiny(10), "Tiny"), "function": (linear, "linear"), "lambda": (lambda n: Tiny(n), "Tiny")}


@pytest.mark.parametrize("way", ways)
def test_a_network_of_ones_own(images, tmp_path, monkeypatch, way):
    "It trains, is saved, loaded and scored like the others; without its class, one line says what to do."
    train, valid = images
    model, name = ways[way]
    if way == "object": model = model()
    hooks = [Checkpoints(tmp_path / "checkpoints")]
    run = fit(plain, train, valid, device="cpu", model=model, hooks=hooks)
    assert checkpoints(tmp_path / "checkpoints") and len(run.history) == 2 and run.pflop > 0
    assert run.model.info["model"] == run.recipe.model == run.model.info["recipe"]["model"] == name
    if way == "object": assert run.model is model
    assert load_run(run.save(tmp_path)).recipe == run.recipe
    with pytest.raises(InputError) as e: load_model(tmp_path, "cpu")
    assert f"'{name}'" in str(e.value) and "put it into cifar10_nb.models.models under this name" in str(e.value)
    monkeypatch.setitem(models, name, linear if name == "linear" else Tiny)
    loaded = load_model(tmp_path, "cpu")
    assert evaluate(loaded, valid).top1 == evaluate(run.model, valid).top1 == run.history[-1]["valid_top1"]
    monkeypatch.setitem(models, name, lambda: None)
    with pytest.raises(InputError, match=f"{name} in cifar10_nb.models.models cannot be called with 10"): load_model(tmp_path, "cpu")
    monkeypatch.setitem(models, name, lambda n: nn.Linear(2, n))
    with pytest.raises(InputError, match=f"do not fit a {name}"): load_model(tmp_path, "cpu")


def test_a_network_that_is_registered_later(images, tmp_path, monkeypatch):
    monkeypatch.setitem(models, "tiny", Tiny)
    recipe = replace(plain, model="tiny")
    run = fit(recipe, *images, device="cpu")
    same = fit(plain, *images, device="cpu", model=Tiny)  # the same seed
    assert all(torch.equal(a, b) for a, b in zip(run.model.state_dict().values(), same.model.state_dict().values()))
    assert load_model(run.save(tmp_path), "cpu").info["recipe"]["model"] == "tiny"
    with pytest.raises(InputError, match="no model is called 'huge': choose one of small_cnn, "): fit(replace(plain, model="huge"), *images, device="cpu")


def test_a_network_without_convolutions_and_muon(images):
    with pytest.raises(InputError, match="muon needs convolutions to train: choose adamw"): fit(small, *images, device="cpu", model=linear)


def test_imagenet_weights_are_for_the_networks_that_have_some(images):
    with pytest.raises(InputError, match="there are no weights for linear"): fit(replace(recipes["transfer"], epochs=1), *images, device="cpu", model=linear)


@pytest.mark.parametrize("name", ["running_var", "running_mean"])
def test_divergence_that_only_the_buffers_show(images, name):
    "Statistics of batch norm that are infinite make a useless network, whatever the loss of training was."
    class Break:
        def after_step(self, t, index, losses): getattr(t.model.stem[2], name).fill_(float("inf"))
    message = "a weight became infinite in epoch 1, by step 3, at learning rate .*: use a smaller --lr"
    with pytest.raises(InputError, match=message): fit(replace(small, epochs=1), *images, device="cpu", hooks=[Break()])


def test_digests_of_the_images(images, tmp_path):
    train, valid = images
    run = fit(replace(small, epochs=1), train, valid, device="cpu")
    assert run.digests == dict(train=train.digest(), valid=valid.digest())
    assert load_model(run.save(tmp_path), "cpu").info["held_out"] == valid.digest()
    alone = fit(replace(small, epochs=1), train, device="cpu")
    assert alone.digests == dict(train=train.digest()) and "held_out" not in alone.model.info
    for a, b in zip(run.model.state_dict().values(), alone.model.state_dict().values()): assert torch.equal(a, b)


def test_a_hook_s_wish_to_stop_is_not_taken_back(images):
    class StopAtTwo:
        def after_step(self, t, index, losses): t.stop = t.epoch == 1
    run = fit(replace(small, patience=3, valid=0.1), *images, device="cpu", hooks=[StopAtTwo()])
    assert run.epochs == 2


def test_the_rehearsal_sets_the_learning_rate(images):
    "A recorded step reads the rate from where it was when it was recorded, so it has to be set before."
    trainer, rates = Trainer(small, *images, device="cpu"), []
    for o in trainer.optimizers: o.register_step_pre_hook(lambda *_: rates.append(trainer.lr))
    rehearse(trainer)
    assert rates and set(rates) == {small.lr}
