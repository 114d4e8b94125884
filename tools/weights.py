"""Make the weights that come with the package from a run of `speed` that held some images out.

    cifar10_train --recipe speed --set valid=0.04 --data cifar10 --out runs/weights
    python tools/weights.py runs/weights --data cifar10

Filters and matrices are rounded to 16 bits, and a temperature is fitted on the images held out. Three files are written:
cifar10_nb/weights/speed.safetensors, and from the network as it is after rounding results/weights/run.json and
results/reports/speed.json. Then tools/card.py writes the model card.
"""
import argparse
from pathlib import Path

from cifar10_nb.core import to_json, write_atomic
from cifar10_nb.data import open_data
from cifar10_nb.lab.report import held_out_images, report
from cifar10_nb.record.run import load_model, read_run, shipped_weights, weights_bytes

root = Path(__file__).resolve().parent.parent


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of the run")
    parser.add_argument("--data", default="cifar10", help="as for cifar10_train")
    args = parser.parse_args()
    run, model, (train, test) = read_run(args.run), load_model(args.run, "cpu"), open_data(args.data)
    held, why_none = held_out_images(model, train)
    if not held: parser.error(why_none)
    write_atomic(shipped_weights(), weights_bytes(model, half=True))
    model = load_model(shipped_weights(), "cpu")  # as it is after rounding
    found = report(model, train, test)[0]         # before it knows its temperature
    model.info["temperature"] = found["temperature"]["value"]
    write_atomic(shipped_weights(), weights_bytes(model, half=True))
    run["timed"] = False  # nobody asked whether the machine was idle,
    del found["cost"]     # nor for the speed of the network
    for place, what in (("weights/run", run), ("reports/speed", found)):
        write_atomic(root / f"results/{place}.json", (to_json(what, indent=1) + "\n").encode())
    print(f"test accuracy {run['test']['top1']:.2%} before rounding, {found['test']['top1']:.2%} after; "
          f"ECE {found['calibration']['ece']:.3f}, with temperature {found['temperature']['ece']:.3f}")


if __name__ == "__main__": main()
