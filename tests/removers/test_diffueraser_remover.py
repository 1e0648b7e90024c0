"""The DiffuEraser engine behind the remover's interface, on the CPU, with tiny random networks."""

import dataclasses
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from diffueraser_weights import weight_paths, write_diffueraser_weights
from tests_support import CAPTION, moving_square, same_weights, write_propainter_weights
from tiny_vlms import write_tiny_vlm

from lib.anchor.patch import PatchAnchorInpainter
from lib.anchor.propainter import PropainterAnchorInpainter
from lib.diffueraser.settings import EraserSettings
from lib.errors import InputError
from lib.removers import diffueraser
from lib.removers.base import RemovalRequest
from lib.removers.diffueraser import DiffuEraserRemover
from lib.removers.registry import get_anchor, get_remover
from lib.settings import Anchor, DiffuEraserOptions, Engine, PropainterPrior


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_diffueraser_weights(tmp_path_factory.mktemp("weights"))
    write_propainter_weights(folder / "propainter")
    write_tiny_vlm(folder / "Qwen2.5-VL-7B-Instruct", says=CAPTION)
    return folder


def options(weights: Path, **more: object) -> DiffuEraserOptions:
    paths = weight_paths(weights)
    return DiffuEraserOptions.model_validate(
        {
            "base_model_path": paths.base_model,
            "vae_path": paths.vae,
            "diffueraser_path": paths.diffueraser,
            "pcm_weights_path": paths.pcm,
            **more,
        }
    )


def make(weights: Path, prior: dict | None = None, **more: object) -> DiffuEraserRemover:
    settings = PropainterPrior(propainter_model_dir=weights / "propainter", raft_iter=1, **(prior or {}))
    return DiffuEraserRemover.from_settings(options(weights, **more), settings)


@pytest.fixture(scope="module")
def remover(weights: Path) -> DiffuEraserRemover:
    """One for the module, so that the weights are read once."""
    return make(weights, nframes=3)


@pytest.fixture(scope="module")
def request_() -> RemovalRequest:
    frames, masks = moving_square(1, 3, 64, 72)
    prior = np.random.default_rng(0).integers(0, 256, frames.shape, np.uint8)
    return RemovalRequest(frames, masks > 0, prior=prior, video_name="bear")


def test_the_published_defaults(weights):
    remover = make(weights)
    assert remover._settings == EraserSettings()
    assert remover.prior._settings.raft_iterations == 1
    assert (remover.uses_prompt, remover.uses_text, remover.size_multiple) == (True, True, 8)


@pytest.mark.parametrize(
    ("flag", "value", "field"),
    [
        ("pcm_steps", 8, "steps"),
        ("nframes", 9, "nframes"),
        ("cfg_gate", "reference", "cfg_gate"),
        ("window_blend", "smooth", "blend"),
        ("posterior", "mode", "posterior"),
        ("noise", "fresh", "noise"),
        ("pre_inference_frames", "exact", "pre_inference_frames"),
        ("latent_mask", "any", "latent_mask"),
        ("anchor_scope", "main", "anchor_scope"),
    ],
)
def test_every_option_reaches_the_engine_and_its_fingerprint(weights, flag, value, field):
    remover = make(weights, **{flag: value})
    assert getattr(remover._settings, field) == value
    assert remover.fingerprint() != make(weights).fingerprint()


def test_what_changes_no_pixel_is_not_in_the_fingerprint(weights, tmp_path, monkeypatch):
    plain = make(weights).fingerprint()
    assert make(weights, offload=True).fingerprint() == plain
    assert make(weights, prior={"precision": "fp32"}).fingerprint() == plain  # the CPU always works in it
    moved = Path(shutil.copytree(weights, tmp_path / "moved"))
    assert make(moved).fingerprint() == plain and str(weights) not in str(plain)
    monkeypatch.setattr(diffueraser, "gpu_count", lambda: 1)
    assert make(weights, prior={"precision": "fp32"}).fingerprint() != make(weights).fingerprint() != plain


def test_its_priors_settings_and_weights_are_in_the_fingerprint(weights, tmp_path):
    assert make(weights, prior={"ref_stride": 3}).fingerprint() != make(weights).fingerprint()
    changed = Path(shutil.copytree(weights, tmp_path / "w"))
    shutil.rmtree(changed / "propainter")
    path = same_weights(changed / "propainter", weights / "propainter") / "raft-things.pth"
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[:-1] + b"x")
    assert make(changed).fingerprint() != make(weights).fingerprint()


