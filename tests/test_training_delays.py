"""The delayed projection against the published layer, and against sums written out."""

import numpy as np
import pytest
import torch
from DCLS.construct.modules import Dcls1d
from hypothesis import given, settings
from hypothesis import strategies as st

from spikebridge.bridge.timing import delay_to_steps
from spikebridge.training.delays import DelayedProjection, delay_kernel, round_delays, rounded_kernel


def published_layer(projection: DelayedProjection) -> Dcls1d:
    """DCLS with the same weights and delays: it counts positions from the centre, and forwards in time."""
    targets, sources = projection.weight.shape
    length = projection.max_delay_steps + 1
    layer = Dcls1d(sources, targets, kernel_count=1, dilated_kernel_size=length, groups=1, bias=False, version="gauss")
    with torch.no_grad():
        layer.weight.copy_(projection.weight[..., None])
        layer.P.copy_((projection.max_delay_steps - projection.delay_steps - length // 2)[None, ..., None])
        layer.SIG.fill_(projection.sigma_steps)
    return layer


@pytest.mark.parametrize("max_delay_steps", [4, 25, 30])
@pytest.mark.parametrize("sigma_steps", [0.23, 2.0, 12.5])
def test_values_and_gradients_equal_the_published_layer(max_delay_steps: int, sigma_steps: float) -> None:
    projection = DelayedProjection(6, 5, max_delay_steps, torch.Generator().manual_seed(1))
    projection.sigma_steps = sigma_steps
    layer = published_layer(projection)
    spikes = (torch.rand(3, 40, 6, generator=torch.Generator().manual_seed(2)) < 0.2).float()
    arrivals = projection(spikes)
    padded = torch.nn.functional.pad(spikes.transpose(1, 2), (max_delay_steps, 0))
    published = layer(padded).transpose(1, 2)
    torch.testing.assert_close(arrivals, published, rtol=1e-4, atol=1e-5)

    probe = torch.randn(arrivals.shape, generator=torch.Generator().manual_seed(3))
    (arrivals * probe).sum().backward()
    (published * probe).sum().backward()
    assert projection.weight.grad is not None
    assert projection.delay_steps.grad is not None
    torch.testing.assert_close(projection.weight.grad, layer.weight.grad[..., 0], rtol=1e-3, atol=1e-4)
    # Positions run against delays, so their gradient has the other sign.
    torch.testing.assert_close(projection.delay_steps.grad, -layer.P.grad[0, ..., 0], rtol=1e-3, atol=1e-4)


def test_evaluation_delivers_each_spike_after_its_rounded_delay() -> None:
    projection = DelayedProjection(3, 2, 5, torch.Generator().manual_seed(0)).eval()
    with torch.no_grad():
        projection.delay_steps.copy_(torch.tensor([[0.0, 1.4, 2.5], [4.6, 5.0, 3.49]]))
    delays = np.array([[0, 1, 3], [5, 5, 3]])
    spikes = np.zeros((1, 12, 3), dtype=np.float32)
    spikes[0, 0, 0], spikes[0, 2, 1], spikes[0, 3, 2], spikes[0, 4, 2] = 1, 2, 1, 1
    expected = np.zeros((1, 12, 2))
    for step, source in zip(*np.nonzero(spikes[0]), strict=True):
        for target in range(2):
            arrives = step + delays[target, source]
            expected[0, arrives, target] += projection.weight[target, source].item() * spikes[0, step, source]
    arrivals = projection(torch.from_numpy(spikes)).detach().numpy()
    np.testing.assert_allclose(arrivals, expected, atol=1e-6)


def test_a_narrow_kernel_on_a_whole_delay_is_nearly_the_rounded_one() -> None:
    weight, delay = torch.tensor([[1.0, -2.0]]), torch.tensor([[3.0, 0.0]])
    trained = delay_kernel(weight, delay, 0.23, 8)
    deployed = rounded_kernel(weight, delay, 8)
    assert (trained - deployed).abs().max() < 0.5
    torch.testing.assert_close(trained.sum(-1), deployed.sum(-1), rtol=1e-4, atol=1e-4)
    assert torch.equal(trained.abs().argmax(-1)[0], torch.tensor([3, 0]))  # the largest weight stays at its delay


@given(st.lists(st.floats(0, 30, width=32), min_size=1, max_size=20))
@settings(max_examples=50)
def test_delays_round_as_the_export_and_brian2_round_them(delays: list[float]) -> None:
    here = round_delays(torch.tensor(delays, dtype=torch.float64)).numpy()
    np.testing.assert_array_equal(here, delay_to_steps(np.array(delays) * 1.0, 1.0))


def test_without_delays_it_is_a_matrix_product() -> None:
    projection = DelayedProjection(4, 3, 0, torch.Generator().manual_seed(0))
    spikes = torch.rand(2, 7, 4)
    torch.testing.assert_close(projection(spikes), spikes @ projection.weight.T)
    assert not projection.delay_steps.requires_grad


def test_clamping_keeps_delays_within_bounds() -> None:
    projection = DelayedProjection(4, 3, 10, torch.Generator().manual_seed(0))
    with torch.no_grad():
        projection.delay_steps.add_(20)
    projection.clamp_()
    assert projection.delay_steps.max() == 10
    with torch.no_grad():
        projection.delay_steps.sub_(40)
    projection.clamp_()
    assert projection.delay_steps.min() == 0
