"""voc-fcn8s on this machine: time and memory of a forward and of a solver step, beside peers, in one run.

    python benchmarks/fcn8s.py                       forward and step at 500 x 500, ours, plain PyTorch, OpenCV
    python benchmarks/fcn8s.py --sizes 375x500       another size (height x width)
    python benchmarks/fcn8s.py --tasks forward --rounds 5

Every engine runs in a process of its own, so that its peak memory is its own; the engines take turns, round after
round, so that a busy moment of the machine meets all of them. Shown: the median over rounds of the median time of a
round (after a warm-up), the ratio to ours, and the largest peak resident memory, Python and libraries included.
Images change from call to call. Weights are random; interpolation is bilinear.

Peers: plain eager PyTorch, contiguous and channels_last; OpenCV's dnn (opencv-python-headless below 5, the last to read
Caffe files: pip install 'caffe-compat[bench]').
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

ENGINES = {
    "forward": ["ours (lean)", "torch", "torch channels_last", "opencv"],
    "step": ["ours (lean)", "torch", "torch channels_last"],
}
CLASSES = 21


def images(height: int, width: int) -> list[np.ndarray]:
    """Three different images, 1 x 3 x height x width, BGR minus mean."""
    rng = np.random.RandomState(0)
    return [rng.uniform(-128, 151, (1, 3, height, width)).astype(np.float32) for _ in range(3)]


def labels(height: int, width: int) -> np.ndarray:
    """1 x 1 x height x width, class numbers."""
    return np.random.RandomState(1).randint(0, CLASSES, (1, 1, height, width)).astype(np.float32)


def ours_forward(height: int, width: int) -> Callable[[np.ndarray], object]:
    """A lean TEST net."""
    from caffe_compat import TEST, Net
    from nets.catalogue import lookup
    from nets.sources import InputData

    net = Net(lookup("voc-fcn8s").build(InputData({"data": (1, 3, height, width)})), TEST, keep=["score"])
    random_weights(net)

    def run(image: np.ndarray) -> object:
        net.blobs["data"].data[...] = image
        return net.forward()["score"]

    return run


def ours_step(height: int, width: int) -> Callable[[np.ndarray], object]:
    """A lean train net under Caffe's SGD, as solve.py runs it."""
    from caffe_compat.proto.caffe_pb2 import SolverParameter
    from caffe_compat.solver import SGDSolver
    from nets.catalogue import lookup
    from nets.sources import InputData

    shapes = {"data": (1, 3, height, width), "label": (1, 1, height, width)}
    param = SolverParameter(base_lr=1e-14, momentum=0.99, weight_decay=5e-4, lr_policy="fixed")
    param.train_net_param.CopyFrom(lookup("voc-fcn8s").build(InputData(shapes)))
    solver = SGDSolver(param, keep=[])
    random_weights(solver.net)
    solver.net.blobs["label"].data[...] = labels(height, width)

    def run(image: np.ndarray) -> object:
        solver.net.blobs["data"].data[...] = image
        return solver.step(1)

    return run


def random_weights(net: object) -> None:
    """He-normal convolutions and bilinear interpolation."""
    import torch

    from nets.surgery import interp
    from solvers.initial import interpolated_layers

    torch.manual_seed(0)
    for layer in net.layers:  # type: ignore[attr-defined]
        if layer.type == "Convolution":
            weight, bias = layer.blobs
            for blob, spread in ((weight, (2 / np.prod(weight.shape[1:])) ** 0.5), (bias, 0.1)):
                blob.tensor().normal_(std=float(spread))  # in place: no copy that would count as ours
                blob.mark_changed()
    interp(net, interpolated_layers(net))  # type: ignore[arg-type]


def torch_forward(channels_last: bool) -> Callable[[np.ndarray], object]:
    """The plain twin, no gradients."""
    import torch
    from plain_torch import PlainFCN8s

    layout = torch.channels_last if channels_last else torch.contiguous_format
    net = PlainFCN8s().eval().to(memory_format=layout)

    def run(image: np.ndarray) -> object:
        with torch.no_grad():
            return net(torch.from_numpy(image).contiguous(memory_format=layout))

    return run


