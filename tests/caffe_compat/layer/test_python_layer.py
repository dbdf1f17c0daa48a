"""The Python layer type: where its class may come from, and what the class is given."""

import sys
import textwrap

import numpy as np
import pytest
from google.protobuf import text_format

from caffe_compat.errors import LayerError
from caffe_compat.layer import python_layer
from caffe_compat.layer.blob import Blob
from caffe_compat.layer.python_layer import (
    PyLayer,
    Python,
    allow_python_layers,
    import_python_layers_as_caffe,
)
from caffe_compat.net.net import Net
from caffe_compat.proto import caffe_pb2 as pb


class Scaled(PyLayer):
    """y = w * param_str * x, with w trained."""

    def setup(self, bottom, top):
        self.factor = float(self.param_str)
        self.blobs.add_blob(1)
        self.blobs[0].data[...] = 2

    def reshape(self, bottom, top):
        top[0].reshape(*bottom[0].shape)

    def forward(self, bottom, top):
        top[0].data[...] = bottom[0].data * self.factor * self.blobs[0].data[0]

    def backward(self, top, propagate_down, bottom):
        self.blobs[0].diff[0] += (top[0].diff * bottom[0].data).sum() * self.factor
        if propagate_down[0]:
            bottom[0].diff[...] = top[0].diff * self.factor * self.blobs[0].data[0]


class Counting(PyLayer):
    def setup(self, bottom, top):
        self.seen = 0

    def reshape(self, bottom, top):
        top[0].reshape(1)

    def forward(self, bottom, top):
        self.seen += 1
        top[0].data[()] = self.phase * 100 + self.seen

    def state_dict(self):
        return {"seen": self.seen}

    def load_state_dict(self, state):
        self.seen = state["seen"]


class Failing(PyLayer):
    def setup(self, bottom, top):
        raise ZeroDivisionError("the user's own")


class Empty(PyLayer):
    pass


class NotALayer:
    pass


def param(cls="Scaled", module=__name__, param_str="3", bottoms=("x",)):
    return pb.LayerParameter(
        name="mine",
        type="Python",
        bottom=bottoms,
        top=["y"],
        python_param=pb.PythonParameter(module=module, layer=cls, param_str=param_str),
    )


@pytest.fixture(autouse=True)
def _module_is_imported(monkeypatch):
    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or sys.modules[Scaled.__module__])
    monkeypatch.setattr(python_layer, "_allowed", set())
    monkeypatch.setattr(python_layer, "_import_any", False)


@pytest.fixture
def module_file(tmp_path, monkeypatch):
    """Write a module that nobody has imported; forget it afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    names = []

    def write(name, text):
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))
        names.append(name)

    yield write
    for name in names:
        sys.modules.pop(name, None)


HALVE = """
    from caffe_compat.layer.python_layer import PyLayer
    class Halve(PyLayer):
        def reshape(self, bottom, top): top[0].reshape(*bottom[0].shape)
        def forward(self, bottom, top): top[0].data[...] = bottom[0].data / 2
