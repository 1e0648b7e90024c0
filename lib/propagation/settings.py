"""The knobs of the propagation engine."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class PropagationSettings:
    """Lengths are pixels of a 432x240 frame and grow with the square root of the frame's area, where said so."""

    passes: int = 2  # 2 = flow is computed again on the first pass's result
    guard: int = 6  # flow this near to the hole is not trusted in the first pass (scaled)
    flow_margin: int = 40  # how far around the hole flow is computed (scaled)
    camera_side: int = 960  # the camera is estimated on frames whose longer side is at most this
    corners: int = 500  # corners tracked per pair of frames
    inlier_px: float = 1.0  # a corner farther than this from the camera's motion does not belong to it
    min_inliers: int = 16  # fewer corners that agree on the camera's motion break the chain
    min_inlier_share: float = 0.12  # of all corners found; fewer break the chain
    min_correlation: float = 0.35  # of the two frames once aligned; less breaks the chain
    still_px: float = 0.05  # a camera whose corners move less per frame stands still
    flow_gain: float = 0.95  # residual flow must bring the error around the hole below this share of the camera's
    reach: int = 400  # a pixel is followed over at most this many frames
    plate_sources: int = 5  # a still camera takes the temporal median from this many visible samples on
    plate_spread: float = 8.0  # gray levels; samples that differ more are not averaged
    exposure_floor: float = 0.01  # a drift of exposure below this share over a whole shot is not compensated
    max_anchors: int = 24  # pictures the anchor paints per clip for what no frame shows; the rest is left to Telea
    crumb_area: int = 24  # never-visible spots up to this many pixels are not worth an anchor (scaled)
    max_tracked: int = 50_000_000  # hole pixels held at once (about 17 bytes each); more are worked off in chunks
    chunk_overlap: int = 40  # frames after a chunk that it may take colours from

    def with_passes(self, passes: int) -> "PropagationSettings":
        """The same settings with another number of passes."""
        return replace(self, passes=passes)
