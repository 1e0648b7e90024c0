"""Sparse window attention over space and time (Zhou et al., "ProPainter", section 3.3).

Windows that touch the hole attend to themselves, their surroundings and a pooled view of every second frame; the others
to themselves, frame by frame.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

CHANNELS = 512
HEADS = 4
WINDOW = (5, 9)  # rows, columns of tokens
WINDOW_TOKENS = WINDOW[0] * WINDOW[1]
REACH = (3, 5)  # tokens by which the surroundings exceed a window on each side
POOL = 4
# Not cuDNN's attention: it prepares every new shape for long, and the number of windows that touch a hole changes.
BACKENDS = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]


def surrounding_positions() -> torch.Tensor:
    """(148,) int64: which tokens of the four shifted windows are not in the window itself; the published buffer.

    The windows are shifted to the upper left, upper right, lower left and lower right; index = shift * 45 + token.
    """
    rows = torch.arange(WINDOW[0])[:, None]
    columns = torch.arange(WINDOW[1])
    low, high = rows >= WINDOW[0] - REACH[0], rows < REACH[0]
    right, left = columns >= WINDOW[1] - REACH[1], columns < REACH[1]
    kept = torch.stack((low | right, low | left, high | right, high | left))
    return kept.flatten().nonzero().flatten()


@dataclass(frozen=True)
class WindowGrid:
    """How a token grid of (rows, columns) is cut into windows after padding at the bottom and right."""

    rows: int
    columns: int

    @property
    def windows(self) -> tuple[int, int]:
        return -(-self.rows // WINDOW[0]), -(-self.columns // WINDOW[1])

    @property
    def padded(self) -> tuple[int, int]:
        return self.windows[0] * WINDOW[0], self.windows[1] * WINDOW[1]

    def pad(self, tokens: torch.Tensor) -> torch.Tensor:
        """(t, rows, columns, c) with zeros up to whole windows."""
        height, width = self.padded
        return F.pad(tokens, (0, 0, 0, width - self.columns, 0, height - self.rows))

    def token_indices(self) -> torch.Tensor:
        """(windows, 45): where each window's tokens are in the flattened padded grid, row by row."""
        height, width = self.padded
        index = torch.arange(height * width).view(self.windows[0], WINDOW[0], self.windows[1], WINDOW[1])
        return index.transpose(1, 2).reshape(-1, WINDOW_TOKENS)

    def surrounding_indices(self, kept: torch.Tensor) -> torch.Tensor:
        """(windows, 148): as `token_indices`, of the surroundings, which wrap around the padded grid's borders.

        kept: see `surrounding_positions`.
        """
        height, width = self.padded
        index = torch.arange(height * width).view(height, width)
        shifts = [(-REACH[0], -REACH[1]), (-REACH[0], REACH[1]), (REACH[0], -REACH[1]), (REACH[0], REACH[1])]
        shifted = [index.roll(shift, (0, 1)).flatten()[self.token_indices()] for shift in shifts]
        return torch.cat(shifted, dim=1)[:, kept.cpu()]

    def touched(self, token_mask: torch.Tensor) -> torch.Tensor:
        """(t, windows) bool: where a (t, rows, columns) mask is set anywhere in the window."""
        padded = self.pad(token_mask[..., None])[..., 0]
        return F.max_pool2d(padded, WINDOW, WINDOW).flatten(1) > 0


# (windows, 45) own tokens; (windows, 193) own and surrounding ones; (tokens,) where each token is in the first
WindowIndices = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


class SparseWindowAttention(nn.Module):
    """Keys: query, key, value, proj, pool_layer, and the buffer valid_ind_rolled."""

    valid_ind_rolled: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Linear(CHANNELS, CHANNELS)
        self.key = nn.Linear(CHANNELS, CHANNELS)
        self.value = nn.Linear(CHANNELS, CHANNELS)
        self.proj = nn.Linear(CHANNELS, CHANNELS)
        self.pool_layer = nn.Conv2d(CHANNELS, CHANNELS, POOL, POOL, groups=CHANNELS)
        self.register_buffer("valid_ind_rolled", surrounding_positions())
        self._indices: dict[tuple[WindowGrid, torch.device], WindowIndices] = {}

    def forward(
        self, tokens: torch.Tensor, touched: torch.Tensor, key_frames: slice, asking: int | None = None
    ) -> torch.Tensor:
        """Attend.

        Args:
            tokens: (t, rows, columns, 512).
            touched: indices of the windows that touch the hole (repeated ones do no harm).
            key_frames: the frames whose tokens touched windows see.
            asking: only the first so many frames are asked for; None = all.

        Returns:
            (asking, rows, columns, 512).
        """
        grid = WindowGrid(*tokens.shape[1:3])
        own, seen, back = self._window_indices(grid, tokens.device)
        padded = grid.pad(tokens)
        asked = padded[:asking]
        query = self.query(asked).flatten(1, 2)[:, own]  # (asking, windows, 45, c)
        key, value = self.key(padded).flatten(1, 2), self.value(padded).flatten(1, 2)
        attended = _attend(query, key[: len(asked), own], value[: len(asked), own])
        if len(touched):
            attended[:, touched] = self._attend_widely(query[:, touched], key, value, padded, seen[touched], key_frames)
        attended = attended.flatten(1, 2)[:, back].unflatten(1, grid.padded)
        return self.proj(attended[:, : grid.rows, : grid.columns])

    def _attend_widely(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        padded: torch.Tensor,
        seen: torch.Tensor,
        key_frames: slice,
    ) -> torch.Tensor:
        """The windows of `query` (t, n, 45, c) see the tokens `seen` (n, 193) and pooled ones of the key frames."""
        pooled = self.pool_layer(padded[key_frames].permute(0, 3, 1, 2)).flatten(2).transpose(1, 2)
        keys = _seen_tokens(key[key_frames], self.key(pooled), seen)
        values = _seen_tokens(value[key_frames], self.value(pooled), seen)
        frames = len(query)
        questions = query.transpose(0, 1).flatten(1, 2)[None]  # (1, n, t*45, c)
        answers = _attend(questions, keys[None], values[None])
        return answers[0].unflatten(1, (frames, WINDOW_TOKENS)).transpose(0, 1)

    def _window_indices(self, grid: WindowGrid, device: torch.device) -> WindowIndices:
        if (grid, device) not in self._indices:
            own = grid.token_indices()
            seen = torch.cat((own, grid.surrounding_indices(self.valid_ind_rolled)), dim=1)
            back = own.flatten().argsort()
            self._indices[grid, device] = (own.to(device), seen.to(device), back.to(device))
        return self._indices[grid, device]


def _seen_tokens(tokens: torch.Tensor, pooled: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    """(n, t * (193 + P), c): per window and frame its tokens of (t, tokens, c), then all pooled (t, P, c)."""
    near = tokens[:, seen].transpose(0, 1)  # (n, t, 193, c)
    far = pooled.expand(len(seen), *pooled.shape)
    return torch.cat((near, far), dim=2).flatten(1, 2)


def _attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Softmax attention with 4 heads of consecutive channels: (a, b, q, c) and twice (a, b, k, c) -> (a, b, q, c)."""
    outer = query.shape[:2]
    q, k, v = (x.flatten(0, 1).unflatten(-1, (HEADS, -1)).transpose(1, 2) for x in (query, key, value))
    with sdpa_kernel(BACKENDS):
        answers = F.scaled_dot_product_attention(q, k, v)
    return answers.transpose(1, 2).flatten(2).unflatten(0, outer)