"""


def test_forward_and_backward_go_through_live_arrays():
    layer = Python(param(), pb.TRAIN)
    x, y = Blob((2, 3)), Blob()
    x.data[...] = np.arange(6).reshape(2, 3)
    layer.setup_blobs([x], [y])
    assert [b.shape for b in layer.blobs] == [(1,)]
    layer.reshape_blobs([x], [y])
    layer.forward_blobs([x], [y])
    np.testing.assert_array_equal(y.tensor().numpy(), 6 * np.arange(6).reshape(2, 3))
    y.diff[...] = 1
    layer.backward_blobs([y], [True], [x])
    np.testing.assert_array_equal(x.diff_tensor().numpy(), np.full((2, 3), 6))
    assert layer.blobs[0].diff_tensor().item() == 3 * 15


def test_propagate_down_is_given_to_the_layer():
    layer = Python(param(), pb.TRAIN)
    x, y = Blob((1,)), Blob()
    layer.setup_blobs([x], [y])
    layer.reshape_blobs([x], [y])
    y.diff[...] = 1
    layer.backward_blobs([y], [False], [x])
    assert not x.has_diff


@pytest.mark.parametrize(("phase", "value"), [(pb.TRAIN, 1), (pb.TEST, 101)])
def test_phase_is_the_nets(phase, value):
    layer = Python(param("Counting", bottoms=()), phase)
    y = Blob()
    layer.setup_blobs([], [y])
    layer.reshape_blobs([], [y])
    layer.forward_blobs([], [y])
    assert y.data[0] == value


def test_param_str_is_text_even_where_the_prototxt_has_none():
    assert Python(param("Counting", param_str="{'a': 1}", bottoms=()), pb.TEST).instance.param_str == "{'a': 1}"
    assert Python(param("Counting", param_str=None, bottoms=()), pb.TEST).instance.param_str == ""


def test_a_layers_own_state_is_passed_through():
    layer = Python(param("Counting", bottoms=()), pb.TEST)
    layer.setup_blobs([], [Blob()])
    layer.instance.seen = 7
    other = Python(param("Counting", bottoms=()), pb.TEST)
    other.setup_blobs([], [Blob()])
    other.load_state_dict(layer.state_dict())
    assert other.instance.seen == 7


def test_a_layer_without_state_has_an_empty_one():
    layer = Python(param(), pb.TEST)
    assert layer.state_dict() == {}
    layer.load_state_dict({})


def test_the_users_exception_passes_through_unchanged():
    with pytest.raises(ZeroDivisionError, match="^the user's own$"):
        Python(param("Failing"), pb.TEST).setup_blobs([Blob((1,))], [Blob()])


def test_a_missing_method_is_named():
    layer = Python(param("Empty"), pb.TEST)
    layer.setup_blobs([Blob((1,))], [Blob()])
    with pytest.raises(LayerError, match=r"Empty has no reshape\(self, bottom, top\); define it"):
        layer.reshape_blobs([], [])
    with pytest.raises(LayerError, match=r"has no forward\("):
        layer.forward_blobs([], [])
    with pytest.raises(LayerError, match=r"has no backward\(self, top, propagate_down, bottom\)"):
        layer.backward_blobs([], [], [])


def test_a_module_nobody_allowed_is_not_imported(module_file):
    module_file("halving_closed", HALVE)
    with pytest.raises(LayerError, match=r"layer 'mine' \(Python\): .*allow_python_layers\('halving_closed'\)"):
        Python(param("Halve", "halving_closed"), pb.TEST)
    assert "halving_closed" not in sys.modules


def test_an_allowed_module_is_imported(module_file):
    module_file("halving_open", HALVE)
    allow_python_layers("halving_open")
    assert type(Python(param("Halve", "halving_open"), pb.TEST).instance).__name__ == "Halve"


def test_allowing_a_package_allows_what_is_below_it_and_no_more(tmp_path, module_file):
    (tmp_path / "pack_of_layers").mkdir()
    (tmp_path / "pack_of_layers" / "halving.py").write_text(textwrap.dedent(HALVE))
    module_file("pack_of_layers2", HALVE)
    allow_python_layers("pack_of_layers")
    assert Python(param("Halve", "pack_of_layers.halving"), pb.TEST).instance
    with pytest.raises(LayerError, match="may not import it"):
        Python(param("Halve", "pack_of_layers2"), pb.TEST)
    del sys.modules["pack_of_layers.halving"], sys.modules["pack_of_layers"]


def test_as_caffe_any_module_is_imported(module_file):
    module_file("halving_any", HALVE)
    import_python_layers_as_caffe()
    assert Python(param("Halve", "halving_any"), pb.TEST).instance


def test_a_module_that_is_not_there(module_file):
    import_python_layers_as_caffe()
    with pytest.raises(LayerError, match="no module 'halving_nowhere' .*; put its folder on PYTHONPATH"):
        Python(param("Halve", "halving_nowhere"), pb.TEST)


def test_a_module_with_a_failing_import_of_its_own_shows_that(module_file):
    module_file("halving_broken", "import a_library_that_is_not_there")
    import_python_layers_as_caffe()
    with pytest.raises(ModuleNotFoundError, match="a_library_that_is_not_there") as caught:
        Python(param("Halve", "halving_broken"), pb.TEST)
    assert not isinstance(caught.value, LayerError)


def test_a_class_that_is_not_there_lists_those_that_are(module_file):
    module_file("halving_typo", HALVE)
    allow_python_layers("halving_typo")
    with pytest.raises(LayerError, match="has no class 'Half'; the Layer classes in it: Halve; correct"):
        Python(param("Half", "halving_typo"), pb.TEST)


def test_a_class_of_another_kind():
    with pytest.raises(LayerError, match="'NotALayer' in module .* is not a Layer class; derive it from"):
        Python(param("NotALayer"), pb.TEST)


def test_module_and_layer_are_needed():
    with pytest.raises(LayerError, match="needs both module and layer"):
        Python(param("", "m"), pb.TEST)


def test_a_layer_with_its_own_init_gets_the_layer_message(module_file):
    module_file(
        "halving_init",
        """
        from caffe_compat.layer.python_layer import PyLayer
        class Halve(PyLayer):
            def __init__(self, p_object, *args, **kwargs):
                super().__init__(p_object, *args, **kwargs)
                self.told = p_object.name
        """,
    )
    allow_python_layers("halving_init")
    assert Python(param("Halve", "halving_init"), pb.TEST).instance.told == "mine"


def net(more: str = "", phase: int = pb.TRAIN, **options) -> Net:
    text = f"""
        force_backward: true
        layer {{ name: 'in' type: 'Input' top: 'x' input_param {{ shape {{ dim: 2 dim: 3 }} }} }}
        layer {{ name: 'mine' type: 'Python' bottom: 'x' top: 'y' loss_weight: 1
                 python_param {{ module: '{__name__}' layer: 'Scaled' param_str: '3' }} }}
        {more}"""
    return Net(text_format.Parse(text, pb.NetParameter()), phase, **options)


def test_in_a_net_it_gives_values_gradients_and_parameters():
    made = net()
    made.blobs["x"].data[...] = np.arange(6).reshape(2, 3)
    assert made.forward()["y"].tolist() == [[0, 6, 12], [18, 24, 30]]
    made.backward()
    assert made.blobs["x"].diff.tolist() == [[6] * 3] * 2
    assert made.params["mine"][0].diff.tolist() == [45]
    made.params["mine"][0].data[...] = 1
    made.blobs["x"].reshape(1, 1)
    made.blobs["x"].data[...] = 5
    assert made.forward()["y"].tolist() == [[15]]


def test_in_a_net_its_tops_reach_the_layers_after_it():
    made = net("layer { name: 'p' type: 'Power' bottom: 'y' top: 'z' power_param { scale: -1 } }", keep=["z"])
    for value in (1, 2):
        made.blobs["x"].data[...] = value
        assert made.forward()["z"].tolist() == [[-6 * value] * 3] * 2


def test_in_a_net_its_state_is_the_nets():
    text = f"layer {{ name: 'c' type: 'Python' top: 'y' python_param {{ module: '{__name__}' layer: 'Counting' }} }}"
    made = Net(text_format.Parse(text, pb.NetParameter()), pb.TRAIN)
    made.forward()
    assert made.layers_state() == {"c": {"seen": 1}}
    other = Net(text_format.Parse(text, pb.NetParameter()), pb.TRAIN)
    other.load_layers_state({"c": {"seen": 41}})
    assert other.forward()["y"].tolist() == [42]


def test_the_net_shows_the_users_own_object():
    made = net()
    layer = made.layers[1]
    assert isinstance(layer, Scaled)
    assert made.layer_dict["mine"] is layer
    assert (layer.type, layer.name, layer.param.python_param.param_str) == ("Python", "mine", "3")
    assert list(layer.blobs) == made.params["mine"]
    layer.factor = 10  # what a program sets on it counts
    made.blobs["x"].data[...] = 1
    assert made.forward()["y"].tolist() == [[20] * 3] * 2