def torch_step(channels_last: bool, height: int, width: int) -> Callable[[np.ndarray], object]:
    """The plain twin under torch.optim.SGD, summed cross entropy."""
    import torch
    import torch.nn.functional as F
    from plain_torch import PlainFCN8s

    layout = torch.channels_last if channels_last else torch.contiguous_format
    net = PlainFCN8s().train().to(memory_format=layout)
    learned = [p for p in net.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(learned, lr=1e-14, momentum=0.99, weight_decay=5e-4)
    target = torch.from_numpy(labels(height, width)).long()[:, 0]

    def run(image: np.ndarray) -> object:
        optimizer.zero_grad(set_to_none=True)
        score = net(torch.from_numpy(image).contiguous(memory_format=layout))
        F.cross_entropy(score, target, ignore_index=255, reduction="sum").backward()
        return optimizer.step()

    return run


def opencv_forward(height: int, width: int) -> Callable[[np.ndarray], object]:
    """OpenCV's dnn on the same prototxt and caffemodel."""
    import cv2

    from caffe_compat import TEST, Net
    from caffe_compat.proto.text import write_text
    from nets.catalogue import lookup
    from nets.sources import InputData

    with tempfile.TemporaryDirectory() as folder:
        param = lookup("voc-fcn8s").build(InputData({"data": (1, 3, height, width)}))
        net = Net(param, TEST)
        random_weights(net)
        write_text(Path(folder) / "net.prototxt", param)
        net.save(Path(folder) / "net.caffemodel")
        del net
        read = cv2.dnn.readNetFromCaffe(f"{folder}/net.prototxt", f"{folder}/net.caffemodel")

    def run(image: np.ndarray) -> object:
        read.setInput(image)
        return read.forward("score")

    return run


def build(engine: str, task: str, height: int, width: int) -> Callable[[np.ndarray], object]:
    """The call to time."""
    if engine == "opencv":
        return opencv_forward(height, width)
    if engine.startswith("ours"):
        return ours_forward(height, width) if task == "forward" else ours_step(height, width)
    last = engine.endswith("channels_last")
    return torch_forward(last) if task == "forward" else torch_step(last, height, width)


def worker(engine: str, task: str, height: int, width: int, repeats: int) -> None:
    """Time one engine in this process; prints JSON."""
    os.environ.setdefault("GLOG_minloglevel", "2")
    run, given = build(engine, task, height, width), images(height, width)
    for i in range(2):
        run(given[i])
    times = []
    for i in range(repeats):
        begin = time.perf_counter()
        run(given[i % len(given)])
        times.append(time.perf_counter() - begin)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": median(times), "bytes": peak}))


def measure(engine: str, task: str, size: str, repeats: int) -> dict[str, float] | None:
    """Run a worker; None where the engine is not installed."""
    command = [
        sys.executable,
        __file__,
        "--worker",
        engine,
        "--tasks",
        task,
        "--sizes",
        size,
        "--repeats",
        str(repeats),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{engine}: not measured: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
        return None
    return dict(json.loads(done.stdout.splitlines()[-1]))


def compare(task: str, size: str, rounds: int, repeats: int) -> None:
    """Measure all engines, taking turns, and print a table."""
    seconds: dict[str, list[float]] = {}
    peaks: dict[str, list[float]] = {}
    missing: set[str] = set()
    for _ in range(rounds):
        for engine in ENGINES[task]:
            found = None if engine in missing else measure(engine, task, size, repeats)
            if found is None:
                missing.add(engine)
                continue
            seconds.setdefault(engine, []).append(found["seconds"])
            peaks.setdefault(engine, []).append(found["bytes"])
    ours = median(seconds["ours (lean)"])
    print(f"\n{task}, 1 x 3 x {size}, fp32\n{'engine':<22}{'seconds':>9}{'ours faster':>13}{'peak GB':>9}")
    for engine, values in seconds.items():
        ratio = f"{median(values) / ours:.2f} x" if engine != "ours (lean)" else ""
        print(f"{engine:<22}{median(values):>9.3f}{ratio:>13}{max(peaks[engine]) / 1e9:>9.2f}", flush=True)


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=list(ENGINES), default=list(ENGINES))
    parser.add_argument("--sizes", nargs="+", default=["500x500"], help="height x width, such as 375x500")
    parser.add_argument("--rounds", type=int, default=3, help="turns of every engine")
    parser.add_argument("--repeats", type=int, default=5, help="timed calls in a turn")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        height, width = (int(side) for side in arguments.sizes[0].split("x"))
        worker(arguments.worker, arguments.tasks[0], height, width, arguments.repeats)
        return
    for task in arguments.tasks:
        for size in arguments.sizes:
            compare(task, size, arguments.rounds, arguments.repeats)


if __name__ == "__main__":
    main()
