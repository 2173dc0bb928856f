"""Where a training runs: on the processor, or on an NVIDIA GPU."""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import Tensor, nn

from spikebridge.bridge.errors import ConfigError


def training_device(name: str) -> torch.device:
    """The device of a configuration, ready: products in full precision and in the same order every time.

    Args:
        name: `device` of the configuration, "cpu" or "cuda".

    Raises:
        ConfigError: there is no GPU that PyTorch can use; says why.
    """
    if name == "cpu":
        return torch.device("cpu")
    # Read when the first product runs; without it PyTorch refuses products that have to be deterministic.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
    # PyTorch's own build without CUDA answers with an assertion.
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(_without_card(str(error))) from error
    if torch.cuda.device_count() == 0:
        raise ConfigError(_without_card("PyTorch finds no GPU"))
    # Convolutions would otherwise round weights to 10 bits.
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    return torch.device("cuda")


def same_bits_every_time() -> None:
    """Have PyTorch refuse operations whose result depends on chance, for this process."""
    torch.use_deterministic_algorithms(True)
    # Which alone would also fill all new memory; what asks for memory here writes it before it reads it.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def _without_card(reason: str) -> str:
    if torch.version.cuda is None:
        how = (
            f"install a PyTorch with CUDA (this is {torch.__version__}, without; see https://pytorch.org/get-started), "
        )
    else:
        how = "see whether `nvidia-smi` lists a card and whether CUDA_VISIBLE_DEVICES hides it, "
    return f"device = 'cuda' needs an NVIDIA GPU: {reason.rstrip('. ')}; {how}or set device = 'cpu'"


def device_of(network: nn.Module) -> torch.device:
    """Where the parameters of a network are."""
    return next(network.parameters()).device


def on_processor(state: Any) -> Any:
    """Nested dictionaries, lists and tuples with every tensor in the memory of the processor, as files hold them."""
    if isinstance(state, Tensor):
        return state.detach().cpu()
    if isinstance(state, dict):
        return {key: on_processor(value) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return type(state)(on_processor(value) for value in state)
    return state
