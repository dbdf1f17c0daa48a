"""``run [--device cpu] SCRIPT ARGS...``: a pycaffe script on this package, unchanged."""

import runpy
import sys
import traceback
from pathlib import Path

import click

from caffe_compat.aliases import install_as_caffe
from caffe_compat.device import stay_on_cpu

__all__ = ["run", "run_script"]


def run_script(script: Path, args: tuple[str, ...]) -> None:
    """Run a Python file as ``__main__`` with ``caffe`` meaning this package.

    ``sys.argv`` and ``sys.path`` are as Python would set them, except that the script's folder is put before the
    path's first entry instead of replacing it. What the script raises, SystemExit included, passes through.

    Raises:
        AliasError: another ``caffe`` has been imported already.
    """
    install_as_caffe()
    sys.argv = [str(script), *args]
    sys.path.insert(0, str(script.resolve().parent))
    runpy.run_path(str(script), run_name="__main__")


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option(
    "--device",
    type=click.Choice(["script", "cpu"]),
    default="script",
    show_default=True,
    help="script: where the script says. cpu: on the CPU, though it calls set_mode_gpu or set_device.",
)
@click.argument("script", type=click.Path(path_type=Path))
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
def run(device: str, script: Path, args: tuple[str, ...]) -> None:
    """Run SCRIPT with ARGS; its `import caffe` means caffe_compat.

    Options come before SCRIPT; what follows it is the script's. The exit status is the script's.
    """
    if not script.is_file():
        found = "is a folder" if script.is_dir() else "is not there"
        raise click.BadParameter(f"'{script}' {found}; give the path of a Python file", param_hint="SCRIPT")
    if device == "cpu":
        stay_on_cpu()
    try:
        run_script(script, args)
    except (EOFError, KeyboardInterrupt) as error:  # click would take these for its own and hide where they came from
        traceback.print_exc()
        sys.exit(130 if isinstance(error, KeyboardInterrupt) else 1)
