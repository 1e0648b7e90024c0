"""`make weights` for the networks that results are measured by."""

import pytest
import torch
from metric_checkpoints import write_i3d
from weights_support import Bench, bench, publish_metrics

from deployments.checks.job import Job
from deployments.checks.weights import check_metrics
from flows.command_line import parse
from lib.metrics.networks.networks import MetricNetworks
from lib.metrics.networks.weights import HEADS_FILE, MetricWeights

__all__ = ["bench"]


@pytest.fixture
def metrics(bench: Bench, tmp_path, monkeypatch) -> Bench:
    publish_metrics(bench, tmp_path / "published", monkeypatch)
    return bench


def weights_of_a_run(bench: Bench, tmp_path) -> MetricWeights:
    """What a run with this --weights_dir measures with."""
    words = ["--dataset", "davis", "--video_root", str(tmp_path), "--mask_root", str(tmp_path)]
    settings, _ = parse([*words, "--output_dir", str(tmp_path / "out"), "--weights_dir", str(bench.folder)])
    return MetricWeights(**{name.removesuffix("_path"): path for name, path in settings.metric_weights.items()})


def test_what_is_fetched_is_what_a_run_measures_with(metrics, tmp_path):
    assert metrics.run("--sets", "vae", "--metrics") == 0
    found = weights_of_a_run(metrics, tmp_path)
    assert found.unavailable() == {}
    networks = MetricNetworks.load(found, torch.device("cpu"))
    assert networks.i3d is not None
    assert [path for path in metrics.files() if path.startswith("metrics/")] == [
        "metrics/clip-vit-large-patch14/config.json",
        "metrics/clip-vit-large-patch14/model.safetensors",
        "metrics/i3d/i3d_rgb_imagenet.pt",
        "metrics/lpips/alex.pth",
        "metrics/lpips/alexnet-owt-7be5be79.pth",
    ]
    (finding,) = check_metrics(Job(weights_dir=metrics.folder))
    assert finding.level == "ok"
    assert finding.found.startswith("lpips, i3d, clip in ")


def test_nobody_gets_them_unasked(metrics):
    assert metrics.run("--sets", "vae") == 0
    assert metrics.run() == 0
    assert not (metrics.folder / "metrics").exists()
    assert "/release/rgb_imagenet.pt" not in metrics.hub.fetched()
    (finding,) = check_metrics(Job(weights_dir=metrics.folder))
    assert finding.level == "skip"


def test_one_of_them_by_name(metrics, tmp_path):
    assert metrics.run("--sets", "clip") == 0
    assert metrics.lock().keys() == {"metrics/clip-vit-large-patch14"}
    assert weights_of_a_run(metrics, tmp_path).unavailable().keys() == {"lpips", "vfid"}


def test_files_that_are_there_already_are_linked(metrics, tmp_path):
    """With the heads under the name that others give them; nothing is downloaded."""
    lpips, i3d = tmp_path / "published" / "lpips", tmp_path / "own"
    write_i3d(i3d / "i3d_rgb_imagenet.pt")
    assert metrics.run("--sets", "lpips,i3d", "--existing", f"lpips={lpips}", "--existing", f"i3d={i3d}") == 0
    assert metrics.hub.fetched() == []
    assert (metrics.folder / "metrics" / "lpips" / HEADS_FILE).is_symlink()
    assert weights_of_a_run(metrics, tmp_path).unavailable().keys() == {"temporal_consistency"}


def test_a_mirror_has_them_too(metrics, tmp_path):
    assert metrics.run("--sets", "i3d,clip") == 0
    mirror, metrics.folder = metrics.folder, tmp_path / "other box"
    metrics.hub.seen.clear()
    assert metrics.run("--sets", "i3d,clip", "--mirror", str(mirror)) == 0
    assert metrics.hub.seen == []
    assert metrics.run("--check") == 0
    assert weights_of_a_run(metrics, tmp_path).unavailable().keys() == {"lpips"}


def test_a_web_page_in_place_of_a_network_is_not_recorded(metrics, capsys):
    metrics.hub.release["rgb_imagenet.pt"] = b"<html>moved</html>"
    assert metrics.run("--sets", "i3d") == 1
    assert "a web page" in capsys.readouterr().err
    assert not (metrics.folder / "weights.lock.json").exists()


def test_a_file_that_is_gone_is_told_with_what_to_do(metrics, capsys):
    del metrics.hub.release["alex.pth"]
    assert metrics.run("--sets", "lpips") == 1
    said = capsys.readouterr().err
    assert "alex.pth: HTTP 404" in said
    assert "--existing lpips=FOLDER" in said
    assert "propainter" not in said


def test_the_doctor_names_what_is_damaged(metrics):
    assert metrics.run("--sets", "clip") == 0
    model = metrics.folder / "metrics" / "clip-vit-large-patch14" / "model.safetensors"
    model.write_bytes(model.read_bytes()[:-10])
    (finding,) = check_metrics(Job(weights_dir=metrics.folder))
    assert finding.level == "FAIL"
    assert "download is incomplete" in finding.found


def test_half_precision_leads_to_them_too(metrics, tmp_path):
    engine = "sd15,vae,diffueraser,pcm,propainter,anchor"
    assert metrics.run("--sets", engine, "--metrics", "--fp16") == 0
    metrics.folder = metrics.folder.with_name("weights-fp16")
    assert weights_of_a_run(metrics, tmp_path).unavailable() == {}
    MetricNetworks.load(weights_of_a_run(metrics, tmp_path), torch.device("cpu"))
