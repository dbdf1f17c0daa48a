"""The command lines that users of Caffe's tools type."""

import click
import pytest
from click.testing import CliRunner

from caffe_compat import glog
from caffe_compat.tools.flags import FlagCommand, flag, switch


@click.command(cls=FlagCommand)
@click.argument("names", nargs=-1)
@flag("solver", "a file")
@flag("iterations", "a number", 50, int)
@switch("gray", "a switch")
def tool(names, solver, iterations, gray):
    glog.info("tool.cpp:1", "a line")
    click.echo(f"{names} {solver} {iterations} {gray}")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", "() '' 50 False"),
        ("-solver=x --iterations=3", "() 'x' 3 False"),
        ("--solver x -iterations 3", "() 'x' 3 False"),
        ("a -gray b", "('a', 'b') '' 50 True"),
        ("-gray=true -solver -gray", "() '-gray' 50 True"),
        ("-gray=false", "() '' 50 False"),
        ("-gray -nogray", "() '' 50 False"),
        ("-nogray=false", "() '' 50 True"),
        ("-iterations -1 -logtostderr=1 -alsologtostderr a", "('a',) '' -1 False"),
        ("-gray -- -solver", "('-solver',) '' 50 True"),
    ],
)
def test_all_of_gflags_ways(line, expected):
    done = CliRunner().invoke(tool, line.split())
    assert done.exit_code == 0, done.stderr
    assert done.stdout == expected.replace("''", "").replace("'x'", "x").replace("'-gray'", "-gray") + "\n"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("-solvr=x", "No such option"),
        ("-gray=maybe", "-gray=maybe: give true or false"),
        ("-iterations", "requires an argument"),
        ("-log_dir=/not/there", "there is no such folder"),
    ],
)
def test_wrong_flags(line, message):
    done = CliRunner().invoke(tool, line.split())
    assert done.exit_code == 2
    assert message in done.stderr


def test_log_dir_gets_a_file(tmp_path):
    assert CliRunner().invoke(tool, [f"-log_dir={tmp_path}"]).exit_code == 0
    (file,) = tmp_path.iterdir()
    assert ".log.INFO." in file.name
    assert file.read_text().endswith("tool.cpp:1] a line\n")
