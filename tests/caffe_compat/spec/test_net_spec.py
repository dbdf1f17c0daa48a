"""NetSpec against the recorded outputs of the real pycaffe, and its rules one by one."""

import copy
import importlib.util
import sys
import types

import numpy as np
import pytest
from google.protobuf import text_format

from caffe_compat.errors import CaffeError, NetError
from caffe_compat.proto import caffe_pb2
from caffe_compat.spec import coord_map
from caffe_compat.spec.net_spec import (
    FieldValueError,
    NetSpec,
    UnknownFieldError,
    UnknownTopError,
    assign_proto,
    param_name_dict,
    to_proto,
)
from caffe_compat.spec.net_spec import layers as L
from caffe_compat.spec.net_spec import params as P


def net(text):
    return text_format.Parse(text, caffe_pb2.NetParameter())


def words(text):
    """Prototxt as words; numbers as float32, as protobuf versions write 1 and 1.0, 5e-05 and 4.999999873689376e-05."""

    def word(token):
        try:
            return np.float32(token)
        except ValueError:
            return token

    return [word(token) for token in text.split()]


BUILDERS = [
    "in_place_and_repeats",
    "several_tops",
    "anonymous_tops",
    "anonymous_inside_named",
    "nested_and_python",
    "crop_pool_deconv",
    "crop_rectangular",
]


@pytest.fixture(scope="module")
def builders(realdata):
    spec = importlib.util.spec_from_file_location("netspec_builders", realdata / "netspec" / "builders.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert [f.__name__ for f in module.BUILDERS] == BUILDERS
    return module


@pytest.fixture
def caffe(monkeypatch):
    """What the builders use of pycaffe, under its name."""
    stand_in = types.ModuleType("caffe")
    stand_in.__dict__.update(
        NetSpec=NetSpec, layers=L, params=P, to_proto=to_proto, TRAIN=caffe_pb2.TRAIN, TEST=caffe_pb2.TEST, __path__=[]
    )
    monkeypatch.setitem(sys.modules, "caffe", stand_in)
    monkeypatch.setitem(sys.modules, "caffe.coord_map", coord_map)
    return stand_in


@pytest.mark.parametrize("name", BUILDERS)
def test_equals_the_real_pycaffe(builders, realdata, caffe, name):
    made = getattr(builders, name)(caffe)
    recorded = (realdata / "netspec" / f"{name}.prototxt").read_text()
    assert made == net(recorded)
    assert words(str(made)) == words(recorded)


def test_names_come_from_the_spec_and_else_from_type_and_number():
    n = NetSpec()
    n.data = L.Input()
    n.out = L.ReLU(L.Convolution(L.Convolution(n.data)))
    n["with/slash"] = L.Concat(n.out, n["data"])
    n.hush = L.Silence(n["with/slash"], ntop=0)
    made = n.to_proto()
    assert [layer.name for layer in made.layer] == [
        "data",
        "Convolution1",
        "Convolution2",
        "out",
        "with/slash",
        "hush",
    ]
    assert list(made.layer[4].bottom) == ["out", "data"]
    assert list(made.layer[5].top) == []


def test_a_layer_of_several_tops_bears_the_name_of_the_first():
    n = NetSpec()
    n.data, n.label = L.Data(ntop=2)
    assert n.to_proto() == net('layer { name: "data" type: "Data" top: "data" top: "label" }')


def test_in_place_layers_take_their_bottoms_names_and_keep_their_own():
    n = NetSpec()
    n.data = L.Input()
    n.relu = L.ReLU(n.data, in_place=True)
    n.next = L.TanH(n.relu)
    relu, after = n.to_proto().layer[1:]
    assert (relu.name, list(relu.bottom), list(relu.top)) == ("relu", ["data"], ["data"])
    assert list(after.bottom) == ["data"]


def test_name_keyword_replaces_the_layers_name():
    n = NetSpec()
    n.data = L.Input(name="source")
    assert n.to_proto() == net('layer { name: "source" type: "Input" top: "data" }')


def test_where_keywords_go():
    n = NetSpec()
    n.x = L.Input(shape=dict(dim=5))
    n.y = L.Convolution(n.x, num_output=3, kernel_size=2, param=dict(lr_mult=1), loss_weight=2, include=dict(phase=1))
    assert n.to_proto() == net("""
        layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 5 } } }
        layer { name: "y" type: "Convolution" bottom: "x" top: "y" loss_weight: 2 param { lr_mult: 1 }
                include { phase: TEST } convolution_param { num_output: 3 kernel_size: 2 } }""")


def test_update_changes_the_layer_behind_a_top():
    n = NetSpec()
    n.x = L.Input()
    n.y = L.Convolution(n.x, num_output=3)
    n.update("y", dict(num_output=8, bias_term=False))
    assert n.to_proto().layer[1].convolution_param == caffe_pb2.ConvolutionParameter(num_output=8, bias_term=False)


def test_spec_is_a_mapping_of_its_names():
    n = NetSpec()
    n.x = L.Input()
    n.y = L.ReLU(n.x)
    assert n.keys() == list(n) == ["x", "y"]
    assert n.vals() == [n.x, n["y"]] == list(n.tops.values())
    assert "x" in n
    assert "z" not in n
    del n["y"]
    del n.x
    assert n.keys() == []
    assert copy.copy(n).keys() == []


def test_bare_tops_and_layers_without_top():
    data = L.Input()
    assert L.ReLU(data).to_proto() == to_proto(L.ReLU(data))
    made = to_proto(L.ReLU(data), L.Silence(data, ntop=0))
    assert [layer.name for layer in made.layer] == ["Input1", "ReLU1", "Silence1"]


def test_depth_is_not_limited_by_recursion():
    top = L.Input()
    for _ in range(5000):
        top = L.ReLU(top)
    assert to_proto(top).layer[-1].name == "ReLU5000"


def test_assign_proto_wraps_scalars_takes_tuples_and_messages():
    layer = caffe_pb2.LayerParameter()
    assign_proto(layer, "loss_weight", 1)
    assign_proto(layer, "bottom", ("a", "b"))
    assign_proto(layer, "param", [caffe_pb2.ParamSpec(name="w"), dict(name="b")])
    assign_proto(layer, "convolution_param", caffe_pb2.ConvolutionParameter(num_output=3))
    assign_proto(layer, "convolution_param", dict(weight_filler=dict(type="xavier")))
    assert layer == text_format.Parse(
        """loss_weight: 1 bottom: "a" bottom: "b" param { name: "w" } param { name: "b" }
        convolution_param { num_output: 3 weight_filler { type: "xavier" } }""",
        caffe_pb2.LayerParameter(),
    )
    with pytest.raises(
        UnknownFieldError, match="no field 'convolution_param.nope'; ConvolutionParameter knows num_out"
    ):
        assign_proto(layer, "convolution_param", dict(nope=1))


def test_param_name_dict_ties_types_to_fields():
    known = param_name_dict()
    assert known["InnerProduct"] == "inner_product"
    assert known["SPP"] == "spp"
    assert known["Parameter"] == "parameter"
    assert "Deconvolution" not in known


def test_constants():
    assert P.Pooling.AVE == caffe_pb2.PoolingParameter.AVE
    assert P.Loss.VALID == caffe_pb2.LossParameter.VALID
    with pytest.raises(
        UnknownFieldError, match=r"P.Pooling.MEAN: PoolingParameter has no such constant; it has MAX, AVE"
    ):
        _ = P.Pooling.MEAN
    with pytest.raises(UnknownFieldError, match="P.Poling.MAX: the schema has no PolingParameter"):
        _ = P.Poling.MAX


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        (
            dict(kernal_size=3),
            r"layer 'y' \(Convolution\): no field 'kernal_size' in convolution_param or the layer "
            r"\(did you mean kernel_size\?\); convolution_param knows num_output, .*; the layer knows name, type",
        ),
        (
            dict(weight_filler=dict(stdd=1)),
            r"layer 'y' \(Convolution\): no field 'convolution_param.weight_filler.stdd' \(did you mean std\?\); "
            "FillerParameter knows type, value, min, max, mean, std",
        ),
        (dict(param=[dict(lr=1)]), r"layer 'y' \(Convolution\): no field 'param.lr'.*ParamSpec knows name, share_mode"),
        (dict(pool_param=dict(a=1)), r"layer 'y' \(Convolution\): no field 'pool_param'.*did you mean pooling_param\?"),
    ],
)
def test_an_unknown_field_names_layer_and_field_and_the_known_ones(keywords, message):
    n = NetSpec()
    n.x = L.Input()
    n.y = L.Convolution(n.x, **keywords)
    with pytest.raises(UnknownFieldError, match=message):
        n.to_proto()


