"""Write the model card of the weights that come with the package, from the files of their run and their report.

    python tools/card.py            write it
    python tools/card.py --check    say whether it is what the results make (exit code 1 if not)
"""
import argparse
import hashlib
import json
import sys
from pathlib import Path
from statistics import median

from cifar10_nb.lab.results import load_bench
from cifar10_nb.lab.stats import wilson
from cifar10_nb.record.run import load_model, shipped_weights

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--check", action="store_true", help="compare, and write nothing")
args = parser.parse_args()

root = Path(__file__).resolve().parent.parent
weights, card = shipped_weights(), root / "cifar10_nb" / "weights" / "README.md"
run, report = (json.loads((root / "results" / name).read_text(encoding="utf-8")) for name in ("weights/run.json", "reports/speed.json"))
model, c, t = load_model(weights, "cpu"), report["corruptions"], report["temperature"]
assert model.info["recipe"] == run["recipe"] == report["recipe"] and model.info["temperature"] == t["value"], "not the weights of this run"
test, hits = report["test"], round(report["test"]["top1"] * report["n"])
per_class = report["per_class"]
lowest, highest = (choose(per_class, key=per_class.get) for choose in (min, max))
timed = next(b for b in load_bench("inference") if b["machine"]["name"] == run["device"]["name"])
ways = {"PyTorch": "with PyTorch", "ONNX": "as ONNX", "ONNX, int8": "in eight bits"}


def of_ways(number): return ", ".join(f"{number(timed['seconds'][f'speed_cnn, {way}'])} {said}" for way, said in ways.items())


one, many = of_ways(lambda s: f"{1e3 * median(s['1']):.2f} ms"), of_ways(lambda s: f"{500 / median(s['500']):,.0f}")
text = f"""<!-- made by tools/card.py -->

# {weights.name}

A `SpeedCNN` with {sum(p.numel() for p in model.parameters()):,} parameters that tells {len(model.info['classes'])} classes apart:
{', '.join(model.info['classes'])}. Input: RGB images of {model.info['size']}x{model.info['size']} pixels. The header of the file holds
mean, standard deviation, temperature and the whole recipe.

- **Data**: the training images of CIFAR-10 (Krizhevsky, 2009), {run['n_train']:,} of them; {run['n_valid']:,} were held out.
- **Recipe**: `{run['recipe']['name']}`, {run['epochs']} epochs, seed {run['seed']} (the only one trained), {run['device']['precision']} on two CPU cores,
  {run['pflop']:.3f} PFLOP, torch {run['versions']['torch'].split('+')[0]}, commit {run['commit'][:12]}. The file holds filters and matrices in 16 bits.
- **Accuracy** on the {report['n']:,} test images: {test['top1']:.2%} (95% interval {wilson(hits, report['n']).low:.2%} to {wilson(hits, report['n']).high:.2%}),
  {run['test']['top1']:.2%} before the weights were rounded to 16 bits; with six views {run['test_tta']['top1']:.2%}; top-5 {test['top5']:.2%}.
  Lowest for {lowest} ({per_class[lowest]:.1%}), highest for {highest} ({per_class[highest]:.1%}).
- **Calibration**: a temperature of {t['value']:.2f}, fitted on the images held out, divides the logits wherever the package uses this
  file. Expected calibration error on the test images: {report['calibration']['ece']:.3f} without it, {t['ece']:.3f} with it.
- **Robustness**: {c['mean']:.1%} on average over fifteen corruptions in five severities, on {c['n']:,} test images ({c['clean']:.1%} on the same
  images as they are). Frost is drawn here, so this is not the published figure for CIFAR-10-C.
- **Speed** on two CPU cores ({timed['machine']['name']}): one image takes {one};
  images/s in batches of 500: {many}. The page on export has more ways.
- **Limits**: it has only ever seen small photographs of one thing each. Whatever it is shown gets one of its ten names, with high
  probability at times. It knows nothing of people, and nothing that matters should depend on it.
- **Licence**: Apache 2.0, that of the package. The images are not included.
- **md5**: `{hashlib.md5(weights.read_bytes()).hexdigest()}`
"""
if not args.check: card.write_text(text, encoding="utf-8")
elif card.read_text(encoding="utf-8") != text: sys.exit(f"{card} is not what tools/card.py makes of the results: run it")
