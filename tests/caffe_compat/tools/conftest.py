"""Verbs run in this process, as the console script runs them, with their log lines on stderr."""

import logging
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from caffe_compat.__main__ import _verbs
from caffe_compat.device import set_mode_cpu
from caffe_compat.glog import init_log, log_to_file


@pytest.fixture
def verb(tmp_path):
    """Runs ``caffe-compat ARGS`` and gives its exit code, output (stdout), stderr and log lines."""

    def run(*args):
        log_file = tmp_path / "verb.log"
        log_file.write_text("")
        with log_to_file(log_file):
            done = CliRunner().invoke(_verbs, [str(arg) for arg in args])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return SimpleNamespace(
            code=done.exit_code, out=done.stdout, err=done.stderr, log=log_file.read_text(), file=log_file
        )

    level = logging.getLogger("caffe_compat").level
    yield run
    logging.getLogger("caffe_compat").setLevel(level)
    init_log()
    set_mode_cpu()
