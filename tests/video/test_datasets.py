import pytest
from dataset_inputs import fill, fill_inbox, names, reasons
from pydantic import ValidationError

from lib.errors import InputError
from lib.video.datasets import Video, scan_dataset


@pytest.fixture
def roots(tmp_path):
    videos, masks = tmp_path / "videos", tmp_path / "masks"
    videos.mkdir()
    masks.mkdir()
    return videos, masks


@pytest.mark.parametrize("dataset", ["davis", "youtube-vos", "custom"])
def test_folders_are_paired_and_single_ones_reported(roots, dataset):
    videos, masks = roots
    fill(videos, "bear", "ski jump über", "alone", ".hidden")
    fill(masks, "bear", "ski jump über", "orphan")
    (videos / ".DS_Store").write_bytes(b"")
    scan = scan_dataset(dataset, videos, masks)
    assert names(scan) == ["bear", "ski jump über"]
    assert scan.videos[0] == Video(name="bear", video_path=videos / "bear", mask_path=masks / "bear")
    assert reasons(scan) == {"alone": "has no mask", "orphan": "has a mask but no video"}


def test_custom_takes_files_on_both_sides(roots):
    videos, masks = roots
    for name in ("a.mp4", "b.MOV", "c.webm", "d.mp4", "notes.txt"):
        (videos / name).write_bytes(b"")
    for name in ("a.mp4", "b.png", "notes.txt"):
        (masks / name).write_bytes(b"")
    fill(masks, "c", "d_mask")
    scan = scan_dataset("custom", videos, masks)
    assert [(v.name, v.video_path.name, v.mask_path.name) for v in scan.videos] == [
        ("a", "a.mp4", "a.mp4"),
        ("b", "b.MOV", "b.png"),
        ("c", "c.webm", "c"),
        ("d", "d.mp4", "d_mask"),
    ]
    assert scan.unmatched == ()


def test_own_mask_goes_before_one_with_the_ending(roots):
    videos, masks = roots
    fill(videos, "a")
    fill(masks, "a", "a_mask")
    scan = scan_dataset("custom", videos, masks)
    assert scan.videos[0].mask_path == masks / "a"
    assert reasons(scan) == {"a_mask": "has a mask but no video"}


def test_videos_and_masks_may_share_a_folder(roots):
    root, _ = roots
    fill(root, "a", "a_mask", "b")
    scan = scan_dataset("custom", root, root)
    assert [(v.name, v.mask_path.name) for v in scan.videos] == [("a", "a_mask")]
    assert reasons(scan) == {"b": "has no mask"}


def test_two_candidates_for_one_name_are_reported(roots):
    videos, masks = roots
    fill(videos, "a")
    (videos / "a.mp4").write_bytes(b"")
    fill(masks, "a")
    assert reasons(scan_dataset("custom", videos, masks)) == {"a": "more than one video: a, a.mp4; keep one"}


def test_davis_ignores_files_and_points_to_custom(roots):
    videos, masks = roots
    (videos / "a.mp4").write_bytes(b"")
    with pytest.raises(InputError, match="1 video files: choose the data set 'custom'"):
        scan_dataset("davis", videos, masks)


def test_ground_truth_is_optional(roots, tmp_path):
    videos, masks = roots
    fill(videos, "a", "b")
    fill(masks, "a", "b")
    fill(tmp_path / "truth", "a")
    scan = scan_dataset("davis", videos, masks, tmp_path / "truth")
    assert [video.gt_path for video in scan.videos] == [tmp_path / "truth" / "a", None]


def test_layout_one_level_deeper_is_found_if_unambiguous(tmp_path):
    images, annotations = tmp_path / "JPEGImages", tmp_path / "Annotations"
    fill(images / "480p", "bear")
    fill(annotations / "480p", "bear")
    scan = scan_dataset("davis", images, annotations)
    assert scan.videos[0].video_path == images / "480p" / "bear"
    assert scan.videos[0].mask_path == annotations / "480p" / "bear"
    fill(images / "Full-Resolution", "bear")
    with pytest.raises(InputError, match=r"choose one: .*480p, .*Full-Resolution"):
        scan_dataset("davis", images, annotations)


