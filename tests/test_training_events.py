"""Projections by events, in each of their layouts, against sums written out and against the plain kernel."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spikebridge.training import event_projection as projection
from spikebridge.training import packed as packing
from spikebridge.training.delays import SIGMA_OFFSET, delay_kernel, narrow_kernel, taps_of
from spikebridge.training.event_lists import EventLists
from spikebridge.training.lane_kernel import lane_kernel
from spikebridge.training.narrow_lanes import narrow_lanes
from spikebridge.training.packed import lanes_of
from spikebridge.training.spike_kernels import from_lanes, to_lanes
from spikebridge.training.spike_transform import spread_back

pytestmark = pytest.mark.usefixtures("blocks_on_threads")

shapes = st.fixed_dictionaries(
    {
        "batch": st.integers(1, 19),
        "steps": st.integers(1, 70),
        "sources": st.integers(1, 9),
        "targets": st.integers(1, 37),
        "taps": st.integers(1, 14),
        "longest": st.integers(0, 60),
        "density": st.sampled_from([0.0, 0.05, 0.5, 1.0]),
        "dtype": st.sampled_from([torch.float32, torch.float64]),
        "threads": st.sampled_from([1, 2]),
        "seed": st.integers(0, 2**31),
    }
)


def one_after_another(packed: packing.Packed, stretch: torch.Tensor) -> torch.Tensor:
    """The way back from `in_turn`: (targets, sources, taps)."""
    rows, lanes, _ = packed.layout
    split = stretch.view(packed.groups, stretch.shape[1], packed.reach // lanes, rows, lanes)
    return split.permute(0, 3, 1, 2, 4).flatten(0, 1).flatten(2)[: packed.targets, :, : packed.delays]


def some_kept(spikes: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Factors (batch, sources) as dropout has them."""
    return (torch.rand(spikes.shape[0], spikes.shape[2], generator=generator) > 0.3).to(spikes.dtype) * 1.5


