"""Training on a GPU as far as it can be tested without one: what is missing is said, no tensor stays behind."""

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from scanned_neurons import random_neuron
from small_training import SMALL, changed
from torch._subclasses.fake_tensor import FakeTensorMode

from spikebridge.bridge.errors import ConfigError
from spikebridge.bridge.spec import Reset, SynapseKind
from spikebridge.bridge.spikes import Events
from spikebridge.cli.main import main
from spikebridge.training import gpu_kernels, loss
from spikebridge.training.checkpoint import fingerprint
from spikebridge.training.config import TrainingConfig
from spikebridge.training.dataset import counts_on, dense_counts, load_dataset
from spikebridge.training.device import device_of, on_processor, training_device
from spikebridge.training.fit import evaluate, fit
from spikebridge.training.loss import close_pairs_hz, rate_penalty
from spikebridge.training.network import SpikingNetwork
from spikebridge.training.surrogate import Surrogate
from spikebridge.training.timegrid import TimeGrid

WITHOUT = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
ON_CARD = pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU that PyTorch can use")


@WITHOUT
def test_without_a_card_it_says_what_is_missing_and_how_to_go_on(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"device = 'cuda' needs an NVIDIA GPU: .+; .+ or set device = 'cpu'"):
        training_device("cuda")
    data = load_dataset(SMALL.data, None, seed=0)
    with pytest.raises(ConfigError, match="needs an NVIDIA GPU"):
        fit(replace(SMALL, device="cuda"), data, 0, tmp_path, progress=False)
    assert list(tmp_path.iterdir()) == []


@WITHOUT
def test_the_command_refuses_before_it_reads_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example = Path(__file__).resolve().parent.parent / "examples" / "spoken_digits.toml"
    words = ["train", str(example), "--data", str(tmp_path / "none"), "--out", str(tmp_path / "out")]
    assert main([*words, "--set", "device=cuda"]) == 2
    assert "device = 'cuda' needs an NVIDIA GPU" in capsys.readouterr().err


def test_a_pytorch_without_cuda_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise AssertionError("Torch not compiled with CUDA enabled")

    monkeypatch.setattr(torch.cuda, "init", refuse)
    monkeypatch.setattr(torch.version, "cuda", None)
    with pytest.raises(ConfigError, match="not compiled with CUDA enabled; install a PyTorch with CUDA"):
        training_device("cuda")


def test_a_card_that_is_hidden_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "init", lambda: None)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    with pytest.raises(
        ConfigError, match="finds no GPU; see whether `nvidia-smi` lists a card and whether CUDA_VISIBLE"
    ):
        training_device("cuda")


def test_a_card_multiplies_in_full_precision_and_in_one_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "init", lambda: None)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    assert training_device("cuda") == torch.device("cuda")
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


