"""The commands of the design that this project answers, with only the scripts' names changed; paths are filled in."""

from pathlib import Path

from tests_support import Dataset

_MODELS = """
  --base_model_path WEIGHTS/stable-diffusion-v1-5
  --vae_path WEIGHTS/sd-vae-ft-mse
  --diffueraser_path WEIGHTS/diffuEraser
  --propainter_model_dir WEIGHTS/propainter
  --pcm_weights_path WEIGHTS/PCM_Weights
  --no_metrics
"""
_INPUT = """
  --dataset davis
  --video_root VIDEOS
  --mask_root MASKS
  --video_length 60
  --ref_stride 6 --neighbor_length 25 --subvideo_length 80
  --mask_dilation_iter 4
"""
_ANCHOR = """
  --anchor_frame_idx 0
  --anchor_method sd-inpaint
  --anchor_model_path WEIGHTS/stable-diffusion-inpainting
  --save_comparison
"""
_FULL = " --gt_root VIDEOS --height 360 --width 720 "
_REMOVE = _INPUT + _MODELS + " --save_path OUT "

BASELINE = _REMOVE + _FULL + " --use_anchor " + _ANCHOR  # 4.0
AUTO_REFINE = (  # 4.2
    f"{_INPUT} {_MODELS} {_FULL} {_ANCHOR} --output_dir OUT"
    " --caption_env caption_env --caption_model_path WEIGHTS/Qwen2.5-VL-7B-Instruct"
    " --use_text --skip_phase1_if_exists --phase1_downscale --phase1_W 432 --phase1_H 240"
)
ANCHOR_AND_TEXT = f"{BASELINE} --use_text --prompt_yaml YAML --text_guidance_scale 2.0"  # 4.4, and 4.5 step 3
COARSE = f"{_REMOVE} --height 240 --width 432"  # 4.5 step 1
CAPTION = (
    "--video_path VIDEO --mask_path MASKS --output_yaml YAML --model_path WEIGHTS/Qwen2.5-VL-7B-Instruct"  # step 2
)

# For networks on a CPU in a test.
QUICK = "--height 64 --width 72 --raft_iter 1 --anchor_steps 2 --nframes 3"


def words(command: str, dataset: Dataset, weights: Path, out: Path, yaml: Path = Path("bear.yaml")) -> list[str]:
    """The command's words after the script's name."""
    places = {
        "VIDEOS": dataset.videos,
        "MASKS": dataset.masks,
        "WEIGHTS": weights,
        "YAML": yaml,
        "OUT": out,
    }
    for name, path in places.items():
        command = command.replace(name, str(path))
    return command.split()


def quick(command: str) -> str:
    """The command at a size and with numbers of steps that a test can wait for."""
    changed = dict(_pairs(QUICK))
    said = [f"{flag} {changed.pop(flag, value)}".strip() for flag, value in _pairs(command)]
    return " ".join([*said, *(f"{flag} {value}" for flag, value in changed.items())])


def _pairs(command: str) -> list[tuple[str, str]]:
    """Flags and their values."""
    return [(flag, " ".join(values)) for flag, *values in (part.split() for part in _split(command))]


def _split(command: str) -> list[str]:
    return [f"--{part}" for part in f" {command}".replace("\n", " ").split(" --")[1:]]
