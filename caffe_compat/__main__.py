"""``python -m caffe_compat VERB``, also installed as ``caffe-compat VERB``.

A verb is a click command in a module of its own under ``caffe_compat.tools``; ``VERBS`` says where. The module is
imported only when its verb, or the list of verbs, is asked for.
"""

import importlib
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import click

from caffe_compat.errors import CaffeError
from caffe_compat.spelling import did_you_mean

__all__ = ["VERBS", "main"]

VERBS = {
    "classify": "caffe_compat.tools.classify:classify",
    "compare": "caffe_compat.tools.compare:compare",
    "compute_image_mean": "caffe_compat.tools.compute_image_mean:compute_image_mean",
    "convert": "caffe_compat.tools.convert:convert",
    "convert_imageset": "caffe_compat.tools.convert_imageset:convert_imageset",
    "convolutionalize": "caffe_compat.tools.convolutionalize:convolutionalize",
    "dense_prediction": "caffe_compat.tools.dense_prediction:dense_prediction",
    "detect": "caffe_compat.tools.detect:detect",
    "device_query": "caffe_compat.tools.device_query:device_query",
    "draw_net": "caffe_compat.tools.draw_net:draw_net",
    "export": "caffe_compat.tools.export:export",
    "extract_features": "caffe_compat.tools.extract_features:extract_features",
    "parse_log": "caffe_compat.tools.parse_log:parse_log",
    "plot_log": "caffe_compat.tools.plot_log:plot_log",
    "run": "caffe_compat.tools.run:run",
    "test": "caffe_compat.tools.score_net:test",
    "time": "caffe_compat.tools.time_net:time",
    "train": "caffe_compat.tools.train_net:train",
    "upgrade_net_proto_binary": "caffe_compat.tools.upgrade_proto:upgrade_net_proto_binary",
    "upgrade_net_proto_text": "caffe_compat.tools.upgrade_proto:upgrade_net_proto_text",
    "upgrade_solver_proto_text": "caffe_compat.tools.upgrade_proto:upgrade_solver_proto_text",
}


class _VerbTable(click.Group):
    """The verbs of ``VERBS``; a CaffeError of any but ``run`` becomes one line instead of a traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module, _, command = VERBS[cmd_name].partition(":")
        verb: click.Command = getattr(importlib.import_module(module), command)
        return verb

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in VERBS and not args[0].startswith("-"):
            ctx.fail(f"unknown verb '{args[0]}'{did_you_mean(args[0], VERBS)}; known: {', '.join(VERBS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Every verb with its whole first sentence, which click would cut at the line's end."""
        verbs = {name: self.get_command(ctx, name) for name in VERBS}
        with formatter.section("Verbs"):
            formatter.write_dl([(name, verb.get_short_help_str(1000)) for name, verb in verbs.items() if verb])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except CaffeError as error:
            if ctx.invoked_subcommand == "run":  # the script's own error, which its author wants to trace
                raise
            raise click.ClickException(str(error)) from error


def _tell_versions(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        try:
            own = version("caffe-compat")
        except PackageNotFoundError:
            own = "(not installed, run as it lies)"
        import torch  # its own word tells the build too: +cpu, +cu128

        click.echo(f"caffe-compat {own}, Python {platform.python_version()}, torch {torch.__version__}")
        ctx.exit()


@click.group(
    cls=_VerbTable, subcommand_metavar="VERB [ARGS]...", context_settings={"help_option_names": ["-h", "--help"]}
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_tell_versions, help="Tell versions."
)
def _verbs() -> None:
    """Caffe's tools, on PyTorch; caffe-compat VERB --help tells what one takes.

    Flags are written as Caffe's: -iterations 50, -iterations=50 or --iterations 50.
    """


def main() -> None:
    """Run the verb that the command line names, and exit with its status."""
    _verbs(prog_name="caffe-compat")


if __name__ == "__main__":
    main()
