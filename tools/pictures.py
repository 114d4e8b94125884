"""Draw the site's pictures into nbs/images: logo, picture of the classes, card for links, samples for the playground.

    python tools/pictures.py            draw them
    python tools/pictures.py --check    are they what would be drawn? Exit code 1 if not

The classes are drawn by the package's own `draw_image`, so that what a page shows is what the sample holds.
"""
import argparse
import io
import random
import sys
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from cifar10_nb.data import cifar10_classes
from cifar10_nb.sources.draw import draw_image

root = Path(__file__).resolve().parent.parent
folder = root / "nbs/images"
name, says = "cifar10_nb", ("CIFAR-10 classifiers, built step by step", "in notebooks and measured honestly")
font_file = Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"
digits = ["11.222", ".1.2.2", ".1.2.2", ".1.2.2", "111222"]
# one colour a column: matplotlib's viridis, which colour-blind readers can tell apart
shades = ["#fde725", "#9fda3a", "#4ac16d", "#1fa187", "#277f8e", "#6d8fd1"]


def pixels():
    "The cells of the logo: column, row, colour."
    return [(x, y, shades[x]) for y, row in enumerate(digits) for x, c in enumerate(row) if c != "."]


def logo():
    "A ten of pixels on a dark tile, as SVG."
    cells = "".join(f'<rect x="{3 + x}" y="{3 + y}" width=".9" height=".9" fill="{c}"/>' for x, y, c in pixels())
    return ('<svg xmlns="http://www.w3.org/2000/svg" width="32" height="32" viewBox="2 1.5 7.9 7.9" role="img"'
            ' aria-label="cifar10_nb">'
            f'<rect x="2" y="1.5" width="7.9" height="7.9" rx="1.2" fill="#20243a"/>{cells}</svg>\n')


def picture(name, edge):
    "One drawn image, its 32x32 pixels kept visible."
    return draw_image(name, random.Random(f"site {name}")).resize((edge, edge), Image.NEAREST)


def classes(edge=128, gap=8, label=30):
    "Ten pictures in a row, with their names."
    im = Image.new("RGB", (10 * (edge + gap) + gap, edge + label + gap), "white")
    draw, font = ImageDraw.Draw(im), ImageFont.truetype(font_file, 21)
    for i, c in enumerate(cifar10_classes):
        x, y = gap + i * (edge + gap), gap
        im.paste(picture(c, edge), (x, y))
        draw.text((x + edge / 2, y + edge + label / 2), c, "#222", font, "mm")
    return im


def samples():
    "The ten pictures as they are, side by side: the playground takes its pixels from here."
    im = Image.new("RGB", (320, 32))
    for i, c in enumerate(cifar10_classes): im.paste(picture(c, 32), (32 * i, 0))
    file = io.BytesIO()
    im.save(file, "PNG", optimize=True)
    return file.getvalue()


def card():
    "1200x630, as sites ask for that show a link with a picture."
    im = Image.new("RGB", (1200, 630), "#20243a")
    draw = ImageDraw.Draw(im)
    for x, y, c in pixels(): draw.rectangle((80 + 36 * x, 110 + 36 * y, 112 + 36 * x, 142 + 36 * y), c)
    draw.text((350, 150), name, "white", ImageFont.truetype(font_file, 84), "lm")
    for i, line in enumerate(says):
        draw.text((350, 230 + 48 * i), line, "#cfd6ea", ImageFont.truetype(font_file, 35), "lm")
    for i, c in enumerate(cifar10_classes): im.paste(picture(c, 96), (48 + i * 112, 440))
    return im


def png(im):
    "A small PNG: 128 colours of its own are enough here."
    file = io.BytesIO()
    im.quantize(128, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    return file.getvalue()


def apart(a, b):
    "How far two PNG files are apart: mean difference of their pixels, of 255."
    a, b = (np.asarray(Image.open(io.BytesIO(x)).convert("RGB"), float) for x in (a, b))
    return np.abs(a - b).mean() if a.shape == b.shape else 255


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--check", action="store_true", help="compare, and draw nothing")
args = parser.parse_args()
made = {"logo.svg": logo().encode(), "classes.png": png(classes()), "card.png": png(card()), "samples.png": samples()}
if args.check:  # text may be drawn a shade differently by another version of freetype
    old = {n: (folder / n).read_bytes() if (folder / n).exists() else b"" for n in made}
    wrong = [n for n in made if old[n] != made[n] and (n.endswith("svg") or not old[n] or apart(old[n], made[n]) > 2)]
    wrong += [p.name for p in folder.iterdir() if p.name not in made]
    if wrong: sys.exit(f"nbs/images: {', '.join(wrong)} is not what tools/pictures.py draws: run python tools/pictures.py")
else:
    folder.mkdir(exist_ok=True)
    for n, data in made.items(): (folder / n).write_bytes(data)
