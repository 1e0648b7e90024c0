"""The ProPainter engine behind the remover's interface, on the CPU, with random weights of full size."""

import dataclasses
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from tests_support import moving_square, same_weights, write_propainter_weights

from lib import memory
from lib.anchor.propainter import PropainterAnchorInpainter
from lib.errors import InputError
from lib.memory import check_memory, estimate_bytes
from lib.propainter.settings import PriorSettings
from lib.removers import propainter
from lib.removers.base import RemovalRequest
from lib.removers.propagation import PropagationRemover
from lib.removers.propainter import PropainterRemover
from lib.removers.registry import get_anchor, get_remover
from lib.settings import Anchor, Engine, Processing, PropainterPrior
from lib.video.clip import probe_clip

QUICK = PriorSettings(raft_iterations=1)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_propainter_weights(tmp_path_factory.mktemp("weights") / "propainter")


@pytest.fixture(scope="module")
def remover(weights: Path) -> PropainterRemover:
    """One for the module, so that the weights are read once."""
    return PropainterRemover(weights, QUICK)


@pytest.fixture
def request_() -> RemovalRequest:
    frames, masks = moving_square(1, 4, 70, 101)
    return RemovalRequest(frames, masks > 0, video_name="bear")


def with_stand_in(remover: PropainterRemover, prior: Any) -> PropainterRemover:
    """A remover whose networks are replaced."""
    copy = PropainterRemover(remover._model_dir, remover._settings)
    vars(copy)["_prior"] = prior
    return copy


def test_the_prior_is_the_result(remover, request_):
    shares: list[float] = []
    before = request_.frames.copy()
    result = remover.remove(dataclasses.replace(request_, report=shares.append))
    assert result.frames.shape == request_.frames.shape and result.frames.dtype == np.uint8
    assert np.array_equal(result.frames[~request_.masks], before[~request_.masks])
    assert not np.array_equal(result.frames, before)
    assert np.array_equal(request_.frames, before)
    assert result.prior is result.frames and result.anchor_frame is None
    assert shares == sorted(shares) and shares[-1] == pytest.approx(1)
    assert result.seconds["load"] >= 0 and len(result.seconds) > 1


def test_refine_gives_the_results_own_frame_as_the_anchor_and_prompts_change_nothing(remover, request_):
    coarse = remover.remove(request_)
    request = dataclasses.replace(
        request_, anchor=PropainterAnchorInpainter(), anchor_frame_idx=2, prompt="a wall", n_prompt="a man"
    )
    refined = remover.remove(request)
    assert np.array_equal(refined.frames, coarse.frames)
    assert np.array_equal(refined.anchor_frame, refined.frames[2])
    last = remover.remove(dataclasses.replace(request, anchor_frame_idx=99))
    assert np.array_equal(last.anchor_frame, last.frames[-1])


def test_shapes_that_do_not_fit_are_refused(remover, request_):
    with pytest.raises(ValueError, match="masks must be"):
        remover.remove(dataclasses.replace(request_, masks=request_.masks[:3]))


def test_models_load_once_for_any_number_of_clips(remover, request_, monkeypatch):
    from lib.propainter.prior import Prior

    remover.remove(request_)
    monkeypatch.setattr(Prior, "load", lambda *_: pytest.fail("loaded again"))
    other = RemovalRequest(request_.frames[:3, :64, :64], request_.masks[:3, :64, :64])
    assert remover.remove(other).frames.shape == (3, 64, 64, 3)


def test_a_result_of_another_size_is_brought_to_the_requests(remover, request_):
    """As with numerics="reference" above 960 pixels."""
    small = np.full((4, 35, 50, 3), 7, np.uint8)
    stand_in = with_stand_in(remover, lambda *_, **__: SimpleNamespace(frames=small, seconds={}, facts={}))
    result = stand_in.remove(dataclasses.replace(request_, anchor=PropainterAnchorInpainter()))
    assert result.frames.shape == request_.frames.shape and (result.frames == 7).all()
    assert (result.anchor_frame[request_.masks[0]] == 7).all()


