"""RNN, LSTM and LSTMUnit: steps by hand, state between batches, static input, exposed state, gradients, refusals."""

import pytest
import torch

from caffe_compat.errors import LayerError

UNIFORM = 'weight_filler { type: "uniform" min: -0.5 max: 0.5 } bias_filler { type: "uniform" min: -0.2 max: 0.2 }'
STEPS, STREAMS, INPUTS, OUTPUTS = 4, 2, 3, 2
X, CONT = (STEPS, STREAMS, INPUTS), (STEPS, STREAMS)
STATE = (1, STREAMS, OUTPUTS)
STATES = {"RNN": 1, "LSTM": 2}
BOTH = pytest.mark.parametrize("type_", ["RNN", "LSTM"])


def recurrent(make_layer, type_, *more, fields="", tops=1):
    names = " ".join(f'top: "t{i}"' for i in range(tops))
    text = f'type: "{type_}" {names} recurrent_param {{ num_output: {OUTPUTS} {UNIFORM} {fields} }}'
    return make_layer(text, X, CONT, *more)


@pytest.fixture
def x():
    return torch.randn(X, generator=torch.Generator().manual_seed(1))


def test_rnn_by_hand(make_layer, run_layer, x):
    layer = recurrent(make_layer, "RNN")
    w_xh, b_h, w_hh, w_ho, b_o = (b.tensor() for b in layer.blobs)
    cont = torch.tensor([[0.0, 0], [1, 1], [1, 0], [1, 1]])
    (top,) = run_layer(layer, x, cont)
    h = torch.zeros(STREAMS, OUTPUTS)
    for t in range(STEPS):
        h = torch.tanh((h * cont[t, :, None]) @ w_hh.T + x[t] @ w_xh.T + b_h)
        torch.testing.assert_close(top[t], torch.tanh(h @ w_ho.T + b_o))


def test_lstm_by_hand(make_layer, run_layer, x):
    layer = recurrent(make_layer, "LSTM")
    w_xc, b_c, w_hc = (b.tensor() for b in layer.blobs)
    assert [b.shape for b in layer.blobs] == [(8, 3), (8,), (8, 2)]
    cont = torch.tensor([[0.0, 0], [1, 1], [1, 0], [1, 1]])
    (top,) = run_layer(layer, x, cont)
    h = c = torch.zeros(STREAMS, OUTPUTS)
    for t in range(STEPS):
        goes_on = cont[t, :, None]
        i, f, o, g = ((h * goes_on) @ w_hc.T + x[t] @ w_xc.T + b_c).view(STREAMS, 4, OUTPUTS).unbind(1)
        c = goes_on * f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        torch.testing.assert_close(top[t], h)


@BOTH
def test_two_batches_go_on_as_one(make_layer, run_layer, x, type_):
    layer = recurrent(make_layer, type_)
    ones = torch.ones(CONT)
    first, second = run_layer(layer, x[:2], ones[:2])[0], run_layer(layer, x[2:], ones[2:])[0]
    fresh = recurrent(make_layer, type_)
    for mine, theirs in zip(fresh.blobs, layer.blobs, strict=True):
        mine.write(theirs.tensor())
    torch.testing.assert_close(torch.cat([first, second]), run_layer(fresh, x, ones)[0])


@BOTH
def test_a_resumed_layer_goes_on_with_the_hidden_state(make_layer, run_layer, x, type_):
    layer, resumed = recurrent(make_layer, type_), recurrent(make_layer, type_)
    for mine, theirs in zip(resumed.blobs, layer.blobs, strict=True):
        mine.write(theirs.tensor())
    ones = torch.ones(CONT)
    assert layer.state_dict() == {}
    run_layer(layer, x, ones)
    state = layer.state_dict()
    wanted = run_layer(layer, -x, ones)[0]
    assert not run_layer(resumed, -x, ones)[0].equal(wanted)
    resumed.load_state_dict(state)
    assert run_layer(resumed, -x, ones)[0].equal(wanted)
    with pytest.raises(LayerError, match=r"the state to resume from has 3 hidden states; it has \d: resume with the"):
        resumed.load_state_dict({"end": [state["end"][0]] * 3})


@BOTH
def test_a_new_sequence_forgets(make_layer, run_layer, x, type_):
    layer = recurrent(make_layer, type_)
    cont = torch.ones(CONT)
    cont[0] = 0
    first = run_layer(layer, x, cont)[0]
    assert run_layer(layer, x, cont)[0].equal(first)
    assert not run_layer(layer, x, torch.ones(CONT))[0].equal(first)


@BOTH
def test_a_replay_starts_where_the_last_forward_did(make_layer, run_layer, x, type_):
    layer = recurrent(make_layer, type_)
    run_layer(layer, x, torch.ones(CONT))
    second = run_layer(layer, -x, torch.ones(CONT))[0]
    for _ in range(2):
        assert run_layer(layer, -x, torch.ones(CONT), replay=True)[0].equal(second)


@BOTH
def test_other_streams_start_at_zero(make_layer, run_layer, x, type_):
    layer = recurrent(make_layer, type_)
    (alone,) = run_layer(layer, x[:, :1], torch.ones(STEPS, 1))
    (both,) = run_layer(layer, x, torch.ones(CONT))
    torch.testing.assert_close(both[:, :1], alone)


