"""Write the model card of the weights that come with the package, from the files of their run and their report.

    python tools/card.py            write it
    python tools/card.py --check    say whether it is what the results make (exit code 1 if not)
"""
import argparse
import hashlib
import json
import sys
from pathlib import Path

from cifar10_nb.lab.results import load_results
from cifar10_nb.lab.stats import wilson
from cifar10_nb.record.run import load_model, shipped_weights

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--check", action="store_true", help="compare, and write nothing")
args = parser.parse_args()

root = Path(__file__).resolve().parent.parent
weights, card = shipped_weights(), root / "cifar10_nb" / "weights" / "README.md"
report = json.loads((root / "results" / "reports" / "small.json").read_text())
runs = [r for r in load_results() if r["recipe"]["name"] == "small" and r["source"].startswith("cifar10") and r["device"]["precision"] == "bf16"]
run = next(r for r in runs if r["test"]["top1"] == report["test"]["top1"])  # the report is of these weights
best = max(runs, key=lambda r: r["history"][-1]["valid_top1"])
model, c, t = load_model(weights, "cpu"), report["corruptions"], report["temperature"]
assert run is best and model.info["recipe"] == run["recipe"], "not the weights that were chosen"
hits = round(run["test"]["top1"] * 10_000)
text = f"""<!-- made by tools/card.py -->

# small.safetensors

A `SmallCNN` with {sum(p.numel() for p in model.parameters()):,} parameters that tells {len(model.info['classes'])} classes apart:
{', '.join(model.info['classes'])}. Input: RGB images of {model.info['size']}x{model.info['size']} pixels; the header of the file holds
mean, standard deviation and the whole recipe.

- **Data**: the training images of CIFAR-10 (Krizhevsky, 2009), {run['n_train']:,} of them; {run['n_valid']:,} were held out.
- **Recipe**: `small`, {run['epochs']} epochs, seed {run['seed']}, {run['device']['precision']} on two CPU cores, {run['seconds']:.0f} seconds,
  {run['pflop']:.3f} PFLOP, torch {run['versions']['torch'].split('+')[0]}, commit {run['commit'][:12]}. Chosen among {len(runs)} seeds by held-out accuracy.
- **Accuracy** on the 10,000 test images: {run['test']['top1']:.2%} (95% interval {wilson(hits, 10_000).low:.2%} to {wilson(hits, 10_000).high:.2%}),
  with the mirror image {run['test_tta']['top1']:.2%}; top-5 {run['test']['top5']:.2%}; loss {run['test']['loss']:.3f} nats. Lowest for
  {min(report['per_class'], key=report['per_class'].get)} ({min(report['per_class'].values()):.1%}), highest for {max(report['per_class'], key=report['per_class'].get)} ({max(report['per_class'].values()):.1%}).
- **Calibration**: expected calibration error {report['calibration']['ece']:.3f}; {t['ece']:.3f} after dividing the logits by {t['value']:.2f} (those of
  the file are not divided).
- **Robustness**: {c['mean']:.1%} on average over fifteen corruptions in five severities, on {c['n']:,} test images ({c['clean']:.1%} on the same
  images as they are). Frost is drawn here, so this is not the published figure for CIFAR-10-C.
- **Limits**: it has only ever seen small photographs of one thing each. Whatever it is shown gets one of its ten names, with high
  probability at times. It knows nothing of people, and nothing that matters should depend on it.
- **Licence**: Apache 2.0, that of the package. The images are not included.
- **md5**: `{hashlib.md5(weights.read_bytes()).hexdigest()}`
"""
if not args.check: card.write_text(text, encoding="utf-8")
elif card.read_text(encoding="utf-8") != text: sys.exit(f"{card} is not what tools/card.py makes of the results: run it")
