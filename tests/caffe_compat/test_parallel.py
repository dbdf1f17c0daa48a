"""Several solvers: their count and rank, what the rank changes, and NCCL's absence."""

import lmdb
import numpy as np
import pytest
from google.protobuf import text_format

import caffe_compat
from caffe_compat import parallel
from caffe_compat.errors import DeviceError, LayerError
from caffe_compat.net.net import Net
from caffe_compat.proto import caffe_pb2 as pb


@pytest.fixture(autouse=True)
def alone():
    """One solver again afterwards."""
    yield
    caffe_compat.set_solver_count(1)
    caffe_compat.set_solver_rank(0)
    caffe_compat.set_multiprocess(False)


def test_solver_count_and_rank():
    assert (caffe_compat.solver_count(), caffe_compat.solver_rank(), caffe_compat.multiprocess()) == (1, 0, False)
    caffe_compat.set_solver_count(4)
    caffe_compat.set_solver_rank(3)
    caffe_compat.set_multiprocess(True)
    assert (parallel.solver_count(), parallel.solver_rank(), parallel.multiprocess()) == (4, 3, True)
    with pytest.raises(DeviceError, match="set_solver_count: 0 solvers; give 1 or more"):
        caffe_compat.set_solver_count(0)
    with pytest.raises(DeviceError, match="set_solver_rank: rank -1; ranks are counted from 0"):
        caffe_compat.set_solver_rank(-1)
    assert (caffe_compat.solver_count(), caffe_compat.solver_rank()) == (4, 3)


def test_nccl_is_there_to_be_refused():
    assert caffe_compat.has_nccl() is False
    message = r"caffe.NCCL is not available \(has_nccl\(\) is False\).*torchrun"
    with pytest.raises(DeviceError, match=message):
        caffe_compat.NCCL.new_uid()
    with pytest.raises(DeviceError, match=message):
        caffe_compat.NCCL(None, b"uid")


@pytest.fixture
def data_net(tmp_path):
    """A net that reads five records, labels 0 to 4, two at a time."""
    with lmdb.open(str(tmp_path / "db"), map_size=1 << 20, lock=False) as env, env.begin(write=True) as txn:
        for i in range(5):
            txn.put(b"%08d" % i, pb.Datum(channels=1, height=1, width=1, data=b"x", label=i).SerializeToString())

    made = []

    def make(phase):
        text = f"""layer {{ name: "d" type: "Data" top: "data" top: "label"
                           data_param {{ source: "{tmp_path / "db"}" batch_size: 2 backend: LMDB }} }}"""
        made.append(Net(text_format.Parse(text, pb.NetParameter()), phase))
        return made[-1]

    yield make
    for net in made:
        net.close()


def labels(net, batches):
    return [int(label) for _ in range(batches) for label in net.forward()["label"]]


def test_training_records_are_dealt_round_the_end_of_the_database(data_net):
    taken = []
    for rank in (0, 1):
        caffe_compat.set_solver_count(2)
        caffe_compat.set_solver_rank(rank)
        taken.append(labels(data_net(caffe_compat.TRAIN), 3))
        assert labels(data_net(caffe_compat.TEST), 2) == [0, 1, 2, 3]
    assert taken == [[0, 2, 4, 1, 3, 0], [1, 3, 0, 2, 4, 1]]


def test_a_solver_resumes_at_its_own_next_record(data_net):
    caffe_compat.set_solver_count(3)
    caffe_compat.set_solver_rank(2)
    net = data_net(caffe_compat.TRAIN)
    assert labels(net, 1) == [2, 0]
    state = net.layers_state()
    wanted = labels(net, 3)
    other = data_net(caffe_compat.TRAIN)
    other.load_layers_state(state)
    assert labels(other, 3) == wanted


def test_a_rank_without_its_count_is_refused(data_net):
    caffe_compat.set_solver_rank(1)
    with pytest.raises(LayerError, match=r"layer 'd' \(Data\): solver_rank is 1 of 1 solvers; call set_solver_count"):
        data_net(caffe_compat.TRAIN)


def test_each_rank_draws_differently_and_the_same_each_time():
    def first_weights(rank):
        caffe_compat.set_solver_rank(rank)
        text = """base_lr: 1 lr_policy: "fixed" random_seed: 5 net_param {
            layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 3 } } }
            layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y"
                    inner_product_param { num_output: 4 weight_filler { type: "gaussian" } } }
            layer { name: "loss" type: "Reduction" bottom: "y" top: "loss" loss_weight: 1 } }"""
        solver = caffe_compat.get_solver(text_format.Parse(text, pb.SolverParameter()))
        return solver.net.params["ip"][0].data.copy()

    np.testing.assert_array_equal(first_weights(1), first_weights(1))
    assert not np.array_equal(first_weights(0), first_weights(1))
    caffe_compat.set_random_seed(1)
