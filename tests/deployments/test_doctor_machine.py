"""Memory, folders, locks, limits and codecs, as the doctor sees them."""

import resource
from pathlib import Path

import numpy as np
import pytest

from deployments.checks import disk, memory, video
from deployments.checks.child import Answer
from deployments.checks.finding import GIB
from deployments.checks.job import Job
from lib.memory import estimate_bytes
from lib.runtime.file_lock import try_lock
from lib.settings import Processing

GPUS = [{"kind": "gpu", "number": number} for number in range(2)]
NFS = [("/", "ext4", "rw"), ("/data", "nfs4", "rw,local_lock=none"), ("/data/old", "nfs", "rw,nolock")]


def levels(findings) -> dict[str, str]:
    return {finding.what: finding.level for finding in findings}


def gpus(monkeypatch, *found):
    monkeypatch.setattr(memory, "look_at_driver", lambda _visible: Answer(list(found)))


def test_memory_is_compared_with_what_clips_take_one_for_each_gpu(monkeypatch):
    gpus(monkeypatch, *GPUS)
    monkeypatch.setattr(memory, "container_limit", lambda: None)
    one = estimate_bytes(300, (720, 1280), Processing(), 5.5)
    monkeypatch.setattr(memory, "available_bytes", lambda: 2 * one + 1)
    (finding,) = memory.check_memory(Job())
    assert finding.level == "ok" and "2 clips at a time" in finding.found
    monkeypatch.setattr(memory, "available_bytes", lambda: 2 * one - 1)
    (finding,) = memory.check_memory(Job())
    assert finding.level == "FAIL" and "--max_img_size" in finding.advice
    assert levels(memory.check_memory(Job(frames=200))) == {"memory": "ok"}


def test_without_a_gpu_the_networks_are_in_memory_too(monkeypatch):
    gpus(monkeypatch)
    assert memory.clip_bytes(Job(), on_gpu=False) > memory.clip_bytes(Job(), on_gpu=True) + 10 * GIB
    slim = Job(engine="propagation")
    assert memory.clip_bytes(slim, on_gpu=False) == memory.clip_bytes(slim, on_gpu=True)


def test_a_containers_limit_counts_as_well(monkeypatch, tmp_path):
    gpus(monkeypatch)
    monkeypatch.setattr(memory, "_LIMITS", (tmp_path / "none", tmp_path / "memory.max"))
    slim = Job(engine="propagation", width=320, height=240, frames=10)
    (tmp_path / "memory.max").write_text("max\n")
    assert levels(memory.check_memory(slim)) == {"memory": "ok"}
    (tmp_path / "memory.max").write_text(f"{2**28}\n")
    assert levels(memory.check_memory(slim)) == {"memory": "ok", "memory limit of the container": "FAIL"}


def test_a_kernel_that_does_not_tell_is_no_failure(monkeypatch):
    gpus(monkeypatch)
    monkeypatch.setattr(memory, "available_bytes", lambda: None)
    monkeypatch.setattr(memory, "container_limit", lambda: None)
    assert levels(memory.check_memory(Job(engine="propagation"))) == {"memory": "warn"}


def test_folders_of_a_run_are_looked_at_without_being_made(tmp_path):
    env = {"AUTO_REFINE_INBOX": str(tmp_path / "inbox"), "AUTO_REFINE_OUTBOX": str(tmp_path / "outbox")}
    job = Job(output_dir=tmp_path / "a" / "b", weights_dir=tmp_path / "w", env=env)
    found = levels(disk.check_disk(job))
    for what in ("results", "inbox", "outbox"):
        assert found[f"locks in the {what} folder"] == "ok"
        assert f"{what} folder" in found
    assert {"cache folder", "weights folder", "open files"} <= set(found)
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_place_of_a_folder_fails(tmp_path):
    (tmp_path / "results").write_text("")
    found = levels(disk.check_disk(Job(output_dir=tmp_path / "results", engine="propagation", env={})))
    assert (found["results folder"], found["locks in the results folder"]) == ("FAIL", "FAIL")