def test_an_unknown_field_of_a_type_without_a_message_of_its_own():
    with pytest.raises(
        UnknownFieldError,
        match=r"'Deconvolution1' \(Deconvolution\): no field 'num_output' in the layer, and this type",
    ):
        L.Deconvolution(num_output=3).to_proto()


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        (
            dict(num_output="many"),
            r"'Convolution1' \(Convolution\): convolution_param.num_output = 'many' does not fit",
        ),
        (dict(num_output=-1), r"convolution_param.num_output = -1 does not fit, .* takes one value"),
        (dict(num_output=[1, 2]), r"convolution_param.num_output = \[1, 2\] does not fit, .* takes one value"),
        (dict(kernel_size=[3, None]), r"convolution_param.kernel_size = .* takes a list of values or dicts"),
        (dict(weight_filler="xavier"), r"convolution_param.weight_filler = 'xavier' .* takes a dict"),
    ],
)
def test_a_value_that_does_not_fit(keywords, message):
    with pytest.raises(FieldValueError, match=message):
        L.Convolution(**keywords).to_proto()


def test_a_bottom_that_is_no_top():
    data = L.DummyData(ntop=2)
    with pytest.raises(TypeError, match=r"^Silence input 0 is not a Top \(type is <class 'tuple'>\)$"):
        L.Silence(data, ntop=0)
    assert L.Silence(*data, ntop=0).inputs == data


def test_what_is_assigned_must_be_one_top():
    n = NetSpec()
    n.data = L.Data(ntop=2)
    with pytest.raises(NetError, match="net spec: 'data' is a tuple, not a top or layer; unpack"):
        n.to_proto()


def test_an_unknown_top_names_the_nearest():
    n = NetSpec()
    n.conv1_1 = L.Input()
    with pytest.raises(UnknownTopError, match=r"^the net spec has no top 'conv11' \(did you mean conv1_1\?\)"):
        _ = n.conv11
    with pytest.raises(UnknownTopError, match="no top 'x'; assign it first"):
        del n["x"]
    assert not hasattr(n, "x")


@pytest.mark.parametrize(
    ("kind", "pycaffes"),
    [(UnknownFieldError, AttributeError), (FieldValueError, TypeError), (UnknownTopError, KeyError)],
)
def test_errors_are_ours_and_what_pycaffe_scripts_catch(kind, pycaffes):
    assert issubclass(kind, CaffeError)
    assert issubclass(kind, pycaffes)