@BOTH
def test_static_input_adds_to_every_step(make_layer, run_layer, x, type_):
    layer = recurrent(make_layer, type_, (STREAMS, 5))
    assert layer.blobs[2].shape[1] == 5
    static = torch.randn(STREAMS, 5)
    (top,) = run_layer(layer, x, torch.zeros(CONT), static)
    blobs = [b.tensor() for b in layer.blobs]
    plain = recurrent(make_layer, type_)
    shift = static[0] @ blobs[2].T  # both streams get the static input of stream 0
    (wanted,) = run_layer(plain, x, torch.zeros(CONT), blobs=[blobs[0], blobs[1] + shift, *blobs[3:]])
    torch.testing.assert_close(top[:, 0], wanted[:, 0])


@BOTH
def test_exposed_state_is_given_and_taken(make_layer, run_layer, x, type_):
    n = STATES[type_]
    layer = recurrent(make_layer, type_, *[STATE] * n, fields="expose_hidden: true", tops=1 + n)
    zeros = [torch.zeros(STATE)] * n
    ones = torch.ones(CONT)
    whole, *end = run_layer(layer, x, ones, *zeros)
    first, *middle = run_layer(layer, x[:2], ones[:2], *zeros)
    second, *last = run_layer(layer, x[2:], ones[2:], *middle)
    torch.testing.assert_close(torch.cat([first, second]), whole)
    torch.testing.assert_close(last, end)
    assert not any(h.requires_grad for h in end)
    if type_ == "LSTM":
        assert end[0][0].equal(whole[-1])


@BOTH
def test_gradients(make_layer, check_gradients, type_):
    layer = recurrent(make_layer, type_, (STREAMS, 2, 2))
    inputs = torch.randn(X, dtype=torch.float64, requires_grad=True)
    static = torch.randn(STREAMS, 2, 2, dtype=torch.float64, requires_grad=True)
    cont = torch.tensor([[1.0, 0], [1, 1], [0, 1], [1, 1]], dtype=torch.float64)
    check_gradients(layer, inputs, cont, static)
    assert [layer.allows_force_backward(i) for i in range(3)] == [True, False, True]


def test_lstm_unit(make_layer, run_layer, check_gradients):
    layer = make_layer('type: "LSTMUnit" top: "c1" top: "h1"', (1, 2, 1), (1, 2, 4), (1, 2))
    gates = torch.tensor([[[0.0, 0, 0, 100], [0, 0, 0, 100]]])
    c, h = run_layer(layer, torch.tensor([[[2.0], [float("nan")]]]), gates, torch.tensor([[1.0, 0]]))
    torch.testing.assert_close(c, torch.tensor([[[1.5], [0.5]]]))
    torch.testing.assert_close(h, 0.5 * c.tanh())
    cell, inputs = (torch.randn(1, 2, d, dtype=torch.float64, requires_grad=True) for d in (1, 4))
    check_gradients(layer, cell, inputs, torch.tensor([[1.0, 0]], dtype=torch.float64))
    assert [layer.allows_force_backward(i) for i in range(3)] == [True, True, False]
    with pytest.raises(
        LayerError, match=r"bottoms have shapes \(1, 2, 1\), \(1, 2, 3\) and \(1, 2\); they need 1 x N x D"
    ):
        layer.reshape([(1, 2, 1), (1, 2, 3), (1, 2)])


@pytest.mark.parametrize(
    ("text", "shapes", "message"),
    [
        ("", [X, CONT], r"recurrent_param\.num_output is 0; give 1 or more"),
        ("num_output: 2", [X, CONT, (2, 5), STATE], "4 bottoms given; with expose_hidden false it takes 2, or 3 with"),
        ("num_output: 2 expose_hidden: true", [X, CONT], "2 bottoms given; with expose_hidden true it takes 4, or 5"),
        (
            "num_output: 2 expose_hidden: true",
            [X, CONT, STATE, STATE],
            "1 tops given; with expose_hidden true it makes 3",
        ),
        ("num_output: 2", [CONT, CONT], r"bottom\[0\] has shape \(4, 2\); it needs T x N x \.\.\."),
        ("num_output: 2", [X, (4, 3)], r"bottom\[1\], cont, has shape \(4, 3\); for bottom\[0\] .* it needs \(4, 2\)"),
        ("num_output: 2", [X, CONT, (3, 5)], r"bottom\[2\], the static input, has shape \(3, 5\); .* N = 2 streams"),
    ],
)
def test_refuses_at_setup(make_layer, text, shapes, message):
    with pytest.raises(LayerError, match=message):
        make_layer(f'type: "LSTM" recurrent_param {{ {text} }}', *shapes)


def test_refuses_later_shapes(make_layer):
    layer = recurrent(make_layer, "LSTM")
    with pytest.raises(LayerError, match=r"bottom\[0\] has shape \(4, 2, 5\), but the weights were made for 3 inputs"):
        layer.reshape([(4, 2, 5), CONT])
    exposed = recurrent(make_layer, "LSTM", STATE, STATE, fields="expose_hidden: true", tops=3)
    with pytest.raises(LayerError, match=r"bottom\[3\], a hidden state, has shape \(1, 2, 9\); it needs \(1, 2, 2\)"):
        exposed.reshape([X, CONT, STATE, (1, 2, 9)])
