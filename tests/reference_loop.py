"""A second training loop, to hold the package's against: plain, slow, all of it on this page.

It shares the building blocks with the package (images, networks, transforms, Muon, the rule for bfloat16) and
nothing of its loop: the seeds, the order, the schedule, the groups of the optimizers, accumulation, clipping, the
average of the weights, early stopping, example selection and several ranks are written out again. It cannot be
interrupted, and it runs on a CPU. ImageNet weights and frozen bodies are left out.
"""
import hashlib
import math
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from cifar10_nb.augment import CutMix, Cutout, HorizontalFlip, MixUp, Normalize, RandomCrop, Resize
from cifar10_nb.parts.randaugment import RandAugment
from cifar10_nb.models import make_model
from cifar10_nb.machine.device import has_bf16
from cifar10_nb.parts.muon import Muon


def digest(state):
    "SHA-256 of a state dict: names, types, shapes and bytes, in the order of the names."
    found = hashlib.sha256()
    for name, t in sorted(state.items()):
        found.update(f"{name} {t.dtype} {list(t.shape)}\n".encode())
        found.update(t.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def seeds(seed):
    "Three seeds out of one: of the initial weights, of the order, of the augmentation."
    return torch.randint(2**60, (3,), generator=torch.Generator().manual_seed(seed)).tolist()


def turn(values, epoch, epochs):
    "The one of some values whose turn it is, when they share the epochs equally."
    return values[math.ceil((epoch + 1) * len(values) / epochs) - 1]


def rate(r, step, steps):
    "The learning rate after `step` steps, of which an epoch has `steps`: linear warm-up, then the recipe's schedule."
    warm, total = r.warmup * steps, r.epochs * steps
    if step < warm: return r.lr * min(1, (step + 1) / warm)
    done = min(1, (step - warm) / max(1, total - warm))
    return r.lr * dict(constant=1, linear=1 - done, cosine=0.5 * (1 + math.cos(math.pi * done)))[r.schedule]


def transforms(r, mean, std, n_classes, seed):
    "The recipe's augmentation, in its order."
    if r.crop: yield RandomCrop(r.crop, r.crop_mode)
    if r.flip != "none": yield HorizontalFlip(r.flip, seed)
    if r.randaugment: yield RandAugment(*r.randaugment)
    if r.cutout: yield Cutout(r.cutout, 0 if r.cutout_fill == "black" else tuple(255 * m for m in mean))
    yield Normalize(mean, std)
    if r.mixup: yield MixUp(r.mixup, n_classes)
    if r.cutmix: yield CutMix(r.cutmix, n_classes)


def optimizers(r, model):
    "A list of optimizers; each group of parameters says what share of the learning rate it gets."
    params = [p for p in model.parameters() if p.requires_grad]
    filters = [p for p in params if p.ndim == 4] if r.optimizer == "muon" else []
    others = [p for p in params if not any(p is f for f in filters)]
    weights = dict(params=[p for p in others if p.ndim > 1 or r.decay_all], weight_decay=r.weight_decay, share=1)
    scales = dict(params=[p for p in others if p.ndim <= 1 and not r.decay_all], weight_decay=0, share=1)
    groups = [weights, scales]
    if r.head_lr != 1:  # the last layer, a matrix and its biases, goes into two groups of its own
        head = [m for m in model.modules() if isinstance(m, torch.nn.Linear)][-1]
        weights["params"] = [p for p in weights["params"] if p is not head.weight]
        scales["params"] = [p for p in scales["params"] if p is not head.bias]
        groups += [dict(weights, params=[head.weight], share=r.head_lr), dict(scales, params=[head.bias], share=r.head_lr)]
    if r.optimizer == "sgd": return [torch.optim.SGD(groups, r.lr, r.momentum, nesterov=r.momentum > 0)]
    if r.optimizer == "adam": return [torch.optim.Adam(groups)]
    if r.optimizer == "adamw": return [torch.optim.AdamW(groups)]
    weights["share"], scales["share"] = r.rest_lr, r.bias_lr
    return [Muon(filters, r.lr, r.momentum, r.ns_steps), torch.optim.AdamW([weights, scales])]


def gradients(r, model, x, y, ranks):
    "Set the gradients of a batch, as so many ranks find them with a shard each; each image's loss and output."
    bf16 = r.precision == "bf16" and has_bf16(torch.device("cpu"))
    params, losses, outs, found = [p for p in model.parameters() if p.requires_grad], [], [], []
    for shard, labels in zip(x.chunk(ranks), y.chunk(ranks)):
        buffers = [b.clone() for b in model.buffers()]
        for xs, ys in zip(shard.split(r.micro_batch or len(x)), labels.split(r.micro_batch or len(x))):
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                out = model(xs)
                loss = F.cross_entropy(out, ys, label_smoothing=r.label_smoothing, reduction="none")
            (loss.sum() / len(shard)).backward()
            losses.append(loss.detach()); outs.append(out.detach())
        if found:  # only the first rank's running statistics count
            for b, kept in zip(model.buffers(), buffers): b.copy_(kept)
        found.append([p.grad for p in params])
        model.zero_grad()
    for p, *grads in zip(params, *found): p.grad = sum(g / ranks for g in grads)
    return torch.cat(losses), torch.cat(outs)


def scores(model, images, normalize):
    "Loss and accuracy on held-out images."
    model.eval()
    with torch.no_grad(): logits = model(normalize(images.x)[0].contiguous(memory_format=torch.channels_last)).float()
    return F.cross_entropy(logits, images.y).item(), (logits.argmax(1) == images.y).sum().item() / len(images)


def train_as_written(r, train, valid=None, seed=0, ranks=1):
    "Carry out the recipe `r`: weights, history, and epochs and steps done."
    for_init, for_order, for_chance = seeds(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(for_init)
        model = make_model(r.model, train.n_classes).to(memory_format=torch.channels_last)
    mean, std = (train.describe()[k] for k in ("mean", "std"))
    normalize, augmentation = Normalize(mean, std), list(transforms(r, mean, std, train.n_classes, for_chance))
    if hasattr(model, "whiten"): model.whiten(normalize(train.x[:5000])[0])
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(r.ema), use_buffers=True) if r.ema else None
    counts, opts = average.module if r.ema else model, optimizers(r, model)  # the network whose weights count
    order, chance = (torch.Generator().manual_seed(s) for s in (for_order, for_chance))

    n, batch = len(train), r.batch_size
    batches = lambda images: max(1, images // batch)  # a smaller one at the end is left out, unless it is the only one
    last_losses, history, best, done = torch.full((n,), math.inf), [], (0, -1.0, None), 0
    for epoch in range(r.epochs):
        if r.patience and epoch - best[0] >= r.patience: break
        size = turn(r.sizes, epoch, r.epochs) if r.sizes else train.size

        chosen = torch.arange(n)
        if r.hardest:
            some = max(min(batch, n), round(turn(r.hardest, epoch, r.epochs) * n))
            if some < n: chosen = last_losses.argsort(descending=True, stable=True)[:some].sort().values
            last_losses[chosen] = math.inf
        chosen = chosen[torch.randperm(len(chosen), generator=order)]

        model.train()
        loss_sum, hits = 0.0, 0
        steps = batches(len(chosen))
        for i in range(steps):
            index = chosen[i * batch:(i + 1) * batch]
            x, y = train.x[index], train.y[index]
            for t in augmentation: x, y = t(x, y, chance, epoch, index)
            x = Resize(size)(x)[0].contiguous(memory_format=torch.channels_last)
            losses, outs = gradients(r, model, x, y, ranks)
            if r.clip: torch.nn.utils.clip_grad_norm_(model.parameters(), r.clip)
            lr = rate(r, epoch * batches(n) + i * batches(n) / steps, batches(n))
            for o in opts:
                for group in o.param_groups: group["lr"] = lr * group.get("share", 1)
                o.step()
            model.zero_grad()
            if average: average.update_parameters(model)
            last_losses[index], done = losses.float(), done + 1
            loss_sum += losses.mean()
            hits += (outs.argmax(1) == (y if y.ndim == 1 else y.argmax(1))).sum()

        train_top1 = float(hits) / (steps * len(index))
        row = dict(epoch=epoch + 1, lr=lr, train_loss=float(loss_sum) / steps, train_top1=train_top1)
        if valid: row["valid_loss"], row["valid_top1"] = scores(counts, valid, normalize)
        history.append(row)
        if r.patience and row["valid_top1"] > best[1]:
            best = epoch + 1, row["valid_top1"], {k: v.clone() for k, v in counts.state_dict().items()}
    state = best[2] if r.patience else {k: v.clone() for k, v in counts.state_dict().items()}
    return SimpleNamespace(state=state, history=history, steps=done, best_epoch=best[0] if r.patience else len(history))
