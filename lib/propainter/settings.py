"""Options of the ProPainter prior."""

from dataclasses import dataclass
from typing import Literal

Numerics = Literal["better", "reference"]
Precision = Literal["fp16", "fp32"]


@dataclass(frozen=True)
class PriorSettings:
    """What decides the prior of a clip besides its frames and masks. Lengths are in frames."""

    resize_ratio: float = 1.0  # size that the networks see over the frames' size
    width: int = -1  # with height: this size instead of the frames' (before the ratio); -1 = the frames'
    height: int = -1
    mask_dilation: int = 0  # pixels of the processing size by which the holes grow (3x3 cross, so many times)
    ref_stride: int = 10  # every so many-th frame is a reference for those around it
    neighbor_length: int = 20  # frames painted together
    subvideo_length: int = 80  # frames that flow completion and image propagation see at once
    raft_iterations: int = 20
    precision: Precision = "fp16"  # of everything but RAFT, on CUDA; a CPU always works in fp32
    # Of RAFT, on CUDA. On an H100 flow is off by 0.003 pixels on average in fp16, and by 0.002 in fp32, whose
    # convolutions torch rounds to TF32 there, as in the published runs (random weights; against float32 throughout).
    raft_precision: Precision = "fp32"
    numerics: Numerics = "better"  # "reference" repeats the published driver's rounding and blending (see Prior)

    def __post_init__(self) -> None:
        """Raises ValueError: an option is out of its range."""
        smallest = {
            "mask_dilation": 0,
            "ref_stride": 1,
            "neighbor_length": 2,
            "subvideo_length": 1,
            "raft_iterations": 1,
        }
        for name, least in smallest.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; give at least {least}")
        if self.resize_ratio <= 0:
            raise ValueError(f"resize_ratio is {self.resize_ratio}; give a positive number, 1 for the frames' own size")
