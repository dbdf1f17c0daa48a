import numpy as np
import pytest

from caffe_compat.errors import SolverError
from caffe_compat.net.net import Net
from caffe_compat.solver import SGDSolver, get_solver
from caffe_compat.solver.smoothed_loss import SmoothedLoss


def values(solver):
    return [blob.tensor().clone().numpy() for blob in solver.net.learnable_params]


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def test_pycaffes_face(case):
    solver = SGDSolver(str(case.folder / "solver.prototxt"))
    assert isinstance(solver.net, Net)
    assert (solver.iter, solver.max_iter, solver.type, solver.test_nets) == (0, 12, "SGD", [])
    assert solver.param.base_lr == pytest.approx(0.05)
    solver.step(2)
    assert solver.iter == 2


def test_apply_update_by_hand(case):
    """As BVLC's own test: weights 0 and diffs 1 give minus the rate."""
    solver = case.solver(weight_decay=0)
    layer = solver.net.layer_dict["conv"]
    data = layer.blobs[0].data[...]
    data[...] = 0
    layer.blobs[0].diff[...] = 1
    solver.apply_update()
    np.testing.assert_allclose(data, -0.05, atol=1e-7)
    assert solver.iter == 0


def test_a_diff_holds_the_update_after_a_step(case):
    solver = case.solver()
    before = values(solver)
    solver.step(1)
    for blob, old in zip(solver.net.learnable_params, before, strict=True):
        np.testing.assert_allclose(old - blob.data, blob.diff, atol=1e-7)
        assert np.abs(blob.diff).max() > 0


def test_callbacks_come_before_forward_and_before_update(case):
    solver = case.solver()
    seen = []
    conv = solver.net.params["conv"][0]
    solver.add_callback(
        lambda: seen.append(("start", float(np.abs(conv.diff).sum()) > 0)),
        lambda: seen.append(("ready", float(np.abs(conv.diff).sum()) > 0)),
    )
    solver.step(2)
    assert seen == [("start", False), ("ready", True)] * 2


def test_a_callback_may_change_gradients(case):
    solver = case.solver(weight_decay=0)
    before = values(solver)

    def erase():
        for blob in solver.net.learnable_params:
            blob.diff[...] = 0

    solver.add_callback(lambda: None, erase)
    solver.step(1)
    assert same(values(solver), before)


def test_errors_of_a_callback_pass_through(case):
    solver = case.solver()

    def fail():
        raise KeyError("mine")

    solver.add_callback(fail, lambda: None)
    with pytest.raises(KeyError, match="mine"):
        solver.step(1)
    assert solver.iter == 0


def test_no_policy_is_an_error_once_a_rate_is_needed(case):
    solver = case.solver(lr_policy=None)
    with pytest.raises(SolverError, match="lr_policy is not set"):
        solver.step(1)


def test_settings_are_live(case):
    solver = case.solver()
    solver.param.base_lr = 0
    before = values(solver)
    solver.step(1)
    assert same(values(solver), before)


def test_the_mean_of_test_outputs(case):
    solver = case.solver(test_iter=[3], test_interval=2, test_initialization=False, test_compute_loss=True)
    other = Net("net.prototxt", phase=1)
    solver.step(2)
    assert solver.test_scores == [[]]
    solver.test_all()
    other.share_with(solver.net)
    expected = np.mean([float(other.forward()["loss"]) for _ in range(3)])
    (output,) = solver.test_scores[0]
    assert (output.name, output.loss_weight) == ("loss", 1)
    assert output.values == pytest.approx([expected], rel=1e-6)


def test_when_tests_come(case, caplog):
    caplog.set_level("INFO", logger="caffe_compat")
    case.solver(test_iter=[1], test_interval=5, snapshot=0, snapshot_prefix="ours").solve()
    tests = [r.getMessage() for r in caplog.records if "Testing net" in r.getMessage()]
    assert tests == [f"Iteration {k}, Testing net (#0)" for k in (0, 5, 10)]


def test_testing_leaves_training_alone(case):
    plain, tested = case.solver(), case.solver(test_iter=[2], test_interval=1)
    plain.step(3)
    tested.step(3)
    assert same(values(plain), values(tested))


