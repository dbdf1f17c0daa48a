"""voc-fcn8s at bf16: forward and solver step beside fp32 and beside peers at bf16, with what it does to the scores.

    python benchmarks/precision.py
    python benchmarks/precision.py --tasks forward --sizes 375x500 256x256

Measured as fcn8s.py measures. Scores are compared with those of plain PyTorch at fp32: the largest difference, relative
to the largest score, and the pixels whose highest class is the same. PyTorch's bf16 is torch.autocast; OpenVINO's is
its own hint. A processor without bf16 instructions runs it slower than fp32 (the first line says which it has).

How many pixels keep their class depends on the weights: the last table shows ours at bf16 beside ours at fp32 for
random weights of several kinds, the worst of three images each.
"""

from collections.abc import Sequence
from dataclasses import asdict

from engines.compared import Entry, compare
from engines.timed import ENGINES
from engines.work import Work, parse_size
from measuring import own_process
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
    _compare_kinds(report, work_of(given, *parse_size(given.sizes[0])))
    report.save()


def _compare_kinds(report: Report, work: Work) -> None:
    """A table of what bf16 does to scores, by kind of weights."""
    kinds: list[str] = own_process.call("engines.rounded:kinds", work.threads)["names"]
    found = {
        kind: own_process.call("engines.rounded:compare_rounded", work.threads, work=asdict(work), kind=kind)
        for kind in kinds
    }
    rows = [[kind, f"{one['difference']:.1e}", f"{one['argmax']:.2%}"] for kind, one in found.items()]
    title = f"ours at bf16 beside ours at fp32, 1 x 3 x {work.height} x {work.width}"
    report.table(title, ["random weights", "max difference", "same argmax"], rows)
    report.found["weights"] = found


if __name__ == "__main__":
    main()
