"""Options of the same name in the command lines of solve.py, regression and data_prep."""

from collections import defaultdict

import click

from data_prep.cli import main
from solvers.cli import command
from solvers.regression import regression_command


def test_an_option_takes_a_value_in_every_command_line_or_in_none():
    """``--list`` shows what there is, wherever it stands; a list file is named by ``--list-file``."""
    takers = defaultdict(lambda: defaultdict(set))
    for name, one in {**main.commands, "solve.py": command, "regression": regression_command}.items():
        for option in one.params:
            if isinstance(option, click.Option):
                for word in option.opts:
                    takers[word][option.is_flag].add(name)
    assert {word: dict(kinds) for word, kinds in takers.items() if len(kinds) > 1} == {}
    assert takers["--list"] == {True: {"solve.py", "download"}}
    assert takers["--list-file"] == {False: {"voc", "sbd", "nyud", "siftflow", "pascalcontext", "folder"}}
