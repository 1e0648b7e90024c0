"""All sets of weights, tiny, published by a server on this machine."""

import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from metric_checkpoints import write_clip_model, write_i3d, write_lpips
from tiny_hub import TinyHub, tiny_hub

from deployments import weights
from deployments.weight_store import sets
from deployments.weight_store.weight_set import WeightSet
from lib.metrics.networks.weights import BACKBONE_FILE, HEADS_FILE
from lib.propainter.weight_files import FILES

BASE, VAE = "stable-diffusion-v1-5/stable-diffusion-v1-5", "stabilityai/sd-vae-ft-mse"
ERASER, PCM = "lixiaowen/diffuEraser", "wangfuyun/PCM_Weights"
CLIP = "openai/clip-vit-large-patch14"
INPAINTING, QWEN = "stable-diffusion-v1-5/stable-diffusion-inpainting", "Qwen/Qwen2.5-VL-7B-Instruct"
REPOSITORIES = (BASE, VAE, ERASER, PCM, INPAINTING)
NET = "diffusion_pytorch_model"


@dataclass
class Bench:
    """A hub, and an empty folder for weights."""

    hub: TinyHub
    folder: Path

    def run(self, *flags: str, licences: bool = True) -> int:
        """`make weights` with these flags."""
        accepted = ["--accept_licences"] if licences else []
        url = f"{self.hub.url}/release"
        return weights.main([f"--weights_dir={self.folder}", f"--propainter_url={url}", *accepted, *flags])

    def lock(self) -> dict:
        return json.loads((self.folder / "weights.lock.json").read_text())["sets"]

    def files(self) -> list[str]:
        """All files in the folder, hidden ones too, but for the lock's."""
        paths = [path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if not path.is_dir()]
        return sorted(path for path in paths if path not in ("weights.lock.json", ".weights.lock"))


def publish_all(hub: TinyHub, published: Path) -> None:
    """Every repository with what nobody needs beside it, and ProPainter's release."""
    junk = {
        "README.md": b"# a card",
        "safety_checker/model.safetensors": b"s" * 50,
        "text_encoder/pytorch_model.bin": b"t" * 50,
        "text_encoder/model.fp16.safetensors": b"h" * 50,
        "unet/diffusion_pytorch_model.bin": b"u" * 50,
        "v1-5-pruned.ckpt": b"c" * 50,
    }
    for repository in REPOSITORIES:
        hub.publish(repository, published / repository.split("/")[1], junk)
    hub.repositories[BASE]["unet/diffusion_pytorch_model.safetensors"] = b"v" * 50
    hub.repositories[QWEN] = {
        "config.json": b'{"model_type": "qwen2_5_vl"}',
        "model-00001-of-00001.safetensors": b"q" * 64,
        "model.safetensors.index.json": b"{}",
        "merges.txt": b"a b",
        "pytorch_model.bin": b"p" * 64,
        ".gitattributes": b"x",
    }
    hub.release = {name: checkpoint(name) for name in FILES}


def publish_metrics(bench: Bench, published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The networks of the metrics, tiny but for I3D: two repositories' files at the addresses here, and CLIP's."""
    lpips = write_lpips(published / "lpips")
    clip = write_clip_model(published / "clip")
    bench.hub.release[BACKBONE_FILE] = (lpips / BACKBONE_FILE).read_bytes()
    bench.hub.release["alex.pth"] = (lpips / HEADS_FILE).read_bytes()
    bench.hub.release["rgb_imagenet.pt"] = write_i3d(published / "rgb_imagenet.pt").read_bytes()
    bench.hub.publish(CLIP, clip, {"pytorch_model.bin": b"p" * 64, "tokenizer.json": b"{}"})
    monkeypatch.setattr(sets, "_SETS", tuple(_served_by(bench.hub.url, entry) for entry in sets._SETS))


def _served_by(url: str, weights: WeightSet) -> WeightSet:
    return replace(
        weights, urls=tuple((name, f"{url}/release/{address.split('/')[-1]}") for name, address in weights.urls)
    )


def checkpoint(name: str) -> bytes:
    """A zip archive, as torch writes them; a few kilobytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("data.pkl", name.encode() * 200)
    return buffer.getvalue()


@pytest.fixture
def bench(eraser_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """A hub that publishes everything; waits between attempts take no time."""
    monkeypatch.setattr("deployments.weight_store.transfer.sleep", lambda _seconds: None)
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_TOKEN", "AUTO_REFINE_PROPAINTER_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_test")
    with tiny_hub() as hub:
        publish_all(hub, eraser_weights)
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield Bench(hub, tmp_path / "weights")