def test_a_clip_too_large_for_the_gpu_fails_with_advice(remover, request_):
    def prior(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.\nMore text")

    with pytest.raises(InputError, match=r"bear: 4 frames of 101x70 .*20\.00 GiB\.\); lower --subvideo_length"):
        with_stand_in(remover, prior).remove(request_)


def test_the_fingerprint_follows_what_decides_pixels_and_no_path(weights, tmp_path):
    fingerprint = PropainterRemover(weights, QUICK).fingerprint()
    moved = same_weights(tmp_path / "moved", weights)
    assert PropainterRemover(moved, QUICK).fingerprint() == fingerprint
    assert str(weights) not in str(fingerprint)
    assert fingerprint["torch"] == torch.__version__ and fingerprint["device"] == "cpu"
    for change in ({"ref_stride": 5}, {"neighbor_length": 10}, {"subvideo_length": 40}, {"numerics": "reference"}):
        assert PropainterRemover(weights, dataclasses.replace(QUICK, **change)).fingerprint() != fingerprint
    for name in ("ProPainter.pth", "raft-things.pth", "recurrent_flow_completion.pth"):
        changed = same_weights(tmp_path / f"changed {name}", weights)
        (changed / name).unlink()
        (changed / name).write_bytes((weights / name).read_bytes()[:1000])
        assert PropainterRemover(changed, QUICK).fingerprint() != fingerprint


def test_precision_tells_results_apart_only_on_a_gpu(weights, monkeypatch):
    pair = [PropainterRemover(weights, PriorSettings(precision=precision)) for precision in ("fp16", "fp32")]
    assert pair[0].fingerprint() == pair[1].fingerprint()
    on_cpu = pair[0].fingerprint()
    monkeypatch.setattr(propainter, "gpu_count", lambda: 2)
    assert pair[0].fingerprint() != pair[1].fingerprint() != on_cpu
    assert pair[0].suggested_workers() == 2


def test_one_process_works_on_the_cpu(remover):
    assert remover.suggested_workers() == 1


def test_its_copies_count_where_memory_is_short(remover, dataset, monkeypatch):
    dataset.add("bear", height=400, width=600)
    info, processing = probe_clip(dataset.videos / "bear"), Processing()
    least = estimate_bytes(6, (400, 600), processing, PropagationRemover.work_copies)
    monkeypatch.setattr(memory, "available_bytes", lambda: least)
    check_memory(info, processing, PropagationRemover.work_copies)
    with pytest.raises(InputError, match="6 frames of 600x400 need"):
        check_memory(info, processing, remover.work_copies)


def test_settings_reach_the_prior(weights):
    prior = PropainterPrior(propainter_model_dir=weights, raft_iter=3, neighbor_length=12, numerics="reference")
    remover = get_remover(Engine(engine="propainter"), prior)
    assert isinstance(remover, PropainterRemover)
    assert remover._settings == PriorSettings(raft_iterations=3, neighbor_length=12, numerics="reference")
    assert get_remover(Engine(engine="propainter"), PropainterPrior.model_validate(prior.model_dump())) is remover
    assert get_anchor(Anchor(anchor_method="propainter"), 0).name == "propainter"


def test_the_defaults_of_the_flags_are_those_of_the_prior():
    remover = PropainterRemover.from_settings(PropainterPrior(propainter_model_dir=Path("w")))
    assert remover._settings == PriorSettings()


def test_weights_that_are_missing_or_no_checkpoints_are_named_before_any_work(weights, tmp_path):
    PropainterRemover(weights).check()
    with pytest.raises(InputError, match="--propainter_model_dir"):
        get_remover(Engine(engine="propainter"), PropainterPrior())
    with pytest.raises(InputError, match=r"nowhere.*no such folder"):
        PropainterRemover(tmp_path / "nowhere").check()
    folder = same_weights(tmp_path / "folder", weights)
    (folder / "raft-things.pth").unlink()
    with pytest.raises(InputError, match=r"raft-things\.pth missing.*sczhou/ProPainter"):
        PropainterRemover(folder).check()
    (folder / "raft-things.pth").write_text("<html>not found</html>")
    with pytest.raises(InputError, match=r"raft-things\.pth.*download it again"):
        PropainterRemover(folder).check()


def test_weights_that_may_not_be_read_are_one_error(weights, monkeypatch):
    def refuse(path: Path, *_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InputError, match=r"raft-things\.pth: cannot be read \(Permission denied\)"):
        PropainterRemover(weights).check()


def test_engines_settings_and_the_check_before_a_run_need_no_torch(weights):
    code = """if True:
        import sys
        from pathlib import Path
        import flows.batch, flows.command_line
        from lib.removers.propainter import PropainterRemover
        remover = PropainterRemover(Path(sys.argv[1]))
        remover.check(), remover.fingerprint(), remover.suggested_workers()
        sys.exit("torch" in sys.modules)
    """
    command = [sys.executable, "-c", code, str(weights)]
    assert subprocess.run(command, cwd=Path(__file__).parents[2], check=False).returncode == 0
