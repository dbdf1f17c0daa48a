"""The generated module is current, and the schema is Caffe's."""

import math

import pytest
from google.protobuf.descriptor import FieldDescriptor

from caffe_compat.proto import caffe_pb2, generate

MESSAGES = caffe_pb2.DESCRIPTOR.message_types_by_name


def test_registered_beside_other_caffe_schemas():
    assert caffe_pb2.DESCRIPTOR.name == generate.PROTO
    assert caffe_pb2.DESCRIPTOR.package == "caffe_compat"


@pytest.mark.parametrize("name", generate.GENERATED)
def test_generated_files_name_the_present_schema(name):
    with open(caffe_pb2.__file__.replace("caffe_pb2.py", name)) as file:
        assert file.readline() == generate.digest_line(), "caffe.proto changed: run `tox -e proto`"


@pytest.mark.filterwarnings("ignore")
def test_compiler_makes_the_same_module():
    pytest.importorskip("grpc_tools")
    for name, text in generate.compile_proto().items():
        with open(caffe_pb2.__file__.replace("caffe_pb2.py", name)) as file:
            assert file.read() == text


def test_whole_schema_is_there():
    # Counted in BVLC/caffe src/caffe/proto/caffe.proto of February 2020.
    assert len(MESSAGES) == 63
    assert sum(len(message.fields) for message in MESSAGES.values()) == 423
    assert len(MESSAGES["LayerParameter"].fields) == 60
    assert len(MESSAGES["SolverParameter"].fields) == 42
    assert len(MESSAGES["V1LayerParameter"].fields) == 43
    assert len(MESSAGES["V0LayerParameter"].fields) == 38
    assert len(caffe_pb2.V1LayerParameter.LayerType.keys()) == 40


@pytest.mark.parametrize(
    ("message", "field", "number", "default"),
    [
        ("FillerParameter", "type", 1, "constant"),
        ("FillerParameter", "sparse", 7, -1),
        ("LRNParameter", "alpha", 2, 1.0),
        ("LRNParameter", "local_size", 1, 5),
        ("BatchNormParameter", "moving_average_fraction", 2, 0.999),
        ("BatchNormParameter", "eps", 3, 1e-5),
        ("MVNParameter", "eps", 3, 1e-9),
        ("CropParameter", "axis", 1, 2),
        ("DataParameter", "backend", 8, 0),
        ("DataParameter", "prefetch", 10, 4),
        ("DropoutParameter", "dropout_ratio", 1, 0.5),
        ("EltwiseParameter", "operation", 1, 1),
        ("HingeLossParameter", "norm", 1, 1),
        ("LossParameter", "normalization", 3, 1),
        ("InfogainLossParameter", "axis", 2, 1),
        ("SolverParameter", "clip_gradients", 35, -1.0),
        ("SolverParameter", "delta", 31, 1e-8),
        ("SolverParameter", "momentum2", 39, 0.999),
        ("SolverParameter", "rms_decay", 38, 0.99),
        ("SolverParameter", "random_seed", 20, -1),
        ("SolverParameter", "snapshot_format", 37, 1),
        ("SolverParameter", "solver_mode", 17, 1),
        ("SolverParameter", "layer_wise_reduce", 41, True),
        ("SolverParameter", "weights", 42, []),
        ("NetState", "phase", 1, 1),
        ("PoolingParameter", "round_mode", 13, 0),
        ("SwishParameter", "beta", 1, 1.0),
        ("WindowDataParameter", "crop_mode", 11, "warp"),
        ("V0LayerParameter", "hdf5_output_param", 1001, None),
        ("V1LayerParameter", "blob_share_mode", 1002, []),
    ],
)
def test_numbers_and_defaults(message, field, number, default):
    descriptor = MESSAGES[message].fields_by_name[field]
    assert descriptor.number == number
    if isinstance(default, float):
        assert math.isclose(descriptor.default_value, default, rel_tol=1e-6)
    else:
        assert descriptor.default_value == default


def test_packed_fields_are_those_of_caffe():
    packed = {
        f"{message.name}.{field.name}"
        for message in MESSAGES.values()
        for field in message.fields
        if field.GetOptions().packed
    }
    blob = {f"BlobProto.{name}" for name in ("data", "diff", "double_data", "double_diff")}
    assert packed == blob | {"BlobShape.dim"}


def test_required_fields_are_those_of_caffe():
    message = caffe_pb2.ClipParameter()
    assert message.FindInitializationErrors() == ["min", "max"]
    caffe_pb2.LayerParameter(clip_param=caffe_pb2.ClipParameter(min=0, max=1)).SerializeToString()
    others = [m() for m in (caffe_pb2.NetParameter, caffe_pb2.SolverParameter, caffe_pb2.LayerParameter)]
    assert all(m.IsInitialized() for m in others)


@pytest.mark.parametrize("layer", [("clip_param", 148), ("swish_param", 147), ("crop_param", 144)])
def test_layer_parameter_numbers(layer):
    name, number = layer
    field = MESSAGES["LayerParameter"].fields_by_name[name]
    assert field.number == number
    assert field.type == FieldDescriptor.TYPE_MESSAGE
