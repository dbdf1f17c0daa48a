"""The command line style of Caffe's tools (gflags) for click commands.

``-solver=x``, ``--solver=x``, ``-solver x`` and ``--solver x`` all mean the same; a switch is turned on by ``-gray`` or
``-gray=true``, off by ``-nogray`` or ``-gray=false``. Names have underscores, as Caffe's have. The flags of glog that
users of the tools give by habit are taken too: ``-logtostderr`` and ``-alsologtostderr`` (lines go to stderr anyway),
``-minloglevel`` and ``-log_dir``.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from caffe_compat import glog

__all__ = ["FlagCommand", "flag", "switch"]

_TRUE, _FALSE = ("true", "t", "yes", "y", "1"), ("false", "f", "no", "n", "0")
_Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def flag(name: str, help_: str, default: Any = "", type_: Any = str) -> _Decorator:
    """A flag with a value, such as ``-iterations 50``; passed to the command under its own name."""
    return click.option(f"--{name}", name, help=help_, default=default, type=type_, show_default=default != "")


def switch(name: str, help_: str, default: bool = False) -> _Decorator:
    """A flag that is on or off, such as ``-gray``."""
    return click.option(f"--{name}/--no{name}", name, help=help_, default=default, show_default=True)


class FlagCommand(click.Command):
    """A click command whose options may be given in gflags' ways."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += [
            click.Option(["--logtostderr/--nologtostderr"], hidden=True, expose_value=False),
            click.Option(["--alsologtostderr/--noalsologtostderr"], hidden=True, expose_value=False),
            click.Option(["--minloglevel"], type=int, hidden=True, expose_value=False, callback=_set_level),
            click.Option(["--log_dir"], hidden=True, expose_value=False, callback=_log_into),
        ]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Turn gflags' forms into click's, then parse."""
        return super().parse_args(ctx, self._as_click_writes(args))

    def _as_click_writes(self, args: list[str]) -> list[str]:
        known = {name: option for option in self.params for name in (*option.opts, *option.secondary_opts)}
        written: list[str] = []
        rest = iter(args)
        for arg in rest:
            if arg == "--":
                return [*written, arg, *rest]
            name, equals, value = arg.lstrip("-").partition("=")
            if not arg.startswith("-") or len(name) < 2 or not name[0].isalpha():
                written.append(arg)
                continue
            option = known.get(f"--{name}")
            if isinstance(option, click.Option) and option.is_flag and equals:
                written.append(_switched(name, value, option))
            else:
                written.append(f"--{name}{equals}{value}")
                if isinstance(option, click.Option) and not option.is_flag and not equals:
                    written += [value for value in [next(rest, None)] if value is not None]
        return written


def _switched(name: str, value: str, option: click.Option) -> str:
    if value.lower() in _TRUE:
        return f"--{name}"
    if value.lower() not in _FALSE:
        raise click.UsageError(f"-{name}={value}: give true or false")
    return option.secondary_opts[0] if f"--{name}" in option.opts else option.opts[0]


def _set_level(_: click.Context, __: click.Parameter, level: int | None) -> None:
    if level is not None:
        glog.init_log(level)


def _log_into(ctx: click.Context, _: click.Parameter, folder: str | None) -> None:
    """Write a log file as glog names it (without host and user) into the folder."""
    if folder:
        if not Path(folder).is_dir():
            raise click.UsageError(f"-log_dir={folder}: there is no such folder; make it first")
        name = f"caffe.{ctx.info_name}.log.INFO.{time.strftime('%Y%m%d-%H%M%S')}.{os.getpid()}"
        ctx.with_resource(glog.log_to_file(Path(folder, name)))