def test_masks_in_object_folders_stay_one_mask(roots):
    videos, masks = roots
    fill(videos, "a")
    fill(masks / "a", "person", "bicycle")
    assert scan_dataset("davis", videos, masks).videos[0].mask_path == masks / "a"


def test_missing_roots_are_refused(roots, tmp_path):
    videos, masks = roots
    fill(videos, "a")
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="nothing: found nothing, expected a folder"):
        scan_dataset("davis", tmp_path / "nothing", masks)
    with pytest.raises(InputError, match="file: found a file"):
        scan_dataset("davis", videos, tmp_path / "file")
    with pytest.raises(InputError, match="found no videos"):
        scan_dataset("custom", masks, masks)


def test_unreadable_folder_does_not_stop_the_scan(roots, monkeypatch):
    videos, masks = roots
    fill(videos, "a", "b")
    fill(masks, "a", "b")
    folder = type(videos)
    list_all = folder.iterdir

    def iterdir(self):
        if self == videos / "a":
            raise PermissionError(13, "Permission denied")
        return list_all(self)

    monkeypatch.setattr(folder, "iterdir", iterdir)
    assert names(scan_dataset("davis", videos, masks)) == ["a", "b"]


def test_name_with_a_control_character_is_reported(roots):
    videos, masks = roots
    fill(videos, "a\nb", "c")
    fill(masks, "a\nb", "c")
    scan = scan_dataset("davis", videos, masks)
    assert names(scan) == ["c"]
    assert reasons(scan) == {"a\\nb": "the name contains a control character; rename it"}


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("../x", "path separator"),
        ("..", "starts with a dot"),
        (".x", "starts with a dot"),
        ("a\\b", "path separator"),
        ("", "is empty"),
        ("  ", "is empty"),
        ("a\x00b", "control character"),
        ("a\udcff", "not valid UTF-8"),
    ],
)
def test_names_that_cannot_name_a_folder_are_refused(tmp_path, name, problem):
    with pytest.raises(ValidationError, match=problem):
        Video(name=name, video_path=tmp_path, mask_path=tmp_path)


@pytest.mark.parametrize("name", ["bear", "ski jump", "über–straße", "狗", "a.b", "a_mask"])
def test_plain_names_pass(tmp_path, name):
    assert Video(name=name, video_path=tmp_path, mask_path=tmp_path).name == name


def test_an_inbox_has_a_folder_for_each_video(tmp_path):
    fill_inbox(
        tmp_path,
        bear=["video.mp4", "mask/"],
        bus=["video/", "mask.png", "gt/", "notes.txt"],
        car=["Video_1080p.MOV", "masks.mkv", ".DS_Store"],
        dog=["video.mp4"],
        emu=["mask.png"],
        fox=["video.mp4", "video/", "mask/"],
        gnu=["video.txt", "other.mp4"],
    )
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "stray.mp4").write_bytes(b"x")
    scan = scan_dataset("inbox", tmp_path, tmp_path)
    assert [(v.name, v.video_path.name, v.mask_path.name, v.gt_path and v.gt_path.name) for v in scan.videos] == [
        ("bear", "video.mp4", "mask", None),
        ("bus", "video", "mask.png", "gt"),
        ("car", "Video_1080p.MOV", "masks.mkv", None),
    ]
    assert reasons(scan) == {
        "dog": "has no mask",
        "emu": "has a mask but no video",
        "fox": "more than one video: video, video.mp4; keep one",
        "gnu": "holds neither video* nor mask*",
    }


def test_an_inbox_without_folders_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"found no folders, expected <name>/video\* and <name>/mask\*"):
        scan_dataset("inbox", tmp_path, tmp_path)
