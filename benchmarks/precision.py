"""voc-fcn8s at bf16: forward and solver step beside fp32 and beside peers at bf16, with what it does to the scores.

    python benchmarks/precision.py
    python benchmarks/precision.py --tasks forward --sizes 375x500 256x256

Measured as fcn8s.py measures. Scores are compared with those of plain PyTorch at fp32: the largest difference, relative
to the largest score, and the pixels whose highest class is the same. PyTorch's bf16 is torch.autocast; OpenVINO's is
its own hint. A processor without bf16 instructions runs it slower than fp32 (the first line says which it has).
"""

from collections.abc import Sequence

from engines.compared import Entry, compare
from engines.timed import ENGINES
from engines.work import parse_size
from measuring.options import parser, work_of
from measuring.plots import draw_bars
from measuring.report import Report

ENTRIES = [
    Entry("ours (lean)", "bf16"),
    Entry("ours (lean)"),
    Entry("torch"),
    Entry("torch channels_last"),
    Entry("torch", "bf16"),
    Entry("torch channels_last", "bf16"),
    Entry("openvino"),
    Entry("openvino", "bf16"),
]
TASKS = ("forward", "step")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run from a command line."""
    options = parser(__doc__)
    options.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    options.add_argument("--sizes", nargs="+", default=["500x500"], help="height x width, such as 375x500")
    given = options.parse_args(arguments)
    report, bars = Report("precision", given), {}
    for task in given.tasks:
        entries = [entry for entry in ENTRIES if getattr(ENGINES[entry.engine], task)]
        for size in given.sizes:
            work = work_of(given, *parse_size(size))
            bars[f"{task} {size}"] = compare(report, task, work, entries, given)
    draw_bars(report.plot_path(), bars, "seconds")
    report.save()


if __name__ == "__main__":
    main()