def written_out(spikes: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    """Arrivals by one matrix product per delay; kernel (targets, sources, delays)."""
    steps = spikes.shape[1]
    out = spikes.new_zeros((*spikes.shape[:2], len(kernel)))
    for delay in range(min(kernel.shape[2], steps)):
        later = spikes[:, : steps - delay] @ kernel[..., delay].T
        out = out + torch.nn.functional.pad(later, (0, 0, delay, 0))
    return out


def spread_out(values: torch.Tensor, lag: torch.Tensor, delays: int) -> torch.Tensor:
    index = lag[..., None].long() + torch.arange(values.shape[2])
    return values.new_zeros((*lag.shape, delays)).scatter(2, index, values)


@given(shapes, st.sampled_from(["every", "few"]))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_either_layout_has_the_values_and_gradients_of_sums_written_out(case: dict[str, Any], layout: str) -> None:
    generator = torch.Generator().manual_seed(case["seed"])
    dtype, (targets, sources, taps) = case["dtype"], (case["targets"], case["sources"], case["taps"])
    counts = torch.randint(1, 4, (case["batch"], case["steps"], sources), generator=generator)
    spikes = counts.to(dtype) * (torch.rand(counts.shape, generator=generator) < case["density"])
    values = torch.randn(targets, sources, taps, generator=generator, dtype=torch.float64).to(dtype)
    lag = torch.randint(0, case["longest"] + 1, (targets, sources), generator=generator, dtype=torch.int32)
    probe = torch.randn(*spikes.shape[:2], targets, generator=generator, dtype=torch.float64).to(dtype)
    kept = some_kept(spikes, generator)
    results = []
    torch.set_num_threads(case["threads"])
    for events in (True, False):
        leaves = (spikes.clone().requires_grad_(), values.clone().requires_grad_())
        if events:
            # What the projection chooses by cost, the test chooses by itself.
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(packing.Packed, "cost", property(lambda self: self.layout.each == (layout == "every")))
                out = projection.event_projection(leaves[0], leaves[1], lag, kept)
        else:
            out = written_out(leaves[0] * kept[:, None], spread_out(leaves[1], lag, case["longest"] + taps))
        results.append([out, *torch.autograd.grad((out * probe).sum(), leaves)])
    torch.set_num_threads(1)
    tolerance = 1e-4 if dtype is torch.float32 else 1e-10
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(
            found, expected, rtol=tolerance, atol=tolerance * (1 + float(expected.detach().abs().max()))
        )


@given(shapes, st.sampled_from([0.5, 1.3, 12.0]))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_gaussian_kernels_have_the_values_and_gradients_of_the_plain_ones(case: dict[str, Any], width: float) -> None:
    generator = torch.Generator().manual_seed(case["seed"])
    dtype, length = case["dtype"], case["longest"] + 1
    spikes = (torch.rand(case["batch"], case["steps"], case["sources"], generator=generator) < case["density"]).to(
        dtype
    )
    weight = torch.randn(case["targets"], case["sources"], generator=generator, dtype=torch.float64).to(dtype)
    delay = torch.rand(weight.shape, generator=generator).to(dtype) * case["longest"]
    probe = torch.randn(*spikes.shape[:2], len(weight), generator=generator, dtype=torch.float64).to(dtype)
    kept = some_kept(spikes, generator)
    results = []
    torch.set_num_threads(case["threads"])
    for events in (True, False):
        leaves = [tensor.clone().requires_grad_() for tensor in (spikes, weight, delay)]
        if events:
            out = projection.kernel_projection(leaves[0], leaves[1], leaves[2], width, length, kept)
        else:
            out = written_out(
                leaves[0] * kept[:, None], delay_kernel(leaves[1], leaves[2], width - SIGMA_OFFSET, length)
            )
        results.append([out, *torch.autograd.grad((out * probe).sum(), leaves)])
    torch.set_num_threads(1)
    tolerance = 2e-4 if dtype is torch.float32 else 1e-10
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(
            found, expected, rtol=tolerance, atol=tolerance * (1 + float(expected.detach().abs().max()))
        )


@given(
    st.integers(1, 37),
    st.integers(1, 5),
    st.sampled_from([0.23, 0.4, 0.9, 2.0]),
    st.integers(1, 40),
    st.sampled_from([torch.float32, torch.float64]),
    st.integers(0, 2**31),
)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_narrow_kernels_in_one_pass_are_those_of_pytorch(
    targets: int, sources: int, sigma: float, length: int, dtype: torch.dtype, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(targets, sources, generator=generator, dtype=dtype).requires_grad_()
    delay = (torch.rand(targets, sources, generator=generator, dtype=dtype) * (length - 1)).requires_grad_()
    expected, lag = narrow_kernel(weight, delay, sigma, length)
    packed = packing.few_delays(targets, expected.shape[2], dtype)
    stretch, lags = narrow_lanes(weight, delay, sigma + SIGMA_OFFSET, length, packed)
    found = one_after_another(packed, stretch)
    assert torch.equal(packing.one_by_one(packed, lags), lag)
    probe = torch.randn(expected.shape, generator=generator, dtype=dtype)
    gradients = [torch.autograd.grad((kernel * probe).sum(), (weight, delay)) for kernel in (found, expected)]
    tolerance = 1e-5 if dtype is torch.float32 else 1e-12
    for a, b in zip((found, *gradients[0]), (expected, *gradients[1]), strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance * (1 + float(b.detach().abs().max())))


@given(shapes, st.sampled_from([0.23, 0.5, 2.0]))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_narrow_projections_are_those_of_their_taps(case: dict[str, Any], sigma: float) -> None:
    """From delays to arrivals and back, some of them half a step beyond the range, as on a finer grid."""
    generator = torch.Generator().manual_seed(case["seed"])
    dtype, length, shape = case["dtype"], case["longest"] + 1, (case["targets"], case["sources"])
    spikes = (torch.rand(case["batch"], case["steps"], shape[1], generator=generator) < case["density"]).to(dtype)
    weight = torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)
    delay = torch.rand(shape, generator=generator).to(dtype) * (case["longest"] + 0.5)
    probe = torch.randn(*spikes.shape[:2], shape[0], generator=generator, dtype=torch.float64).to(dtype)
    kept, taps, results = some_kept(spikes, generator), taps_of(sigma, length), []
    torch.set_num_threads(case["threads"])
    for events in (True, False):
        leaves = [tensor.clone().requires_grad_() for tensor in (spikes, weight, delay)]
        if events:
            width = sigma + SIGMA_OFFSET
            out = projection.narrow_projection(leaves[0], leaves[1], leaves[2], width, length, taps, kept.float())
        else:
            out = written_out(
                leaves[0] * kept[:, None], spread_out(*narrow_kernel(leaves[1], leaves[2], sigma, length), length)
            )
        results.append([out, *torch.autograd.grad((out * probe).sum(), leaves)])
    torch.set_num_threads(1)
    tolerance = 2e-4 if dtype is torch.float32 else 1e-10
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(
            found, expected, rtol=tolerance, atol=tolerance * (1 + float(expected.detach().abs().max()))
        )


def test_delays_that_are_no_number_give_none_and_negative_ones_are_refused() -> None:
    spikes, weight = torch.ones(2, 30, 3), torch.ones(20, 3)
    delay = torch.full((20, 3), 4.0)
    delay[7, 1] = torch.nan
    for out in (
        projection.narrow_projection(spikes, weight, delay, 0.5, 30, 4),
        projection.kernel_projection(spikes, weight, delay, 0.5, 30),
    ):
        assert out[:, 20, 7].isnan().all()
        assert out[:, 20, 6].isfinite().all()
    with pytest.raises(ValueError, match="a delay of -2 steps"):
        projection.event_projection(spikes, weight[..., None], torch.full((20, 3), -2, dtype=torch.int32))


@pytest.mark.parametrize("width", [0.5, 1.0, 1.4, 2.0])
def test_no_weight_is_so_small_that_processors_are_slow_with_it(width: float) -> None:
    """Subnormal numbers made a stage of every training five times as slow on one of them."""
    weight, delay = torch.full((16, 40), 1e-3), torch.linspace(0, 60, 640).reshape(16, 40)
    packed = packing.every_delay(16, 61, torch.float32)
    fused = lane_kernel(weight.requires_grad_(), delay.requires_grad_(), width, packed)
    for kernel in (fused, delay_kernel(weight, delay, width - SIGMA_OFFSET, 61)):
        small = kernel[kernel != 0].abs().min()
        assert torch.finfo(torch.float32).tiny < small < 1e-20
        for gradient in torch.autograd.grad(kernel.sum(), (weight, delay)):
            assert gradient.isfinite().all()


def test_gaussian_kernels_have_the_right_gradient() -> None:
    generator = torch.Generator().manual_seed(0)
    spikes = (torch.rand(3, 12, 4, generator=generator) < 0.3).double().requires_grad_()
    weight = torch.randn(3, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    delay = (torch.rand(3, 4, generator=generator, dtype=torch.float64) * 7).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda s, w, d: projection.kernel_projection(s + 0, w, d, 1.7, 8), [spikes, weight, delay]
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("batch", [1, 9, 17, 70])
@pytest.mark.parametrize(("steps", "delays"), [(1, 1), (5, 9), (20, 4), (21, 31)])
@pytest.mark.parametrize("sources", [3, 37])
def test_transforms_give_the_gradient_of_spikes(
    sources: int, steps: int, delays: int, batch: int, dtype: torch.dtype
) -> None:
    torch.set_num_threads(2)
    generator = torch.Generator().manual_seed(steps)
    targets = 18
    values = torch.randn(targets, sources, delays, generator=generator, dtype=torch.float64).to(dtype)
    grad = torch.randn(batch, steps, targets, generator=generator, dtype=torch.float64).to(dtype)
    expected = grad.new_zeros(batch, steps, sources)
    for delay in range(min(delays, steps)):
        expected[:, : steps - delay] += grad[:, delay:] @ values[..., delay]
    packed = packing.every_delay(targets, delays, dtype)
    few = projection.Few.of(values, torch.zeros(targets, sources, dtype=torch.int32))
    stretch = packing.spread_out(few.packed, few.stretch, few.lag, packed)
    tolerance = 1e-4 if dtype is torch.float32 else 1e-12
    kept = some_kept(expected, generator)
    found = spread_back(packed, stretch, kept, grad)
    torch.set_num_threads(1)
    torch.testing.assert_close(found, expected * kept[:, None], rtol=tolerance, atol=10 * tolerance)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("batch", "sources"), [(35, 37), (16, 16), (16, 70)])
@pytest.mark.parametrize("taps", [1, 3])
def test_taps_give_the_gradient_of_spikes(taps: int, batch: int, sources: int, dtype: torch.dtype) -> None:
    """More sources and samples than a register has lanes, which are exchanged in squares."""
    torch.set_num_threads(2)
    generator = torch.Generator().manual_seed(taps)
    targets, steps = 9, 31
    values = torch.randn(targets, sources, taps, generator=generator, dtype=torch.float64).to(dtype)
    lag = torch.randint(0, 8, (targets, sources), generator=generator, dtype=torch.int32)
    grad = torch.randn(batch, steps, targets, generator=generator, dtype=torch.float64).to(dtype)
    expected = torch.zeros(batch, steps, sources, dtype=torch.float64)
    for target, source, tap in np.ndindex(targets, sources, taps):
        delay = int(lag[target, source]) + tap
        expected[:, : steps - delay, source] += grad[:, delay:, target].double() * values[target, source, tap].double()
    kept = some_kept(expected.to(dtype), generator)
    found = projection._spread_taps_back(projection.Few.of(values, lag), kept, grad)
    torch.set_num_threads(1)
    tolerance = 1e-5 if dtype is torch.float32 else 1e-13
    torch.testing.assert_close(found, (expected * kept[:, None]).to(dtype), rtol=tolerance, atol=10 * tolerance)


def test_events_are_listed_by_block_and_source_with_the_later_half_between_the_earlier() -> None:
    spikes = torch.zeros(3, 4, 2)
    spikes[0, 1, 1], spikes[1, 0, 1], spikes[1, 3, 0], spikes[2, 2, 0] = 1, 2, 3, 4
    spikes[1, 2, 1] = 5
    lists = EventLists.of(spikes, samples=2, stride=10)
    assert lists.place.tolist() == [[0, 1, 4], [4, 5, 5]]
    assert lists.position.tolist() == [13, 1, 12, 10, 2]
    np.testing.assert_array_equal(lists.value, [3, 1, 5, 2, 4])


def test_the_projection_is_the_same_every_time() -> None:
    generator = torch.Generator().manual_seed(0)
    spikes = (torch.rand(9, 30, 20, generator=generator) < 0.1).float().requires_grad_()
    weight = torch.randn(33, 20, generator=generator, requires_grad=True)
    delay = torch.rand(33, 20, generator=generator) * 9
    torch.set_num_threads(2)
    runs = []
    for _ in range(2):
        out = projection.kernel_projection(spikes, weight, delay, 2.0, 10)
        runs.append([out, *torch.autograd.grad(out.square().sum(), (spikes, weight))])
    torch.set_num_threads(1)
    assert all(torch.equal(a, b) for a, b in zip(*runs, strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("batch", [3, 16, 35])
@pytest.mark.parametrize("neurons", [5, 16, 39])
def test_samples_are_laid_side_by_side_and_back(neurons: int, batch: int, dtype: torch.dtype) -> None:
    lanes, steps = lanes_of(dtype), 4
    plain = torch.arange(batch * steps * neurons).to(dtype).view(batch, steps, neurons)
    groups = -(-batch // lanes)
    laned, back = torch.full((groups, neurons, steps + 2, lanes), -1.0, dtype=dtype), torch.empty_like(plain)
    to_lanes(lanes)(0, groups, plain.numpy(), laned.numpy())
    expected = torch.zeros((groups * lanes, steps + 2, neurons), dtype=dtype)
    expected[:batch, :steps] = plain
    assert torch.equal(laned, expected.view(groups, lanes, steps + 2, neurons).permute(0, 3, 2, 1))
    middle = neurons // 2
    from_lanes(lanes)(0, middle, laned.numpy(), back.numpy())
    from_lanes(lanes)(middle, neurons, laned[:, middle:].contiguous().numpy(), back.numpy())
    assert torch.equal(back, plain)