def test_it_takes_the_prior_that_is_given_and_else_makes_its_own(remover, request_, monkeypatch):
    before = request_.frames.copy()
    own = remover.prior.remove(dataclasses.replace(request_, prior=None)).frames
    results = [remover.remove(dataclasses.replace(request_, prior=prior)) for prior in (None, own, request_.prior)]
    assert np.array_equal(results[0].frames, results[1].frames)
    assert not np.array_equal(results[1].frames, results[2].frames)
    assert np.array_equal(results[0].prior, own)
    assert np.array_equal(request_.frames, before)
    monkeypatch.setattr(type(remover.prior), "remove", lambda *_: pytest.fail("computed a prior that was given"))
    again = remover.remove(request_)
    assert np.array_equal(again.frames, results[2].frames)


def test_the_anchor_fills_its_frame_and_changes_the_others(remover, request_):
    plain = remover.remove(request_)
    shares: list[float] = []
    request = dataclasses.replace(request_, anchor=PatchAnchorInpainter(), anchor_frame_idx=1, report=shares.append)
    anchored = remover.remove(request)
    hole = request.masks[1]
    assert plain.anchor_frame is None
    assert np.array_equal(anchored.frames[1][hole], anchored.anchor_frame[hole])
    assert not np.array_equal(anchored.frames[0], plain.frames[0])
    assert shares == sorted(shares) and shares[-1] == pytest.approx(1)
    of_prior = remover.remove(dataclasses.replace(request, anchor=PropainterAnchorInpainter()))
    assert np.array_equal(of_prior.anchor_frame[hole], request.prior[1][hole])


def test_text_counts_only_with_its_scale_and_names_what_is_cut_off(remover, request_):
    plain = remover.remove(request_).frames
    told = dataclasses.replace(request_, prompt="a wall " * 60, n_prompt="men")
    assert np.array_equal(remover.remove(told).frames, plain)  # scale 0 is no text
    guided = remover.remove(dataclasses.replace(told, text_guidance_scale=2.0))
    assert not np.array_equal(guided.frames, plain)
    assert any("cut off" in note for note in guided.notes)


def test_seed_and_name_are_the_random_streams(remover, request_):
    plain = remover.remove(request_).frames
    assert np.array_equal(remover.remove(request_).frames, plain)
    assert not np.array_equal(remover.remove(dataclasses.replace(request_, seed=7)).frames, plain)
    assert not np.array_equal(remover.remove(dataclasses.replace(request_, video_name="car")).frames, plain)


def test_the_registry_gives_one_object_for_the_same_settings(weights):
    prior = PropainterPrior(propainter_model_dir=weights / "propainter")
    first = get_remover(Engine(), prior, options(weights))
    assert isinstance(first, DiffuEraserRemover)
    assert get_remover(Engine(), PropainterPrior(**prior.model_dump()), options(weights)) is first
    model = str(weights / "stable-diffusion-inpainting")
    anchor = get_anchor(Anchor(anchor_method="sd-inpaint", anchor_model_path=model, anchor_steps=7), 3)
    told = anchor.fingerprint()
    assert (told["anchor"], told["steps"], told["seed"]) == ("sd-inpaint", "7", "3")


def test_missing_folders_are_all_named():
    with pytest.raises(InputError, match="--base_model_path, --vae_path, --diffueraser_path, --pcm_weights_path, or "):
        get_remover(Engine(), PropainterPrior(propainter_model_dir=Path("w")))


def test_help_settings_plan_and_checks_need_no_torch(weights, dataset, tmp_path):
    dataset.add("bear", frames=2)
    code = """if True:
        import sys
        from pathlib import Path
        from flows.launch import REMOVE, main
        weights, data = Path(sys.argv[1]), Path(sys.argv[2])
        folders = {"base_model_path": "stable-diffusion-v1-5", "vae_path": "sd-vae-ft-mse",
            "diffueraser_path": "diffuEraser", "pcm_weights_path": "PCM_Weights", "propainter_model_dir": "propainter",
            "anchor_model_path": "stable-diffusion-inpainting"}
        words = [word for flag, name in folders.items() for word in ("--" + flag, str(weights / name))]
        words += ["--dataset", "davis", "--video_root", str(data / "videos"), "--mask_root", str(data / "masks")]
        removal = ([*words, "--save_path", "o", "--use_anchor", "--prompt", "x"], REMOVE)
        model = str(weights / "Qwen2.5-VL-7B-Instruct")
        for line, *program in (removal, ([*words, "--output_dir", "o", "--caption_model_path", model],)):
            assert main([*line, "--plan"], *program) == 0
            try:
                main(["--help"], *program)
            except SystemExit:
                pass
        heavy = {"torch", "diffusers", "transformers", "prefect"} & set(sys.modules)
        sys.exit(f"imported {heavy}" if heavy else 0)
    """
    command = [sys.executable, "-c", code, str(weights), str(dataset.videos.parent)]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "to do" in done.stdout and "--use_anchor" in done.stdout
