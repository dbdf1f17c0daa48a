"""Working copies of the recorded solver cases."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from caffe_compat.proto.text import read_solver
from caffe_compat.solver import get_solver

CASES = sorted(path.name for path in (Path(__file__).resolve().parents[2] / "reference" / "solvers").iterdir())


class Case:
    """A recorded training: its files in the current folder, its numbers in ``record``."""

    def __init__(self, folder):
        self.folder = folder
        self.record = np.load(folder / "record.npz")

    def param(self, **settings):
        """The settings, some of them changed; None takes one away."""
        param = read_solver("solver.prototxt")
        for name, value in settings.items():
            param.ClearField(name)
            if isinstance(value, list):
                getattr(param, name).extend(value)
            elif value is not None:
                setattr(param, name, value)
        return param

    def solver(self, **settings):
        """A solver at the recorded initial weights."""
        solver = get_solver(self.param(**settings))
        for layer, index, values in self.params_at("init"):
            solver.net.params[layer][index].data[...] = values
        return solver

    def params_at(self, moment):
        for name in self.record.files:
            if name.startswith(f"{moment}/"):
                _, layer, index = name.split("/")
                yield layer, int(index), self.record[name]

    def check(self, solver, iteration):
        found = 0
        for layer, index, values in self.params_at(f"iter{iteration}"):
            self.close(solver.net.params[layer][index].data, values, f"iter{iteration} {layer}/{index}")
            found += 1
        assert found

    @staticmethod
    def close(ours, recorded, what):
        worst = np.abs(ours - recorded).max()
        assert worst <= 1e-4 * np.abs(recorded).max() + 1e-6, f"{what}: off by {worst}"


@pytest.fixture
def case(request, reference, tmp_path, monkeypatch):
    """One case in a folder of its own, which is the current folder; ``sgd_momentum`` unless parametrized."""
    name = getattr(request, "param", "sgd_momentum")
    shutil.copytree(reference / "solvers" / name, tmp_path / name)
    for file in (tmp_path / name).iterdir():
        os.chmod(file, 0o644)
    monkeypatch.chdir(tmp_path / name)
    return Case(tmp_path / name)


def pytest_generate_tests(metafunc):
    if "every_case" in metafunc.fixturenames:
        metafunc.parametrize("case", CASES, indirect=True, ids=CASES)


@pytest.fixture
def every_case(case):
    """``case``, for each of them in turn."""
    return case
