"The figures that the package computes itself are those of torchmetrics, which computes them too."
import pytest

from cifar10_nb.data import drawn
from cifar10_nb.evaluate import evaluate
from cifar10_nb.lab.report import calibration
from cifar10_nb.record.run import load_model, shipped_weights

oracle = pytest.importorskip("torchmetrics.functional.classification")


@pytest.fixture(scope="module")
def scored():
    "A network of photographs and drawn images, so that a third of the answers are wrong; one class has no images."
    images = drawn(20, 200)[1]
    images = images.subset((images.y != 3).nonzero()[:, 0].tolist())
    scores = evaluate(load_model(shipped_weights(), "cpu"), images)
    assert 0.3 < scores.top1 < 0.95
    return scores, images


def test_accuracy_of_each_class(scored):
    scores, images = scored
    theirs = oracle.multiclass_accuracy(scores.logits, images.y, 10, average="none").tolist()
    ours = list(scores.per_class.values())
    assert ours[3] != ours[3] and theirs[3] == 0  # there is no image of this class: here that is no accuracy, there it is 0
    assert [o for o in ours if o == o] == theirs[:3] + theirs[4:]


def test_confusion_matrix(scored):
    scores, images = scored
    assert scores.confusion == oracle.multiclass_confusion_matrix(scores.logits, images.y, 10).tolist()


def test_calibration_error(scored):
    scores, images = scored
    for bins in (5, 15):
        theirs = oracle.multiclass_calibration_error(scores.logits, images.y, 10, n_bins=bins).item()
        assert abs(calibration(scores.logits, images.y, bins)["ece"] - theirs) < 1e-5
