"""The timing rows of the CVPR paper's Tables 1 and 3 on this machine: forward passes at 500 x 500, mean of 20 trials.

    python benchmarks/inference_table.py                    on the CPU
    python benchmarks/inference_table.py --device cuda:0
    python benchmarks/inference_table.py --trials 3 --size 250

One net after another, each lean, as solve.py infers: two passes to warm up, then the trials, each on another image and
timed until the scores are there. Convolutions are random and interpolation is bilinear, as in a trained net.
Parameters, receptive field and layers are counted from the specs; mean IU and times of a Tesla K40c are the paper's.
"""

import argparse
import gc
import os
import platform
import time
from dataclasses import dataclass
from statistics import mean, stdev

import numpy as np
import torch

from caffe_compat import TEST, Net
from caffe_compat.glog import init_log
from nets.catalogue import lookup
from nets.geometry import places
from nets.size import parameter_count
from nets.sources import InputData
from nets.surgery import interp
from solvers.device_option import use_device
from solvers.initial import interpolated_layers
from solvers.published import INFERENCE_SECONDS, OTHERS, PUBLISHED, TABLE_1

MODELS = {
    "FCN-AlexNet": "voc-fcn-alexnet",
    "FCN-VGG16": "voc-fcn32s",
    "FCN-GoogLeNet": "voc-fcn-googlenet",
    "FCN-8s": "voc-fcn8s",
}
IN_TABLE_1 = {
    "FCN-AlexNet": "voc-fcn-alexnet",
    "FCN-VGG16": "voc-fcn32s-accumulated",
    "FCN-GoogLeNet": "voc-fcn-googlenet",
}
"""The models whose training the mean IU of Table 1 is of."""


@dataclass(frozen=True)
class Timed:
    """One net's measurements: milliseconds of its trials, and facts of its spec."""

    milliseconds: list[float]
    conv_layers: int
    parameters: int
    receptive_field_px: int
    stride_px: int

    @property
    def spread(self) -> str:
        """Mean and standard deviation."""
        deviation = stdev(self.milliseconds) if len(self.milliseconds) > 1 else 0.0
        return f"{mean(self.milliseconds):.0f} +- {deviation:.0f} ms"


def time_model(model: str, size: int, trials: int) -> Timed:
    """Forward passes of one net on ``size`` x ``size`` images."""
    param = lookup(model).build(InputData({"data": (1, 3, size, size)}))
    for layer in param.layer:
        if layer.type == "Convolution":
            layer.convolution_param.weight_filler.type = "msra"
    net = Net(param, TEST, keep=["score"])
    interp(net, interpolated_layers(net))
    images = np.random.RandomState(0).uniform(-128, 151, (trials + 2, 3, size, size)).astype(np.float32)
    taken = []
    for image in images:
        net.blobs["data"].data[...] = image
        begin = time.perf_counter()
        net.forward()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        taken.append(1000 * (time.perf_counter() - begin))
    coarse = places(param)["score_fr"]
    del net
    gc.collect()
    return Timed(
        taken[2:], coarse.depth, parameter_count(param), coarse.receptive_field_px, int(coarse.stride)
    )  # fmt: skip


def machine(device: str) -> str:
    """What the numbers were measured on."""
    if device != "cpu":
        return torch.cuda.get_device_name()
    return f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads"


def print_table_1(timed: dict[str, Timed]) -> None:
    """Networks side by side, as in the paper."""
    names = list(IN_TABLE_1)
    rows_of_table = [next(row for row in PUBLISHED[IN_TABLE_1[name]] if row.source == "C") for name in names]
    paper = [TABLE_1[MODELS[name]] for name in names]
    rows = {
        "mean IU (paper)": [f"{100 * (row.mean_iu or 0):.1f}" for row in rows_of_table],
        "forward time": [timed[name].spread for name in names],
        "  on a K40c (paper)": [f"{one.milliseconds:.0f} ms" for one in paper],
        "conv. layers": [str(timed[name].conv_layers) for name in names],
        "parameters": [f"{timed[name].parameters / 1e6:.0f}M" for name in names],
        "rf size": [str(timed[name].receptive_field_px) for name in names],
        "max stride": [str(timed[name].stride_px) for name in names],
    }
    print("\nTable 1\n" + f"{'':<22}" + "".join(f"{name:>18}" for name in names))
    for title, cells in rows.items():
        print(f"{title:<22}" + "".join(f"{cell:>18}" for cell in cells))


def print_table_3(timed: Timed) -> None:
    """FCN-8s beside what it was compared with."""

    def mean_iu(rows: tuple, year: int) -> str:
        found = [row.mean_iu for row in rows if row.source == "C" and row.split == f"VOC{year} test"]
        return f"{100 * found[0]:.1f}" if found else "-"

    lines = {
        "R-CNN": (OTHERS["R-CNN"], "-"),
        "SDS": (OTHERS["SDS"], f"about {INFERENCE_SECONDS['SDS']:.0f} s (paper)"),
        "FCN-8s": (PUBLISHED["voc-fcn8s"], timed.spread),
        "  on a K40c (paper)": (PUBLISHED["voc-fcn8s"], f"about {1000 * INFERENCE_SECONDS['FCN-8s']:.0f} ms"),
    }
    print(f"\nTable 3\n{'':<22}{'VOC2011 test':>18}{'VOC2012 test':>18}{'inference time':>22}")
    for name, (rows, told) in lines.items():
        print(f"{name:<22}{mean_iu(rows, 2011):>18}{mean_iu(rows, 2012):>18}{told:>22}")


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--trials", type=int, default=20, help="timed passes of every net")
    parser.add_argument("--size", type=int, default=500, help="height and width of the images, pixels")
    arguments = parser.parse_args()
    if arguments.trials < 1 or arguments.size < 64:
        parser.error("--trials must be at least 1 and --size at least 64")
    os.environ.setdefault("GLOG_minloglevel", "2")
    init_log(2)
    use_device(arguments.device)
    print(
        f"forward at {arguments.size} x {arguments.size}, fp32, mean of {arguments.trials} trials; "
        f"{machine(arguments.device)}"
    )
    timed = {name: time_model(model, arguments.size, arguments.trials) for name, model in MODELS.items()}
    print_table_1(timed)
    print_table_3(timed["FCN-8s"])


if __name__ == "__main__":
    main()
