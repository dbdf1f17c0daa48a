"""Third-party caffemodels of Caffe's whole life, beside the checkout: what the original Caffe answers, we answer.

V1 binaries of 2014, HDF5 files, PReLU nets with several outputs, a net with Deconvolution, Crop and Concat. Tolerance:
max |ours - recorded| <= 1e-4 max |recorded| + 1e-6; solver states are restored from the same years.
"""

from pathlib import Path

import numpy as np
import pytest

import caffe_compat
from caffe_compat.net.net import Net
from caffe_compat.solver import get_solver

MODELS = {
    "lenet_v1": ("everpeace_lenet_v1/lenet.prototxt", "everpeace_lenet_v1/lenet_iter_10000.caffemodel"),
    "cifar10_quick_v1": (
        "everpeace_cifar10_v1/cifar10_quick.prototxt",
        "everpeace_cifar10_v1/cifar10_quick_iter_4000.caffemodel",
    ),
    "cifar10_full_v1": (
        "everpeace_cifar10_v1/cifar10_full.prototxt",
        "everpeace_cifar10_v1/cifar10_full_iter_70000.caffemodel",
    ),
    "cifar10_full_h5": (
        "siegfriedgreg_cifar10_h5/cifar10_full.prototxt",
        "siegfriedgreg_cifar10_h5/cifar10_full_iter_90000.caffemodel.h5",
    ),
    "lenet_digits": (
        "ahmdtaha_lenet_digits/mnist_deploy.prototxt",
        "ahmdtaha_lenet_digits/lenet_iter_10000.caffemodel",
    ),
    "det1": ("kpzhang93_mtcnn/det1.prototxt", "kpzhang93_mtcnn/det1.caffemodel"),
    "det2": ("kpzhang93_mtcnn/det2.prototxt", "kpzhang93_mtcnn/det2.caffemodel"),
    "det3": ("kpzhang93_mtcnn/det3.prototxt", "kpzhang93_mtcnn/det3.caffemodel"),
    "wechat_sr": ("wechat_sr/sr.prototxt", "wechat_sr/sr.caffemodel"),
}
SAMPLED = 40_000  # a recorded `mid` blob of this many values or more is every 97th of them


@pytest.fixture(scope="module")
def models(realdata: Path) -> Path:
    return realdata / "caffemodels"


def load(models: Path, name: str, keep: list[str] | None = None) -> Net:
    prototxt, weights = MODELS[name]
    return Net(str(models / prototxt), caffe_compat.TEST, weights=str(models / weights), keep=keep)


def feed(net: Net, values: np.ndarray, blob: str = "data") -> None:
    net.blobs[blob].reshape(*values.shape)
    net.blobs[blob].data[...] = values
    net.forward()


def check_close(ours: np.ndarray, recorded: np.ndarray, what: str) -> None:
    assert ours.shape == recorded.shape, what
    room = 1e-4 * np.abs(recorded).max() + 1e-6
    worst = np.abs(ours.astype(np.float64) - recorded).max()
    assert worst <= room, f"{what}: off by {worst:.3g}, {room:.3g} allowed"


def check_blobs(net: Net, record: dict[str, np.ndarray], prefixes: tuple[str, ...]) -> None:
    for key, recorded in record.items():
        kind, _, blob = key.partition("/")
        if kind in prefixes:
            values = net.blobs[blob].data
            check_close(values.ravel()[::97] if kind == "mid" and values.size >= SAMPLED else values, recorded, key)


@pytest.mark.parametrize("name", MODELS)
def test_recorded_blobs(models: Path, name: str):
    record = dict(np.load(models / "recorded" / f"{name}.npz"))
    net = load(models, name)
    feed(net, record["in/data"], net.inputs[0])
    check_blobs(net, record, ("in", "mid", "out"))


@pytest.mark.parametrize("name", MODELS)
def test_recorded_outputs_of_a_lean_net(models: Path, name: str):
    record = dict(np.load(models / "recorded" / f"{name}.npz"))
    net = load(models, name, keep=[key.removeprefix("out/") for key in record if key.startswith("out/")])
    feed(net, record["in/data"], net.inputs[0])
    check_blobs(net, record, ("out",))


def test_the_ten_digits_are_read_right(models: Path):
    record = dict(np.load(models / "recorded" / "lenet_digits_samples.npz"))
    net = load(models, "lenet_digits")
    feed(net, record["pixels"][:, None] * record["scale"], net.inputs[0])
    check_close(net.blobs["loss"].data, record["out/loss"], "out/loss")
    truth = [int(Path(str(file)).stem.split("_")[1]) for file in record["files"]]
    assert net.blobs["loss"].data.argmax(axis=1).tolist() == truth


def test_det1_on_a_whole_picture(models: Path):
    record = dict(np.load(models / "recorded" / "det1_test1.npz"))
    net = load(models, "det1")
    feed(net, ((record["rgb"] - 127.5) / 128).transpose(2, 1, 0)[None], net.inputs[0])
    check_blobs(net, record, ("out",))


@pytest.mark.parametrize(
    ("folder", "solver", "state", "weights"),
    [
        ("everpeace_lenet_v1", "lenet_solver", "lenet_iter_10000.solverstate", "lenet_iter_10000.caffemodel"),
        (
            "siegfriedgreg_cifar10_h5",
            "cifar10_full_solver",
            "cifar10_full_iter_90000.solverstate.h5",
            "cifar10_full_iter_90000.caffemodel.h5",
        ),
    ],
)
def test_old_solver_states_are_restored(
    models: Path, tmp_path: Path, folder: str, solver: str, state: str, weights: str
):
    """Their train nets read databases that nobody has any more: inputs stand in for these."""
    text = (models / folder / f"{solver}.prototxt").read_text()
    deploy = next(prototxt for prototxt, file in MODELS.values() if file == f"{folder}/{weights}")
    kept = [
        line for line in text.splitlines() if not line.startswith(("net:", "test_iter", "test_interval", "snapshot"))
    ]
    path = tmp_path / "solver.prototxt"
    path.write_text("\n".join([f'net: "{models / deploy}"', 'snapshot_prefix: "none"', *kept]))
    trained = get_solver(str(path))
    trained.restore(str(models / folder / state))
    assert trained.iter == int(state.split("_iter_")[1].split(".")[0])
    loaded = Net(str(models / deploy), caffe_compat.TEST, weights=str(models / folder / weights))
    for layer, blobs in loaded.params.items():
        for ours, theirs in zip(trained.net.params[layer], blobs, strict=True):
            assert np.array_equal(ours.data, theirs.data)
    assert any(h is not None and bool(h.any()) for h in trained.history)
