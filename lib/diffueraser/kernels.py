"""Fused GPU kernels in Triton for what lies between matrix products; `ops.py` has the same in plain torch.

Each reads its input once or twice and writes once. Sums are float32 whatever the input is.
"""

from typing import Any

# Triton comes with torch's CUDA builds only, and its kernels are subscripted to be launched.
# pyright: reportMissingImports=false, reportIndexIssue=false
import torch
import triton
import triton.language as tl
from torch import nn

ROWS_A_PROGRAM = 256  # of the group norm's first pass
CHANNELS_A_PROGRAM = 64
LONGEST_SEQUENCE = 32


@triton.jit
def _channel_sums(
    x,
    shift,
    partial,
    rows,
    channels,
    chunks,
    items_a_shift,
    has_shift: tl.constexpr,
    run: tl.constexpr,
    tile: tl.constexpr,
    block: tl.constexpr,
):
    """Sum and sum of squares of each channel over one chunk of rows: partial (items, chunks, 2, channels)."""
    item, chunk = tl.program_id(0), tl.program_id(1)
    channel = tl.program_id(2) * block + tl.arange(0, block)
    inside = channel < channels
    added = tl.zeros([block], tl.float32)
    if has_shift:
        added = tl.load(shift + (item // items_a_shift) * channels + channel, mask=inside, other=0).to(tl.float32)
    total, squares = tl.zeros([tile, block], tl.float32), tl.zeros([tile, block], tl.float32)
    base = x + item.to(tl.int64) * rows * channels
    for start in range(chunk * run, chunk * run + run, tile):
        row = start + tl.arange(0, tile)
        here = (row < rows)[:, None] & inside[None, :]
        value = tl.load(base + row[:, None] * channels + channel[None, :], mask=here, other=0).to(tl.float32)
        value = tl.where(here, value + added[None, :], 0.0)
        total += value
        squares += value * value
    out = partial + (item * chunks + chunk) * 2 * channels + channel
    tl.store(out, tl.sum(total, 0), mask=inside)
    tl.store(out + channels, tl.sum(squares, 0), mask=inside)


@triton.jit
def _group_factors(
    partial,
    weight,
    bias,
    shift,
    scale,
    offset,
    rows,
    channels,
    chunks,
    items_a_shift,
    eps,
    has_shift: tl.constexpr,
    joined: tl.constexpr,
    group_size: tl.constexpr,
    padded: tl.constexpr,
):
    """Per item and channel the factor and summand that normalise it, its shift included; `joined` items share them."""
    cluster, group = tl.program_id(0), tl.program_id(1)
    lane = tl.arange(0, padded)
    inside = lane < group_size
    channel = group * group_size + lane
    total, squares = tl.zeros([padded], tl.float32), tl.zeros([padded], tl.float32)
    for chunk in range(cluster * joined * chunks, (cluster + 1) * joined * chunks):
        total += tl.load(partial + chunk * 2 * channels + channel, mask=inside, other=0)
        squares += tl.load(partial + (chunk * 2 + 1) * channels + channel, mask=inside, other=0)
    count = group_size * rows * joined
    mean = tl.sum(total, 0) / count
    variance = tl.maximum(tl.sum(squares, 0) / count - mean * mean, 0.0)
    factor = tl.load(weight + channel, mask=inside, other=0).to(tl.float32) / tl.sqrt(variance + eps)
    summand = tl.load(bias + channel, mask=inside, other=0).to(tl.float32) - mean * factor
    for item in range(cluster * joined, (cluster + 1) * joined):
        added = tl.zeros([padded], tl.float32)
        if has_shift:
            added = tl.load(shift + (item // items_a_shift) * channels + channel, mask=inside, other=0).to(tl.float32)
        tl.store(scale + item * channels + channel, factor, mask=inside)
        tl.store(offset + item * channels + channel, summand + added * factor, mask=inside)


@triton.jit
def _apply_factors(x, out, scale, offset, rows, channels, silu: tl.constexpr, run: tl.constexpr, block: tl.constexpr):
    item = tl.program_id(0)
    row = tl.program_id(1) * run + tl.arange(0, run)
    channel = tl.program_id(2) * block + tl.arange(0, block)
    inside = channel < channels
    here = (row < rows)[:, None] & inside[None, :]
    place = item.to(tl.int64) * rows * channels + row[:, None] * channels + channel[None, :]
    factor = tl.load(scale + item * channels + channel, mask=inside, other=0)
    summand = tl.load(offset + item * channels + channel, mask=inside, other=0)
    value = tl.load(x + place, mask=here, other=0).to(tl.float32) * factor[None, :] + summand[None, :]
    if silu:
        value = value * tl.sigmoid(value)
    tl.store(out + place, value.to(out.dtype.element_ty), mask=here)


@triton.jit
def _layer_norm(
    x, out, weight, bias, positions, places, length, channels, eps, has_positions: tl.constexpr, padded: tl.constexpr
):
    row = tl.program_id(0).to(tl.int64)
    channel = tl.arange(0, padded)
    inside = channel < channels
    value = tl.load(x + row * channels + channel, mask=inside, other=0).to(tl.float32)
    mean = tl.sum(value, 0) / channels
    centred = tl.where(inside, value - mean, 0.0)
    value = centred / tl.sqrt(tl.sum(centred * centred, 0) / channels + eps)
    value = value * tl.load(weight + channel, mask=inside, other=0).to(tl.float32)
    value += tl.load(bias + channel, mask=inside, other=0).to(tl.float32)
    if has_positions:
        position = (row // places) % length
        value += tl.load(positions + position * channels + channel, mask=inside, other=0).to(tl.float32)
    tl.store(out + row * channels + channel, value.to(out.dtype.element_ty), mask=inside)


@triton.jit
def _geglu(x, out, width, block: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * block + tl.arange(0, block)
    inside = column < width
    value = tl.load(x + row * 2 * width + column, mask=inside, other=0).to(tl.float32)
    gate = tl.load(x + row * 2 * width + width + column, mask=inside, other=0).to(tl.float32)
    gate = 0.5 * gate * (1.0 + tl.math.erf(gate * 0.7071067811865476))
    tl.store(out + row * width + column, (value * gate).to(out.dtype.element_ty), mask=inside)


@triton.jit
def _add_with_bias(x, y, bias, out, count, channels, block: tl.constexpr):
    place = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    inside = place < count
    value = tl.load(x + place, mask=inside, other=0).to(tl.float32) + tl.load(y + place, mask=inside, other=0)
    value += tl.load(bias + place % channels, mask=inside, other=0)
    tl.store(out + place, value.to(out.dtype.element_ty), mask=inside)


@triton.jit
def _attend_over_time(
    query,
    key,
    value,
    out,
    stride,
    places,
    channels,
    heads,
    frames,
    factor,
    padded_length: tl.constexpr,
    depth: tl.constexpr,
    padded: tl.constexpr,
):
    """One place of one head: the whole sequence is one small tile."""
    program = tl.program_id(0).to(tl.int64)
    head, place, batch = program % heads, (program // heads) % places, program // (heads * places)
    time, lane = tl.arange(0, padded_length), tl.arange(0, padded)
    here = (time < frames)[:, None] & (lane < depth)[None, :]
    row = (batch * frames + time) * places + place
    into = row[:, None] * stride + head * depth + lane[None, :]
    q = tl.load(query + into, mask=here, other=0)
    k = tl.load(key + into, mask=here, other=0)
    v = tl.load(value + into, mask=here, other=0)
    score = tl.dot(q, tl.trans(k)) * factor
    score = tl.where((time < frames)[None, :], score, -1e30)
    score = tl.exp(score - tl.max(score, 1)[:, None])
    score = score / tl.sum(score, 1)[:, None]
    mixed = tl.dot(score.to(v.dtype), v)
    place_out = row[:, None] * channels + head * depth + lane[None, :]
    tl.store(out + place_out, mixed.to(out.dtype.element_ty), mask=here)


def group_norm(
    x: torch.Tensor, norm: nn.GroupNorm, frames: int = 1, shift: torch.Tensor | None = None, silu: bool = False
) -> torch.Tensor:
    """As `ops.group_norm`."""
    x = x.contiguous(memory_format=torch.channels_last)
    items, channels, height, width = x.shape
    rows = height * width
    chunks = triton.cdiv(rows, ROWS_A_PROGRAM)
    columns = triton.cdiv(channels, CHANNELS_A_PROGRAM)
    partial = x.new_empty(items, chunks, 2, channels, dtype=torch.float32)
    factors = x.new_empty(2, items, channels, dtype=torch.float32)
    given: Any = shift.contiguous() if shift is not None else x
    items_a_shift = items // len(shift) if shift is not None else items
    has_shift = shift is not None
    _channel_sums[(items, chunks, columns)](
        x,
        given,
        partial,
        rows,
        channels,
        chunks,
        items_a_shift,
        has_shift,
        run=ROWS_A_PROGRAM,
        tile=32,
        block=CHANNELS_A_PROGRAM,
    )
    group = channels // norm.num_groups
    _group_factors[(items // frames, norm.num_groups)](
        partial,
        norm.weight,
        norm.bias,
        given,
        factors[0],
        factors[1],
        rows,
        channels,
        chunks,
        items_a_shift,
        norm.eps,
        has_shift,
        joined=frames,
        group_size=group,
        padded=triton.next_power_of_2(group),
    )
    out = torch.empty_like(x)
    _apply_factors[(items, triton.cdiv(rows, 64), columns)](
        x, out, factors[0], factors[1], rows, channels, silu, run=64, block=CHANNELS_A_PROGRAM
    )
    return out


def layer_norm(x: torch.Tensor, norm: nn.LayerNorm, positions: torch.Tensor | None = None) -> torch.Tensor:
    """As `ops.layer_norm`."""
    x = x.contiguous()
    channels, out = x.shape[-1], torch.empty_like(x)
    given: Any = positions.contiguous() if positions is not None else x
    length = len(positions) if positions is not None else 1
    _layer_norm[(x.numel() // channels,)](
        x,
        out,
        norm.weight,
        norm.bias,
        given,
        x.shape[-2],
        length,
        channels,
        norm.eps,
        positions is not None,
        padded=triton.next_power_of_2(channels),
    )
    return out


def geglu(x: torch.Tensor) -> torch.Tensor:
    """As `ops.geglu`."""
    x = x.contiguous()
    width = x.shape[-1] // 2
    out = x.new_empty(*x.shape[:-1], width)
    block = min(1024, triton.next_power_of_2(width))
    _geglu[(out.numel() // width, triton.cdiv(width, block))](x, out, width, block=block)
    return out


def add_with_bias(x: torch.Tensor, y: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """As `ops.add_with_bias`."""
    x, y = (part.contiguous(memory_format=torch.channels_last) for part in (x, y))
    out = torch.empty_like(x)
    _add_with_bias[(triton.cdiv(x.numel(), 1024),)](x, y, bias, out, x.numel(), x.shape[1], block=1024)
    return out


def temporal_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, heads: int, frames: int
) -> torch.Tensor:
    """As `ops.temporal_attention`; the three may be parts of one wider tensor."""
    items, places, channels = query.shape
    depth = channels // heads
    out = query.new_empty(items, places, channels)
    programs = items // frames * places * heads
    _attend_over_time[(programs,)](
        query,
        key,
        value,
        out,
        query.stride(1),
        places,
        channels,
        heads,
        frames,
        depth**-0.5,
        padded_length=LONGEST_SEQUENCE,
        depth=depth,
        padded=max(16, triton.next_power_of_2(depth)),
        num_warps=2,
    )
    return out


def try_out() -> None:
    """Build and run the simplest kernel.

    Raises:
        Exception: Triton cannot build here (no C compiler, a read-only cache).
    """
    geglu(torch.zeros(1, 32, device="cuda", dtype=torch.float16))