def test_no_kernel_of_a_gpu_is_imported_on_the_processor(tmp_path: Path) -> None:
    code = """
import sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from small_training import SMALL, changed
from spikebridge.training.dataset import counts_on, dense_counts, load_dataset
from spikebridge.training.fit import fit
fit(changed(optimiser={"epochs": 1}), load_dataset(SMALL.data, None, seed=0), 0, Path(sys.argv[1]), progress=False)
print(sorted(name for name in sys.modules if name.startswith("spikebridge.training.triton")))
"""
    command = [sys.executable, "-P", "-c", code, str(tmp_path), str(Path(__file__).parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_checkpoint_does_not_depend_on_the_device(tmp_path: Path) -> None:
    data = load_dataset(SMALL.data, None, seed=0)
    there = replace(SMALL, device="cuda")
    assert fingerprint(there, data.provenance, 0) == fingerprint(SMALL, data.provenance, 0)
    fit(SMALL, data, 0, tmp_path, progress=False)
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    tensors = list(state["network"].values())
    tensors += [value for row in state["optimiser"]["state"].values() for value in row.values()]
    assert tensors
    assert {tensor.device.type for tensor in tensors} == {"cpu"}


def test_a_state_comes_to_the_processor_with_its_structure() -> None:
    tensor = torch.ones(2, requires_grad=True)
    found = on_processor({"a": [tensor, 3], "b": {"c": (tensor, "x")}, 4: None})
    assert (found["a"][1], found["b"]["c"][1], found[4]) == (3, "x", None)
    assert not found["a"][0].requires_grad
    assert torch.equal(found["b"]["c"][0], torch.ones(2))


def on_fake_card(config: TrainingConfig, run: Callable[[SpikingNetwork, torch.Tensor], Any]) -> Any:
    """A network on a GPU that only knows shapes and devices, and raises where tensors of two devices meet."""
    with FakeTensorMode():
        network = SpikingNetwork(config, 3, 0)
        for module in network.modules():
            for name, value in module.named_parameters(recurse=False):
                moved = torch.nn.Parameter(value.detach().to("cuda"), requires_grad=value.requires_grad)
                module.register_parameter(name, moved)
            for name, buffer in module.named_buffers(recurse=False):
                module.register_buffer(name, buffer.to("cuda"))
        return run(network, torch.zeros(4, 30, config.data.channels, device="cuda"))


@pytest.mark.parametrize("kernels", ["plain", "fused"])
def test_no_tensor_of_a_training_step_stays_behind(
    kernels: Literal["plain", "fused"], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """`fused` without Triton: by PyTorch's operations, and says so once."""

    def whole(grid: TimeGrid, delay_ms: torch.Tensor) -> Any:
        return 8 if delay_ms.numel() == 1 else torch.zeros_like(delay_ms, dtype=torch.int64)

    monkeypatch.setattr(TimeGrid, "whole_steps", whole)  # reads numbers, of which there are none

    def none_installed(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(gpu_kernels, "version", none_installed)
    gpu_kernels.why_no_triton.cache_clear()
    gpu_kernels._say.cache_clear()
    config = changed(
        replace(SMALL, kernels=kernels),
        network={"batch_norm": True, "bias": True},
        neuron={"refractory_ms": 20.0},
        regulariser={"burst_strength": 0.1, "target_rate_hz": 3.0, "spike_strength": 0.1},
    )

    def step(network: SpikingNetwork, counts: torch.Tensor) -> list[torch.Tensor]:
        assert device_of(network).type == "cuda"
        network.train()
        activity = network(counts)
        penalty = rate_penalty(activity.spikes, 10.0, config.regulariser)
        network.clamp_()
        return [activity.potentials, *activity.spikes, penalty, network.eval()(counts).potentials]

    with caplog.at_level(logging.WARNING, logger="spikebridge"):
        found = on_fake_card(config, step)
    assert {tensor.device.type for tensor in found} == {"cuda"}
    gpu_kernels.why_no_triton.cache_clear()
    said = [record.message for record in caplog.records if "on the GPU: Triton is not installed" in record.message]
    assert len(said) == (1 if kernels == "fused" else 0)


def test_a_gpu_counts_the_same_spikes() -> None:
    """Its operations, run by the processor: times at edges of steps, past the end, and far past it."""
    rng = np.random.default_rng(0)
    time_s = np.concatenate([rng.random(400) * 0.4, np.round(rng.random(400) * 0.4, 3), [0.3, 0.2999999, 5.0, 1e300]])
    offsets = np.array([0, 100, 100, 600, time_s.size])
    events = Events(time_s, rng.integers(0, 3, time_s.size).astype(np.int32), offsets, 3)
    for step_ms in (10.0, 1.0, 0.3):
        plain = dense_counts(events, 300.0, step_ms)
        assert plain.max() > 1 or step_ms < 1
        there = counts_on(torch.device("cpu"), events, (4, plain.shape[1], 3), 300.0, step_ms)
        assert torch.equal(plain, there)
        assert there.dtype == plain.dtype


def test_what_kernels_do_not_cover_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_kernels, "why_no_triton", lambda: None)
    case = {"adaptive": True, "spiking": True, "oscillatory": False, "synapse": SynapseKind.DELTA}
    case |= {"reset": Reset.SUBTRACT, "pulse_steps": 1, "refractory_steps": 1}
    neuron = random_neuron(case, np.random.default_rng(0), 4)
    weight = torch.zeros(4, 4)
    assert gpu_kernels.why_no_scan(neuron, 4, {1: weight}) is None
    assert gpu_kernels.why_no_scan(neuron, 2000, None) is None
    assert "2 different delays" in str(gpu_kernels.why_no_scan(neuron, 4, {0: weight, 1: weight}))
    assert "has 513 neurons" in str(gpu_kernels.why_no_scan(neuron, 513, {0: weight}))
    silent = replace(neuron, spiking=False)
    assert gpu_kernels.why_no_scan(silent, 513, {0: weight}) is None
    gpu_kernels._say.cache_clear()
    arrivals = torch.zeros(1, 2, 513)
    assert gpu_kernels.scan_on_card(neuron, arrivals, Surrogate("boxcar", 1.0), {0: weight}, None) is None


@pytest.mark.parametrize(
    ("found", "said"), [("3.5.1", "Triton 3.5.1 is older than 3.6"), ("3.6.0", None), ("4.0", None)]
)
def test_a_triton_that_is_too_old_is_not_used(found: str, said: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_kernels, "version", lambda _: found)
    gpu_kernels.why_no_triton.cache_clear()
    reason = gpu_kernels.why_no_triton()
    gpu_kernels.why_no_triton.cache_clear()
    assert reason is None if said is None else said in str(reason)


def test_running_sums_of_a_gpu_count_the_same_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where PyTorch's own running sum has no fixed order, a matrix product counts."""
    spikes = (torch.rand(3, 40, 5, generator=torch.Generator().manual_seed(0)) < 0.3).double().requires_grad_()
    pairs = close_pairs_hz(spikes, 1.0, 4.0)
    (gradient,) = torch.autograd.grad(pairs.square().sum(), spikes)
    monkeypatch.setattr(loss, "_running_sum", loss._sum_by_product)
    other = close_pairs_hz(spikes, 1.0, 4.0)
    assert torch.equal(pairs, other)
    torch.testing.assert_close(torch.autograd.grad(other.square().sum(), spikes)[0], gradient)


@ON_CARD
@pytest.mark.parametrize("kernels", ["fused", "plain"])
def test_training_on_a_card_is_the_same_every_time_and_goes_on_on_the_processor(
    kernels: Literal["plain", "fused"], tmp_path: Path
) -> None:
    config = replace(changed(optimiser={"epochs": 2}), device="cuda", kernels=kernels)
    data = load_dataset(config.data, None, seed=0)
    runs = [fit(config, data, 0, tmp_path / name, progress=False) for name in ("a", "b")]
    for one, other in zip(*(run.network.state_dict().values() for run in runs), strict=True):
        assert torch.equal(one, other)
    assert device_of(runs[0].network).type == "cuda"
    # The same network on the processor decides the same, but for what single precision may tip.
    accuracy, _, _ = evaluate(runs[0].network, data.validation, config)
    here, _, _ = evaluate(runs[0].network.to("cpu"), data.validation, replace(config, device="cpu"))
    assert abs(accuracy - here) < 0.2
    again = fit(replace(config, device="cpu"), data, 0, tmp_path / "a", progress=False)
    assert [row.loss for row in again.history] == [row.loss for row in runs[0].history]
