"""The options that all benchmarks have."""

import argparse
from pathlib import Path

from engines.work import Work, available_threads

__all__ = ["parser", "work_of"]


def parser(doc: str | None, rounds: int = 3, repeats: int = 5) -> argparse.ArgumentParser:
    """A parser with --out, --threads, --device, --channels, --rounds and --repeats.

    Args:
        doc: the benchmark's docstring.
        rounds: turns of every engine.
        repeats: timed calls in a turn.
    """
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--out", type=Path, default=Path("runs/bench"), help="folder for JSON and plots (runs/bench)")
    made.add_argument("--threads", type=int, default=available_threads(), help="of every engine (all cores)")
    made.add_argument("--device", default="cpu", help="cpu, or cuda:0 for ours and PyTorch (cpu)")
    made.add_argument("--channels", type=float, default=1.0, help="fraction of the net's channels (1)")
    made.add_argument("--rounds", type=int, default=rounds, help=f"turns of every engine ({rounds})")
    made.add_argument("--repeats", type=int, default=repeats, help=f"timed calls in a turn ({repeats})")
    return made


def work_of(given: argparse.Namespace, height: int, width: int, batch: int = 1, folder: str = "") -> Work:
    """What a command line asks of an engine, at one size."""
    return Work(height, width, batch, given.channels, given.threads, device=given.device, folder=folder)
