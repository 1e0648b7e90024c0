"""The engine behind the remover's interface."""

import numpy as np
import pytest
from PIL import Image

from lib.anchor.base import AnchorInpainter
from lib.anchor.patch import PatchAnchorInpainter
from lib.metrics.psnr import masked_psnr
from lib.propagation.settings import PropagationSettings
from lib.removers.base import RemovalRequest
from lib.removers.propagation import PropagationRemover
from lib.scenes import Scene, SceneOptions, render_scene


class _RecordingAnchor(AnchorInpainter):
    name = "recording"

    def __init__(self) -> None:
        self.prompts: list[tuple[str | None, str | None]] = []

    def inpaint(self, frame, mask, prompt=None, n_prompt=None):
        self.prompts.append((prompt, n_prompt))
        assert frame.mode == "RGB" and mask.mode == "L" and frame.size == mask.size
        picture = np.array(frame)
        picture[np.asarray(mask) > 0] = (200, 30, 90)
        return Image.fromarray(picture)


@pytest.fixture(scope="module")
def scene() -> Scene:
    return render_scene("pan", (120, 216), 14, options=SceneOptions(object_follows_scene=True))


def test_coarse_needs_no_anchor_and_leaves_the_request_alone(scene):
    before = scene.frames.copy()
    shares: list[float] = []
    result = PropagationRemover().remove(RemovalRequest(scene.frames, scene.masks, report=shares.append))
    assert np.array_equal(scene.frames, before)
    assert np.array_equal(result.frames[~scene.masks], before[~scene.masks])
    assert result.anchor_frame is None
    assert shares == sorted(shares) and shares[-1] == pytest.approx(1)
    facts = result.facts
    assert facts["share_from_frames"] + facts["share_from_anchor"] + facts["share_crumbs"] == pytest.approx(1)
    assert facts["chain_breaks"] == 0 and facts["share_from_anchor"] > 0.5


def test_refine_paints_the_anchor_frame_with_the_prompts(scene):
    anchor = _RecordingAnchor()
    words = {"anchor_prompt": "a wall", "anchor_n_prompt": "a man", "prompt": "for the engine itself"}
    request = RemovalRequest(scene.frames, scene.masks, anchor=anchor, anchor_frame_idx=5, **words)
    result = PropagationRemover().remove(request)
    assert anchor.prompts and set(anchor.prompts) == {("a wall", "a man")}
    assert np.array_equal(result.anchor_frame, result.frames[5])
    painted = (result.anchor_frame == (200, 30, 90)).all(axis=2)
    assert painted.sum() > 0.5 * scene.masks[5].sum()
    assert np.array_equal(result.anchor_frame[~scene.masks[5]], scene.frames[5][~scene.masks[5]])


def test_where_all_is_seen_the_anchor_is_the_completed_frame_and_nothing_is_painted():
    seen = render_scene("pan", (120, 216), 30)
    anchor = _RecordingAnchor()
    request = RemovalRequest(seen.frames, seen.masks, anchor=anchor, anchor_frame_idx=15)
    result = PropagationRemover().remove(request)
    assert result.facts["share_from_frames"] > 0.99
    assert masked_psnr(seen.clean[15], result.anchor_frame, seen.masks[15]) > 35


def test_an_anchor_index_beyond_the_clip_means_the_last_frame(scene):
    result = PropagationRemover().remove(
        RemovalRequest(scene.frames, scene.masks, anchor=_RecordingAnchor(), anchor_frame_idx=99)
    )
    assert np.array_equal(result.anchor_frame, result.frames[-1])


def test_refine_with_patches_is_repeatable(scene):
    request = RemovalRequest(scene.frames[:6], scene.masks[:6], anchor=PatchAnchorInpainter(3))
    assert np.array_equal(PropagationRemover().remove(request).frames, PropagationRemover().remove(request).frames)


def test_shapes_that_do_not_fit_are_refused(scene):
    with pytest.raises(ValueError, match="masks must be"):
        PropagationRemover().remove(RemovalRequest(scene.frames, scene.masks[:3]))


def test_the_fingerprint_follows_the_settings():
    assert PropagationRemover().fingerprint() == PropagationRemover().fingerprint()
    assert PropagationRemover().fingerprint() != PropagationRemover(PropagationSettings(guard=3)).fingerprint()
