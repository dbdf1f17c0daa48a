"""voc-fcn8s on this machine: time and memory of a forward and of a solver step, beside peers, in one run.

    python benchmarks/fcn8s.py                       forward and step at 500 x 500, fp32, all engines
    python benchmarks/fcn8s.py --sizes 375x500       another size (height x width)
    python benchmarks/fcn8s.py --tasks forward --engines "ours (lean)" torch openvino

Every engine runs in a process of its own, so that its peak memory is its own; the engines take turns, round after
round. Shown: the median over rounds of the median time of a round (after a warm-up), the fastest and the slowest
round, the ratio to the first engine, and the largest peak resident memory, Python and libraries included. Images
change from call to call. All engines have the same random weights (interpolation is bilinear) and as many threads;
the scores of each are compared with those of plain PyTorch: the largest difference, relative to the largest score, and
the pixels whose highest class is the same.

Peers: plain eager PyTorch, contiguous and channels_last; OpenCV's dnn, ONNX Runtime, OpenVINO and ncnn:
pip install 'caffe-compat[bench,bench-engines]'. What is not installed is left out, with a line that says so.
"""

from collections.abc import Sequence

from engines.compared import Entry, compare
from engines.timed import ENGINES
from engines.work import parse_size
from measuring.options import parser, work_of
from measuring.plots import draw_bars
from measuring.report import Report

TASKS = ("forward", "step")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run from a command line."""
    options = parser(__doc__)
    options.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    options.add_argument("--sizes", nargs="+", default=["500x500"], help="height x width, such as 375x500")
    options.add_argument("--engines", nargs="+", choices=list(ENGINES), default=list(ENGINES))
    options.add_argument("--batch", type=int, default=1, help="images per call (1)")
    given = options.parse_args(arguments)
    report, bars = Report("fcn8s", given), {}
    for task in given.tasks:
        entries = [Entry(name) for name in given.engines if getattr(ENGINES[name], task)]
        for size in given.sizes:
            work = work_of(given, *parse_size(size), given.batch)
            bars[f"{task} {size}"] = compare(report, task, work, entries, given)
    draw_bars(report.plot_path(), bars, "seconds")
    report.save()


if __name__ == "__main__":
    main()