def test_a_folder_that_cannot_be_written_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(disk.os, "access", lambda *_: False)  # root may write anywhere
    assert disk.check_room("results folder", tmp_path, GIB).level == "FAIL"


@pytest.mark.parametrize(("free", "level"), [(0.5, "FAIL"), (5, "warn"), (50, "ok")])
def test_room(free, level):
    finding = disk.judge_room("results folder", Path("/data"), int(free * GIB), 10 * GIB)
    assert finding.level == level and f"{free:.1f} GiB free" in finding.found


def test_room_for_weights_counts_those_that_are_there(tmp_path, monkeypatch):
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _path: type("Usage", (), {"free": 20 * GIB}))
    assert disk.check_weights_room(tmp_path / "weights").level == "warn"
    monkeypatch.setattr("deployments.checks.estimates.folder_bytes", lambda _folder: 25 * GIB)
    assert disk.check_weights_room(tmp_path).level == "ok"


def test_a_file_system_without_flock_fails(tmp_path, monkeypatch):
    def no_flock(path):
        raise OSError(95, f"cannot lock {path}: its file system has no flock; use a local folder")

    monkeypatch.setattr(disk, "try_lock", no_flock)
    finding = disk.check_locks("results folder", tmp_path)
    assert finding.level == "FAIL" and "has no flock" in finding.found


def test_a_file_system_that_locks_twice_fails(tmp_path, monkeypatch):
    calls = iter(["a", "b"])
    monkeypatch.setattr(disk, "try_lock", lambda path: try_lock(path.with_name(next(calls))))  # whatever is asked for
    assert "two locks at a time" in disk.check_locks("results folder", tmp_path).found


def test_network_folders_that_lock_on_one_box_alone_are_told():
    kinds = {folder: disk.mount_of(Path(folder), NFS) for folder in ("/data/new/x", "/data/old/x", "/other")}
    assert kinds == {
        "/data/new/x": ("nfs4", "rw,local_lock=none"),
        "/data/old/x": ("nfs", "rw,nolock"),
        "/other": ("ext4", "rw"),
    }
    judged = [disk.judge_locks("l", Path(path), exclusive=True, mount=mount).level for path, mount in kinds.items()]
    assert judged == ["ok", "warn", "ok"]


def test_mounts_are_read_and_later_ones_cover_earlier(tmp_path):
    table = tmp_path / "mounts"
    table.write_text("a / ext4 rw 0 0\nb /my\\040data nfs4 rw 0 0\nc /my\\040data tmpfs rw 0 0\n")
    assert disk.mount_of(Path("/my data/x"), disk.read_mounts(table)) == ("tmpfs", "rw")
    assert disk.mount_of(Path("/x"), disk.read_mounts(tmp_path / "none")) is None
    assert disk.mount_of(tmp_path, disk.read_mounts()) is not None


@pytest.mark.parametrize(
    ("soft", "level"), [(100, "FAIL"), (512, "warn"), (1024, "ok"), (resource.RLIM_INFINITY, "ok")]
)
def test_open_files(soft, level):
    assert disk.judge_open_files(soft, 4096).level == level


def test_codecs_are_proven_by_using_them():
    assert levels(video.check_video(Job())) == {"H.264 (libx264)": "ok", "FFV1, lossless": "ok"}


def test_a_codec_that_is_missing_or_wrong_fails():
    def missing(path, frames, fps):
        raise ValueError("Could not find codec libx264")

    def short(path, frames, fps):
        video_writer(path, frames[:2], fps)

    def other(path, frames, fps):
        video_writer(path, [255 - frame for frame in frames], fps)

    from lib.video.writer import write_lossless as video_writer

    for write, said in ((missing, "Could not find codec"), (short, "read (2, 32, 48, 3)"), (other, "gray levels off")):
        finding = video.there_and_back("FFV1", "tiny.mkv", write, "install it")
        assert finding.level == "FAIL" and said in finding.found and finding.advice == "install it"


def test_tiny_frames_differ():
    first, second, third = video.tiny_frames()
    assert first.shape == (32, 48, 3) and first.dtype == np.uint8
    assert not np.array_equal(first, second) and not np.array_equal(second, third)
