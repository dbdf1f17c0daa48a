"""``import caffe`` after ``install_as_caffe()``, and ``python -m caffe_compat run``."""

import importlib
import os
import subprocess
import sys
import types
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import caffe_compat
from caffe_compat import aliases
from caffe_compat.__main__ import VERBS, _verbs
from caffe_compat.errors import CaffeError
from caffe_compat.layer import python_layer

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def installed(monkeypatch):
    """The alias in this process, taken away again afterwards."""
    asked = []
    monkeypatch.setattr(python_layer, "import_python_layers_as_caffe", lambda: asked.append(True))
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    assert not [name for name in sys.modules if name.partition(".")[0] == "caffe"]
    aliases.install_as_caffe()
    yield asked
    for name in [name for name in sys.modules if name.partition(".")[0] == "caffe"]:
        del sys.modules[name]


def python(*args, cwd=None, **env):
    """Run Python with the package importable, and give the finished process."""
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        [sys.executable, *map(str, args)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": path, **env},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(("old", "new"), aliases.MODULES.items())
def test_each_old_name_is_the_very_module(installed, old, new):
    try:
        ours = importlib.import_module(new)
    except ModuleNotFoundError:
        with pytest.raises(ImportError, match=f"^{old}: this version of caffe_compat does not have {new}"):
            importlib.import_module(old)
        return
    spec = ours.__spec__
    assert importlib.import_module(old) is ours
    assert sys.modules[old] is ours
    assert ours.__spec__ is spec
    assert spec.name == new


def test_the_ways_scripts_import(installed):
    import caffe
    import caffe.proto.caffe_pb2 as pb
    from caffe import coord_map, net_spec
    from caffe import layers as L
    from caffe import params as P
    from caffe._caffe import Blob
    from caffe.coord_map import crop
    from caffe.proto import caffe_pb2

    assert caffe is caffe_compat
    assert pb is caffe_pb2 is caffe.proto.caffe_pb2 is sys.modules["caffe_compat.proto.caffe_pb2"]
    assert (L, P) == (caffe_compat.layers, caffe_compat.params)
    assert crop is coord_map.crop is sys.modules["caffe_compat.spec.coord_map"].crop
    assert net_spec is caffe.net_spec
    assert net_spec.NetSpec is caffe.NetSpec
    assert Blob is caffe_compat.Blob
    assert caffe.__version__ == "1.0.0"


def test_nothing_below_caffe_is_found_as_a_file(installed):
    for name in ("caffe.layer", "caffe.errors", "caffe.spec.net_spec", "caffe.nope"):
        with pytest.raises(ModuleNotFoundError, match=r"caffe_compat has no such module; it has caffe, caffe\._caffe"):
            importlib.import_module(name)
    with pytest.raises(ImportError):
        from caffe import nope  # noqa: F401
    assert not [name for name in sys.modules if name.startswith(("caffe.layer", "caffe.spec"))]


def test_installing_twice_changes_nothing_and_python_layers_are_imported(installed):
    import caffe  # noqa: F401

    finders = list(sys.meta_path)
    aliases.install_as_caffe()
    assert sys.meta_path == finders
    assert installed == [True, True]


def test_another_caffe_that_is_imported_already_is_an_error(tmp_path):
    (tmp_path / "caffe.py").write_text("")
    done = python(
        "-c",
        "import sys; sys.path.insert(0, '.'); import caffe, caffe_compat\n"
        "try: caffe_compat.install_as_caffe()\n"
        "except caffe_compat.CaffeError as error: print(error)",
        cwd=tmp_path,
    )
    assert "cannot stand in for caffe: caffe is already imported, from " in done.stdout, done.stderr
    assert "call caffe_compat.install_as_caffe() before the first import of caffe" in done.stdout
    assert issubclass(aliases.AliasError, CaffeError)


SCRIPT = """
import sys
import caffe
import beside
from caffe import layers as L, params as P
from caffe.coord_map import crop
from caffe.proto import caffe_pb2
n = caffe.NetSpec()
n.data = L.Input(shape=dict(dim=[1, 3, 8, 8]))
n.pool = L.Pooling(n.data, pool=P.Pooling.AVE, kernel_size=2)
assert type(n.to_proto()) is caffe_pb2.NetParameter
print(__name__, sys.argv, beside.here, len(n.to_proto().layer))
sys.exit(7)
"""


def test_run_gives_the_script_its_arguments_folder_and_status(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "beside.py").write_text("here = 'beside'")
    (tmp_path / "caffe.py").write_text("raise OSError('another caffe, which is only on the path')")
    script = tmp_path / "script.py"
    done = python("-m", "caffe_compat", "run", script, "--help", "-x", "--", "1", cwd="/")
    assert done.stdout == f"__main__ {[str(script), '--help', '-x', '--', '1']} beside 2\n", done.stderr
    assert done.returncode == 7


MAKE_A_PYTHON_LAYER = """
import caffe_compat
from caffe_compat import TEST, layers as L
from caffe_compat.layer.registry import create_layer
{first}
made = create_layer(L.Python(module='my_own_layers', layer='Mine').to_proto().layer[0], TEST)
print(type(made.instance).__module__)
"""


@pytest.mark.parametrize(
    ("verb", "first"),
    [
        (["-m", "caffe_compat", "run"], ""),
        ([], "caffe_compat.install_as_caffe()"),
    ],
)
def test_when_a_python_layers_module_is_imported(tmp_path, verb, first):
    (tmp_path / "script.py").write_text(MAKE_A_PYTHON_LAYER.format(first=first))
    (tmp_path / "my_own_layers.py").write_text("import caffe_compat\nclass Mine(caffe_compat.Layer): pass\n")
    assert python(*verb, "script.py", cwd=tmp_path).stdout == "my_own_layers\n"


@pytest.mark.parametrize(
    ("body", "status", "shown"),
    [
        ("import caffe; caffe.NetSpec().x", 1, "Traceback"),
        ("input()", 1, "EOFError"),
        ("raise KeyboardInterrupt", 130, "Traceback"),
    ],
)
def test_run_shows_the_scripts_own_errors(tmp_path, body, status, shown):
    (tmp_path / "script.py").write_text(body)
    done = python("-m", "caffe_compat", "run", "script.py", cwd=tmp_path)
    assert done.returncode == status
    assert shown in done.stderr
    assert "Aborted" not in done.stderr


@pytest.mark.parametrize(("script", "found"), [("absent.py", "is not there"), (".", "is a folder")])
def test_run_without_a_script_is_a_clear_error(tmp_path, script, found):
    done = CliRunner().invoke(_verbs, ["run", str(tmp_path / script)])
    assert done.exit_code == 2
    assert f"Invalid value for SCRIPT: '{tmp_path / script}' {found}; give the path of a Python file" in done.output


def test_a_tools_caffe_error_is_one_line(monkeypatch):
    @click.command
    def failing():
        raise CaffeError("who, what, what to do")

    monkeypatch.setitem(VERBS, "failing", f"{__name__}:failing")
    monkeypatch.setitem(sys.modules, __name__, types.SimpleNamespace(failing=failing))
    done = CliRunner().invoke(_verbs, ["failing"])
    assert (done.exit_code, done.output) == (1, "Error: who, what, what to do\n")


def test_every_verb_has_its_module_and_is_listed():
    shown = CliRunner().invoke(_verbs, ["--help"])
    assert shown.exit_code == 0, shown.output
    for verb in VERBS:
        assert f"\n  {verb} " in shown.output
    assert CliRunner().invoke(_verbs, ["nope"]).exit_code == 2
