"""Compiled loops of `spikebridge.training.spike_transform`: transforms over time as matrix products with few columns.

Samples lie side by side as in `spikebridge.training.spike_kernels`; `lanes` of them are a register, and some registers
lie side by side again, a pack. Where frequencies are counted, real and imaginary part follow one another.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from spikebridge.training.compiled import compiled
from spikebridge.training.fused_types import Floats
from spikebridge.training.lanes import load, plus_inner, plus_outer, plus_product, store, times_row, zeros

TARGETS_TOGETHER = 32
"""Targets whose transforms stay in the first-level cache while sources pass."""


@cache
def of_steps(rows: int, lanes: int) -> Callable[..., None]:
    """The loop for the transforms of neurons `first .. last - 1`.

    Arguments of the loop: `waves` (steps, parts), parts a multiple of `rows`; `laned` (groups, neurons, steps, lanes);
    `spectrum` (packs, parts, neurons, lanes of a pack); `memory` (rows x lanes).
    """

    @compiled
    def run(first: int, last: int, waves: Floats, laned: Floats, spectrum: Floats, memory: Floats) -> None:
        groups, neurons, steps, _ = laned.shape
        parts, registers = waves.shape[1], spectrum.shape[3] // lanes
        numbers, source, into = waves.ravel(), laned.ravel(), spectrum.ravel()
        for pack in range(spectrum.shape[0]):
            for n in range(first, last):
                for part in range(0, parts, rows):
                    for group in range(pack * registers, min((pack + 1) * registers, groups)):
                        total = zeros(source, rows, lanes)
                        for t in range(steps):
                            column = load(source, ((group * neurons + n) * steps + t) * lanes, 1, lanes)
                            total = plus_outer(total, numbers, t * parts + part, column)
                        store(memory, 0, total)
                        for row in range(rows):
                            at = ((pack * parts + part + row) * neurons + n) * registers + group - pack * registers
                            store(into, at * lanes, load(memory, row * lanes, 1, lanes))

    return run


@cache
def of_delays(rows: int, lanes: int) -> Callable[..., None]:
    """The loop for the transform of a kernel, sources `first .. last - 1`.

    Arguments of the loop: `waves` (parts, delays), delays a multiple of `rows`; `stretch` (groups of targets, sources,
    delays x lanes); `spectrum` (parts or more, last - first, groups x lanes); sources that there
    are none of are left as they are.
    """

    @compiled
    def run(first: int, last: int, waves: Floats, stretch: Floats, spectrum: Floats) -> None:
        groups, sources, length = stretch.shape
        parts, delays = waves.shape
        numbers, kernel, into = waves.ravel(), stretch.ravel(), spectrum.ravel()
        for i in range(first, min(last, sources)):
            for group in range(groups):
                for d in range(0, delays, rows):
                    block = load(kernel, (group * sources + i) * length + d * lanes, rows, lanes)
                    for part in range(parts):
                        at = ((part * (last - first) + i - first) * groups + group) * lanes
                        total = load(into, at, 1, lanes) if d else zeros(into, 1, lanes)
                        store(into, at, plus_inner(total, numbers, part * delays + d, block))

    return run


@cache
def multiply(registers: int, lanes: int) -> Callable[..., None]:
    """The loop for the products per frequency, with the conjugate of the kernel's transform.

    Arguments of the loop: sources `first .. last - 1`, an even number of them; frequencies from `start` on; `kernel`
    (parts of some frequencies, last - first, targets or more); `grad` (packs, parts, targets, lanes of a pack);
    `product` (packs, parts, sources, lanes of a pack).
    """
    width = registers * lanes

    @compiled
    def run(first: int, last: int, start: int, kernel: Floats, grad: Floats, product: Floats) -> None:
        packs, parts, targets, _ = grad.shape
        sources = product.shape[2]
        spectrum, into = grad.ravel(), product.ravel()
        for f in range(kernel.shape[0] // 2):
            for pack in range(packs):
                part = pack * parts + 2 * (start + f)
                for begin in range(0, targets, TARGETS_TOGETHER):
                    # Two sources at a time: what is loaded of the gradient serves both.
                    for i in range(first, last, 2):
                        a_real, a_imaginary = kernel[2 * f, i - first], kernel[2 * f + 1, i - first]
                        b_real, b_imaginary = kernel[2 * f, i + 1 - first], kernel[2 * f + 1, i + 1 - first]
                        at, then = (part * sources + i) * width, ((part + 1) * sources + i) * width
                        if begin:
                            a, b = load(into, at, registers, lanes), load(into, at + width, registers, lanes)
                            c, d = load(into, then, registers, lanes), load(into, then + width, registers, lanes)
                        else:
                            a = b = c = d = zeros(into, registers, lanes)
                        for j in range(begin, min(begin + TARGETS_TOGETHER, targets)):
                            real, imaginary = (part * targets + j) * width, ((part + 1) * targets + j) * width
                            a = plus_product(a, a_real[j], spectrum, real)
                            a = plus_product(a, a_imaginary[j], spectrum, imaginary)
                            b = plus_product(b, b_real[j], spectrum, real)
                            b = plus_product(b, b_imaginary[j], spectrum, imaginary)
                            c = plus_product(c, a_real[j], spectrum, imaginary)
                            c = plus_product(c, -a_imaginary[j], spectrum, real)
                            d = plus_product(d, b_real[j], spectrum, imaginary)
                            d = plus_product(d, -b_imaginary[j], spectrum, real)
                        store(into, at, a)
                        store(into, at + width, b)
                        store(into, then, c)
                        store(into, then + width, d)

    return run


@cache
def back_to_steps(rows: int, lanes: int) -> Callable[..., None]:
    """The loop for the way back of neurons `first .. last - 1`.

    Arguments of the loop: `waves` (parts, steps), steps a multiple of `rows`; `product` (packs, parts or more, neurons
    or more, lanes of a pack); `kept` (groups, neurons, lanes), which the result is multiplied by; `laned` (groups,
    last - first or more, steps, lanes); `memory` (parts x lanes of a pack).
    """

    @compiled
    def run(first: int, last: int, waves: Floats, product: Floats, kept: Floats, laned: Floats, memory: Floats) -> None:
        groups, room, steps, _ = laned.shape
        parts, width, neurons = product.shape[1], product.shape[3], kept.shape[1]
        registers = width // lanes
        numbers, source, into, factors = waves.ravel(), product.ravel(), laned.ravel(), kept.ravel()
        for pack in range(product.shape[0]):
            for n in range(first, last):
                # Gathered first: frequencies lie so far apart that they displace one another in the cache.
                for part in range(waves.shape[0]):
                    for register in range(0, width, lanes):
                        at = ((pack * parts + part) * product.shape[2] + n) * width + register
                        store(memory, part * width + register, load(source, at, 1, lanes))
                for group in range(pack * registers, min((pack + 1) * registers, groups)):
                    for t in range(0, steps, rows):
                        at = ((group * room + n - first) * steps + t) * lanes
                        total = zeros(into, rows, lanes)
                        for part in range(waves.shape[0]):
                            column = load(memory, part * width + (group - pack * registers) * lanes, 1, lanes)
                            total = plus_outer(total, numbers, part * steps + t, column)
                        total = times_row(total, factors, (group * neurons + n) * lanes)
                        store(into, at, total)

    return run
