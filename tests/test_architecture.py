"""House rules that hold for the whole source: imports point one way, names that must not be taken, docstrings."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("caffe_compat", "nets", "solvers", "data_prep")
GENERATED = {"caffe_compat/proto/caffe_pb2.py"}

# Inside caffe_compat a part imports parts of its own level and below. What is not listed is on top: the public names,
# the verbs, the aliases, Classifier and Detector.
LEVELS = {
    "errors": 0,
    "spelling": 0,
    "device": 1,
    "glog": 1,
    "malloc": 1,
    "parallel": 1,
    "proto": 1,
    "pictures": 1,
    "io": 2,
    "spec": 3,
    "layer": 4,
    "net": 5,
    "solver": 6,
}
TOP = 7
MAY_IMPORT = {
    "caffe_compat": {"caffe_compat"},
    "nets": {"nets", "caffe_compat"},
    "data_prep": {"data_prep", "caffe_compat"},
    "solvers": {"solvers", "nets", "data_prep", "caffe_compat"},
}


def sources():
    return sorted(path.relative_to(ROOT) for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def module_name(path):
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path) for path in sources()}


def imported(path):
    """The modules of this project that a file imports, at any depth of its code, with their lines."""
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in MODULES else node.module for name in inner]
        else:
            continue
        yield from ((name, node.lineno) for name in names if name.partition(".")[0] in PACKAGES)


def level(module):
    part = (module.split(".") + [""])[1]
    return LEVELS.get(part, TOP)


def test_the_check_reads_real_sources():
    assert "caffe_compat.spec.net_spec" in MODULES
    spec = dict(imported(Path("caffe_compat/spec/net_spec.py")))
    assert {"caffe_compat.errors", "caffe_compat.proto.caffe_pb2", "caffe_compat.spec.fields"} <= set(spec)
    assert level("caffe_compat") == level("caffe_compat.tools.run") == TOP
    assert level("caffe_compat.errors") < level("caffe_compat.proto.text") < level("caffe_compat.net.net")


@pytest.mark.parametrize("path", sources(), ids=str)
def test_imports_point_one_way(path):
    package, importer = path.parts[0], module_name(path)
    for name, line in imported(path):
        assert name.partition(".")[0] in MAY_IMPORT[package], f"{path}:{line}: {package} imports {name}"
        if package == "caffe_compat":
            assert level(name) <= level(importer), f"{path}:{line}: {importer} imports {name}, which is above it"


@pytest.mark.parametrize("path", [path for path in sources() if path.as_posix() not in GENERATED], ids=str)
def test_every_file_says_what_it_is(path):
    docstring = ast.get_docstring(ast.parse((ROOT / path).read_text()))
    assert docstring, f"{path} has no module docstring"
    assert docstring.strip()


def test_pycaffes_names_are_not_taken_by_modules():
    """A submodule of that name would replace ``caffe_compat.layers`` (``L``) at its first import."""
    inside = {path.parts[1].removesuffix(".py") for path in sources() if path.parts[0] == "caffe_compat"}
    assert not inside & {"layers", "params", "Layer", "Net"}


def test_no_file_is_called_by_what_it_might_hold():
    assert not [path for path in sources() if path.stem in ("utils", "util", "helpers", "common", "misc")]


def test_tests_have_no_init_files():
    assert not list((ROOT / "tests").rglob("__init__.py"))
