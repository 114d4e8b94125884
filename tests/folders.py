"Folders of images for the tests."
from PIL import Image

from cifar10_nb.data import drawn


def write_images(root, n_train, n_test):
    "Drawn images as root/train/CLASS/0000.png and root/test/CLASS/0000.png."
    for part, images in zip(("train", "test"), drawn(n_train, n_test)):
        for i, (x, y) in enumerate(zip(images.x, images.y)):
            path = root / part / images.classes[y] / f"{i:04}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(x.permute(1, 2, 0).numpy()).save(path)