def test_share_weights(case):
    solver, net = case.solver(), Net("net.prototxt", phase=1)
    solver.share_weights(net)
    solver.step(1)
    assert np.array_equal(net.params["conv"][0].data, solver.net.params["conv"][0].data)


def test_weights_in_the_settings(case):
    case.solver().net.save("a.caffemodel")
    changed = case.solver()
    changed.net.params["ip"][0].data[...] = 7
    changed.net.save("b.caffemodel")
    solver = get_solver(case.param(weights=["a.caffemodel, b.caffemodel"], test_iter=[1], test_interval=9))
    for net in (solver.net, solver.test_nets[0]):
        assert (net.params["ip"][0].data == 7).all()


def test_a_frozen_parameter_stays(case):
    text = (case.folder / "net.prototxt").read_text().replace("lr_mult: 1 decay_mult: 1", "lr_mult: 0 decay_mult: 1")
    (case.folder / "net.prototxt").write_text(text)
    for kind in ("SGD", "Nesterov", "AdaDelta", "Adam"):
        solver = case.solver(type=kind)
        before = solver.net.params["conv"][0].data.copy()
        solver.step(2)
        assert np.array_equal(solver.net.params["conv"][0].data, before)
        assert (solver.history[0] is None) == (kind in ("SGD", "Nesterov"))  # decay goes into the others' history


def test_a_lean_train_net_learns_the_same(case):
    lean = get_solver(case.param(display=1), keep=[])
    for layer, index, start in case.params_at("init"):
        lean.net.params[layer][index].data[...] = start
    lean.step(12)
    case.check(lean, 12)


def test_steps_add_up(case):
    solver = case.solver()
    for n in (1, 4, 0, 7):
        solver.step(n)
    case.check(solver, 12)


def test_the_running_mean_of_losses():
    losses = [4.0, 2.0, 9.0, 1.0, 5.0]
    mean = SmoothedLoss(3)
    shown = []
    for loss in losses:
        mean.add(loss)
        shown.append(mean.value)
    assert shown == pytest.approx([4, 3, 5, 4, 5])
    resumed = SmoothedLoss(**mean.state())
    resumed.add(0)
    mean.add(0)
    assert resumed.value == mean.value == pytest.approx(2)


def test_each_step_call_begins_a_new_mean(case):
    solver = case.solver(average_loss=10)
    solver.step(3)
    first = solver.smoothed.value
    solver.step(1)
    assert solver.smoothed.value == pytest.approx(solver.loss)
    assert first == pytest.approx(np.mean(case.record["loss"][:3]), rel=1e-4)


def test_the_solver_may_go_while_its_nets_stay(case):
    solver = case.solver(test_iter=[1], test_interval=5)
    net, test = solver.net, solver.test_nets[0]
    del solver
    net.forward()
    test.forward()
    assert np.isfinite(net.blobs["loss"].data).all()
    assert np.isfinite(test.blobs["loss"].data).all()


def test_debug_info_shows_mean_sizes_in_displayed_iterations(case, caplog):
    solver = case.solver(debug_info=True, display=2)
    caplog.set_level("INFO", logger="caffe_compat")
    solver.step(1)
    shown = [line for line in caplog.messages if line.startswith("    [")]
    ip = solver.net.blobs["ip"]
    assert f"    [Forward] Layer ip, top blob ip data: {np.abs(ip.data).mean():g}" in shown
    assert f"    [Backward] Layer loss, bottom blob ip diff: {np.abs(ip.diff).mean():g}" in shown
    assert any(line.startswith("    [Backward] Layer conv, param blob 1 diff: ") for line in shown)
    assert "All net params (data, diff): L1 norm = (" in shown[-1]
    caplog.clear()
    solver.step(1)
    assert not [line for line in caplog.messages if line.startswith("    [")]


def test_a_rate_below_zero_climbs(case):
    down, up = case.solver(weight_decay=0), case.solver(weight_decay=0, base_lr=-0.05)
    assert up.param.base_lr == -down.param.base_lr
    start = down.net.params["ip"][0].data.copy()
    down.step(1)
    up.step(1)
    moved = down.net.params["ip"][0].data - start
    assert np.abs(moved).max() > 0
    np.testing.assert_allclose(up.net.params["ip"][0].data - start, -moved, rtol=1e-3, atol=1e-7)
