"""The delayed projection against the published layer, and against sums written out."""

import numpy as np
import pytest
import torch
from DCLS.construct.modules import Dcls1d
from hypothesis import given, settings
from hypothesis import strategies as st

from spikebridge.bridge.timing import delay_to_steps
from spikebridge.training.delays import DelayedProjection, delay_kernel, later, narrow_kernel
from spikebridge.training.timegrid import TimeGrid

UNIT = TimeGrid(step_ms=1.0, reference_step_ms=1.0, latency_steps=0.0)


def published_layer(projection: DelayedProjection) -> Dcls1d:
    """DCLS with the same weights and delays: it counts positions from the centre, and forwards in time."""
    targets, sources = projection.weight.shape
    length = int(projection.max_delay_ms) + 1
    layer = Dcls1d(sources, targets, kernel_count=1, dilated_kernel_size=length, groups=1, bias=False, version="gauss")
    with torch.no_grad():
        layer.weight.copy_(projection.weight[..., None])
        layer.P.copy_((projection.max_delay_ms - projection.delay_ms - length // 2)[None, ..., None])
        layer.SIG.fill_(max(projection.sigma_ms, 0.23))
    return layer


@pytest.mark.parametrize("max_delay_ms", [4, 25, 30])
@pytest.mark.parametrize("sigma_ms", [0.0, 2.0, 12.5])
def test_values_and_gradients_equal_the_published_layer(max_delay_ms: int, sigma_ms: float) -> None:
    projection = DelayedProjection(6, 5, max_delay_ms, torch.Generator().manual_seed(1))
    projection.sigma_ms = sigma_ms
    layer = published_layer(projection)
    spikes = (torch.rand(3, 40, 6, generator=torch.Generator().manual_seed(2)) < 0.2).float()
    arrivals = projection(spikes, UNIT)
    padded = torch.nn.functional.pad(spikes.transpose(1, 2), (max_delay_ms, 0))
    published = layer(padded).transpose(1, 2)
    torch.testing.assert_close(arrivals, published, rtol=1e-4, atol=1e-5)

    probe = torch.randn(arrivals.shape, generator=torch.Generator().manual_seed(3))
    (arrivals * probe).sum().backward()
    (published * probe).sum().backward()
    assert projection.weight.grad is not None
    assert projection.delay_ms.grad is not None
    torch.testing.assert_close(projection.weight.grad, layer.weight.grad[..., 0], rtol=1e-3, atol=1e-4)
    # Positions run against delays, so their gradient has the other sign.
    torch.testing.assert_close(projection.delay_ms.grad, -layer.P.grad[0, ..., 0], rtol=1e-3, atol=1e-4)


def test_evaluation_delivers_each_spike_after_its_rounded_delay() -> None:
    projection = DelayedProjection(3, 2, 5, torch.Generator().manual_seed(0)).eval()
    with torch.no_grad():
        projection.delay_ms.copy_(torch.tensor([[0.0, 1.4, 2.5], [4.6, 5.0, 3.49]]))
    delays = np.array([[0, 1, 3], [5, 5, 3]])
    spikes = np.zeros((1, 12, 3), dtype=np.float32)
    spikes[0, 0, 0], spikes[0, 2, 1], spikes[0, 3, 2], spikes[0, 4, 2] = 1, 2, 1, 1
    expected = np.zeros((1, 12, 2))
    for step, source in zip(*np.nonzero(spikes[0]), strict=True):
        for target in range(2):
            arrives = step + delays[target, source]
            expected[0, arrives, target] += projection.weight[target, source].item() * spikes[0, step, source]
    arrivals = projection(torch.from_numpy(spikes), UNIT).detach().numpy()
    np.testing.assert_allclose(arrivals, expected, atol=1e-6)


def test_a_narrow_kernel_on_a_whole_delay_is_nearly_the_rounded_one() -> None:
    weight, delay = torch.tensor([[1.0, -2.0]]), torch.tensor([[3.0, 0.0]])
    trained = delay_kernel(weight, delay, 0.23, 8)
    deployed = weight[..., None] * torch.nn.functional.one_hot(delay.long(), 8)
    assert (trained - deployed).abs().max() < 0.5
    torch.testing.assert_close(trained.sum(-1), deployed.sum(-1), rtol=1e-4, atol=1e-4)
    assert torch.equal(trained.abs().argmax(-1)[0], torch.tensor([3, 0]))  # the largest weight stays at its delay


@given(st.lists(st.floats(0, 30, width=32), min_size=1, max_size=20))
@settings(max_examples=50)
def test_delays_round_as_the_export_and_brian2_round_them(delays: list[float]) -> None:
    here = UNIT.whole_steps(torch.tensor(delays, dtype=torch.float64)).numpy()
    np.testing.assert_array_equal(here, delay_to_steps(np.array(delays) * 1.0, 1.0))


def test_without_delays_it_is_a_matrix_product() -> None:
    projection = DelayedProjection(4, 3, 0, torch.Generator().manual_seed(0))
    spikes = torch.rand(2, 7, 4)
    torch.testing.assert_close(projection(spikes, UNIT), spikes @ projection.weight.T)
    assert not projection.delay_ms.requires_grad


def test_clamping_keeps_delays_within_bounds() -> None:
    projection = DelayedProjection(4, 3, 10, torch.Generator().manual_seed(0))
    with torch.no_grad():
        projection.delay_ms.add_(20)
    projection.clamp_()
    assert projection.delay_ms.max() == 10
    with torch.no_grad():
        projection.delay_ms.sub_(40)
    projection.clamp_()
    assert projection.delay_ms.min() == 0


@pytest.mark.parametrize("latency_steps", [0.0, 0.5])
@pytest.mark.parametrize("step_ms", [10.0, 5.0, 2.0, 1.0])
def test_the_kernel_of_events_equals_the_convolution_but_for_its_far_ends(step_ms: float, latency_steps: float) -> None:
    grid = TimeGrid(step_ms, 10.0, latency_steps)
    made = [DelayedProjection(6, 5, 60.0, torch.Generator().manual_seed(1), fused=fused) for fused in (False, True)]
    spikes = (torch.rand(3, 120, 6, generator=torch.Generator().manual_seed(2)) < 0.03).double()
    probe = torch.randn(3, 120, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    results = []
    for projection in made:
        projection.double().sigma_ms = 0.0
        inputs = spikes.clone().requires_grad_()
        arrivals = projection(inputs, grid)
        torch.autograd.backward((arrivals * probe).sum())
        results.append([arrivals, inputs.grad, projection.weight.grad, projection.delay_ms.grad])
    for dense, events in zip(*results, strict=True):
        assert dense is not None
        assert events is not None
        # Taps further than four standard deviations are left out: e^-8 of the largest, and 8 times that in the slope.
        assert (dense - events).abs().max() < 5e-3 * dense.abs().max()
    for projection in made:
        projection.eval()
    torch.testing.assert_close(made[0](spikes, grid), made[1](spikes, grid), rtol=1e-12, atol=1e-12)


def test_narrow_kernels_hold_the_weight_within_the_allowed_delays() -> None:
    weight, delay = torch.randn(4, 5), torch.rand(4, 5) * 9
    values, lag = narrow_kernel(weight, delay, 0.23, 10)
    assert (lag >= 0).all()
    assert (lag + values.shape[2] <= 10).all()
    torch.testing.assert_close(values.sum(-1), weight, rtol=1e-5, atol=1e-6)


def test_on_a_finer_grid_a_delay_grows_by_what_the_coarse_one_added() -> None:
    """A grid of 10 ms is 5 ms late by itself, one of 1 ms half a millisecond."""
    delays = torch.tensor([0.0, 20.0, 24.9, 25.1], dtype=torch.float64)
    assert TimeGrid(10.0, 10.0, 0.5).whole_steps(delays).tolist() == [0, 2, 2, 3]
    assert TimeGrid(1.0, 10.0, 0.5).whole_steps(delays).tolist() == [5, 25, 29, 30]
    assert TimeGrid(0.1, 10.0, 0.5).whole_steps(delays).tolist() == [50, 250, 299, 301]
    torch.testing.assert_close(TimeGrid(1.0, 10.0, 0.5).fractional_steps(delays), delays + 4.5)
    assert TimeGrid(1.0, 10.0, 1.0).whole_steps(delays).tolist() == [9, 29, 34, 34]
    assert TimeGrid(10.0, 1.0, 1.0).whole_steps(delays).tolist() == [0, 1, 2, 2]
    assert later(torch.ones(1, 3, 1), 2)[0, :, 0].tolist() == [0.0, 0.0, 1.0]
    assert TimeGrid(1.0, 10.0, 1.0).whole_steps(delays).tolist() == [9, 29, 34, 34]
    assert TimeGrid(10.0, 1.0, 1.0).whole_steps(delays).tolist() == [0, 1, 2, 2]
    assert later(torch.ones(1, 3, 1), 5)[0, :, 0].tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(("longest_ms", "step_ms"), [(0.3, 0.2), (0.15, 0.1), (250.0, 10.0)])
def test_the_longest_delay_has_a_place_however_it_is_rounded(longest_ms: float, step_ms: float) -> None:
    """Half a step in single precision is not the half step of double precision."""
    grid = TimeGrid(step_ms, step_ms, latency_steps=0.0)
    spikes = torch.zeros(1, 30, 1)
    spikes[0, 0, 0] = 1
    for fused in (False, True):
        projection = DelayedProjection(1, 1, longest_ms, torch.Generator().manual_seed(0), fused=fused)
        with torch.no_grad():
            projection.delay_ms.fill_(longest_ms)
            projection.weight.fill_(3.0)
        projection.clamp_()
        assert projection.eval()(spikes, grid).sum() == 3
