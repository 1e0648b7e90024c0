"""The rows of the caption sheet, and what its page holds."""

import base64
import io
import os
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote_to_bytes

import numpy as np
import pytest
from PIL import Image

from lib.captioner.prompt_file import PromptFields, write_prompt_file
from lib.captioner.words.sentence import FLAGS as SENTENCE_FLAGS
from lib.report.caption_sheet import FLAGS, SheetRow, failed_row, row_from_prompt_file, write_caption_sheet

SENTENCE = "A quiet stone courtyard under soft light"


class Page(HTMLParser):
    """A page's tags with their attributes, and its text outside style and script."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._quiet = False
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._quiet = tag in ("style", "script")

    def handle_endtag(self, tag):
        self._quiet = False

    def handle_data(self, data):
        self.text += "" if self._quiet else data

    def values(self, tag: str, name: str) -> list[str]:
        return [attributes[name] or "" for found, attributes in self.tags if found == tag and name in attributes]


def given_row(folder: Path, **changes: object) -> SheetRow:
    values = {
        "name": "bear",
        "yaml_path": folder / "prompt_cache" / "bear.yaml",
        "sentence": SENTENCE,
        "object_phrase": "",
        "flags": (),
        "source": "auto_masked",
        "model": "Qwen2.5-VL-7B-Instruct",
        "frame_idx": (12,),
        "picture": None,
        "status": "new",
    }
    return SheetRow(**{**values, **changes})


def written_page(folder: Path, *rows: SheetRow) -> Page:
    return Page(write_caption_sheet(rows, folder / "caption_sheet.html", title="Captions"))


def written_prompt(path: Path, **changes: object) -> Path:
    values = {
        "prompt": SENTENCE,
        "n_prompt": "brown bear, blurry",
        "text_guidance_scale": 2.0,
        "prompt_source": "auto_masked",
        "prompt_model": "Qwen2.5-VL-7B-Instruct",
        "prompt_timestamp": "2026-01-01T00:00:00+00:00",
        "prompt_frame_idx": (3, 20, 41),
        "source_video": "bear.mp4",
        "mask_path": "masks/bear",
        "prompt_flags": ("long",),
        "prompt_object": "brown bear",
    }
    write_prompt_file(path, PromptFields(**{**values, **changes}))
    return path


def frame(folder: Path, name: str = "bear.jpg", size: tuple[int, int] = (1280, 720), colour="green") -> Path:
    Image.new("RGB", size, colour).save(folder / name)
    return folder / name


def opened(uri: str) -> Image.Image:
    kind, _, content = uri.partition(",")
    assert kind == "data:image/jpeg;base64"
    return Image.open(io.BytesIO(base64.b64decode(content)))


def test_a_row_says_what_our_prompt_file_says(tmp_path):
    path = written_prompt(tmp_path / "bear.yaml")
    row = row_from_prompt_file("bear", path, None, "cached")
    assert (row.sentence, row.object_phrase, row.flags) == (SENTENCE, "brown bear", ("long",))
    assert (row.source, row.model, row.frame_idx) == ("auto_masked", "Qwen2.5-VL-7B-Instruct", (3, 20, 41))
    assert (row.name, row.yaml_path, row.status, row.error) == ("bear", path, "cached", "")


def test_an_edited_file_is_manual_and_has_no_flags_of_the_old_sentence(tmp_path):
    path = written_prompt(tmp_path / "bear.yaml")
    path.write_text(path.read_text().replace("quiet", "noisy"))
    row = row_from_prompt_file("bear", path, None, "edited")
    assert (row.sentence, row.source, row.flags, row.status) == (
        "A noisy stone courtyard under soft light",
        "manual",
        (),
        "edited",
    )


def test_a_hand_written_file_with_the_prompt_alone_is_a_row(tmp_path):
    (tmp_path / "bear.yaml").write_text("prompt: A meadow\n")
    row = row_from_prompt_file("bear", tmp_path / "bear.yaml", None, "edited")
    assert (row.sentence, row.object_phrase, row.model, row.frame_idx) == ("A meadow", "", "", ())
    assert row.error == ""


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "found no prompt"),
        (b"# only a comment\n", "found no prompt"),
        (b"prompt:\n  - ''\n", "found no prompt"),
        (b"n_prompt: [blurry]\n", "found no prompt"),
        (b"prompt:\n\t- A meadow\n", "line 2, column 1: not valid YAML"),
        (b'prompt:\n  - "A mea', "not valid YAML"),
        (b"- A meadow\n", "found a list"),
        (b"prompt: 7\n", "prompt is 7"),
        (b"prompt: [A meadow, 7]\n", "expected a string or a list of strings"),
        (b"prompt: A caf\xe9\n", "not UTF-8"),
    ],
)
def test_a_broken_file_is_a_failed_row_that_names_file_and_problem(tmp_path, content, problem):
    (tmp_path / "bear.yaml").write_bytes(content)
    row = row_from_prompt_file("bear", tmp_path / "bear.yaml", None, "cached")
    assert row.status == "failed"
    assert str(tmp_path / "bear.yaml") in row.error
    assert problem in row.error
    assert row.sentence == ""


@pytest.mark.parametrize("place", ["missing", "folder", "dangling link"])
def test_no_file_in_the_files_place_is_a_failed_row(tmp_path, place):
    path = tmp_path / "bear.yaml"
    if place == "folder":
        path.mkdir()
    if place == "dangling link":
        path.symlink_to(tmp_path / "nowhere")
    row = row_from_prompt_file("bear", path, None, "new")
    assert row.status == "failed"
    assert str(path) in row.error


def test_values_of_other_types_never_break_a_row(tmp_path):
    (tmp_path / "bear.yaml").write_text(
        "prompt: A meadow\nprompt_flags: {mask: 1}\nprompt_frame_idx: [1, two, .nan, true, 9]\n"
        "prompt_model: [a, 3]\nprompt_object: 2026-01-01\nprompt_source: 5\n"
    )
    row = row_from_prompt_file("bear", tmp_path / "bear.yaml", None, "new")
    assert row.frame_idx == (1, 9)
    page = written_page(tmp_path, row)
    assert "removed: 2026-01-01" in page.text


def test_nothing_that_a_row_says_becomes_markup(tmp_path):
    attack = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
    row = given_row(
        tmp_path,
        name=attack,
        yaml_path=tmp_path / attack.replace("/", "_"),
        sentence=attack,
        object_phrase=attack,
        flags=(attack,),
        source=attack,
        model=attack,
        error=attack,
        picture=tmp_path / "none.jpg",
    )
    page = Page(write_caption_sheet([row], tmp_path / "sheet.html", title=attack))
    plain = written_page(tmp_path, given_row(tmp_path))
    assert [tag for tag, _ in page.tags].count("script") == [tag for tag, _ in plain.tags].count("script") == 1
    assert page.values("img", "src") == []
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert page.text.count(attack) == 9  # title and heading, and the seven of the row


def test_the_page_needs_nothing_but_itself(tmp_path):
    page = written_page(tmp_path, given_row(tmp_path, picture=frame(tmp_path)))
    assert [source.partition(",")[0] for source in page.values("img", "src")] == ["data:image/jpeg;base64"]
    assert page.values("link", "href") == ["data:,"]
    assert not page.values("script", "src")
    assert "default-src 'none'" in page.values("meta", "content")[0]


def test_a_thumbnail_shows_the_picture_small(tmp_path):
    picture = Image.new("RGB", (1280, 720), "red")
    picture.paste("blue", (640, 0, 1280, 720))
    picture.save(tmp_path / "bear.jpg")
    page = written_page(tmp_path, given_row(tmp_path, picture=tmp_path / "bear.jpg"))
    small = opened(page.values("img", "src")[0])
    assert small.size == (400, 225)
    red, blue = (np.asarray(small)[112, x].astype(int) for x in (100, 300))
    assert abs(red - (255, 0, 0)).max() < 12
    assert abs(blue - (0, 0, 255)).max() < 12


def test_each_captioned_frame_has_its_own_thumbnail(tmp_path):
    strip = Image.new("RGB", (1280, 240))
    for number, colour in enumerate(((200, 0, 0), (0, 200, 0), (0, 0, 200))):
        strip.paste(colour, (1280 * number // 3, 0, 1280 * (number + 1) // 3, 240))
    strip.save(tmp_path / "bear.png")
    page = written_page(tmp_path, given_row(tmp_path, picture=tmp_path / "bear.png", frame_idx=(1, 2, 3)))
    thumbnails = [opened(uri) for uri in page.values("img", "src")]
    assert [small.size[0] for small in thumbnails] == [200, 200, 200]
    middles = [np.asarray(small)[small.height // 2, 100].argmax() for small in thumbnails]
    assert middles == [0, 1, 2]
    assert "frames 1, 2, 3" in page.text


def test_more_frames_than_pixels_are_one_thumbnail(tmp_path):
    picture = frame(tmp_path, size=(20, 10))
    page = written_page(tmp_path, given_row(tmp_path, picture=picture, frame_idx=tuple(range(50))))
    assert len(page.values("img", "src")) == 1


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "I;16", "1"])
def test_pictures_of_every_kind_have_a_thumbnail(tmp_path, mode):
    path = tmp_path / ("bear.jpg" if mode == "CMYK" else "bear.png")
    Image.new(mode, (64, 48)).save(path)
    page = written_page(tmp_path, given_row(tmp_path, picture=path))
    assert opened(page.values("img", "src")[0]).size == (64, 48)


@pytest.mark.parametrize("kind", ["jpg", "png"])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.9])
def test_a_cut_off_picture_is_told_and_the_page_is_written(tmp_path, kind, share):
    noise = np.random.default_rng(0).integers(0, 256, (90, 160, 3), dtype=np.uint8)
    path = tmp_path / f"bear.{kind}"
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    page = written_page(tmp_path, given_row(tmp_path, picture=path))
    assert "picture cannot be read" in page.text
    assert SENTENCE in page.text


def test_a_missing_picture_has_a_placeholder(tmp_path):
    assert "no picture" in written_page(tmp_path, given_row(tmp_path)).text
    assert "picture cannot be read" in written_page(tmp_path, given_row(tmp_path, picture=tmp_path / "gone.jpg")).text


@pytest.mark.parametrize("name", ["bear", "a b & c#1?x=%41", "Grüße", "javascript:alert(1)", os.fsdecode(b"caf\xe9")])
def test_links_lead_from_the_page_to_prompt_file_and_picture(tmp_path, name):
    (tmp_path / "prompt_cache").mkdir()
    (tmp_path / "seen").mkdir()
    yaml_path = written_prompt(tmp_path / "prompt_cache" / f"{name}.yaml")
    picture = frame(tmp_path / "seen", f"{name}.jpg")
    page = written_page(tmp_path, given_row(tmp_path, name=name, yaml_path=yaml_path, picture=picture))
    links = page.values("a", "href")
    assert all(re.fullmatch(r"[\w./%~-]+", link, re.ASCII) for link in links)
    assert [(tmp_path / os.fsdecode(unquote_to_bytes(link))) for link in links] == [picture, yaml_path]


def test_links_may_lead_out_of_the_pages_folder(tmp_path):
    out = tmp_path / "results"
    page = written_page(out, given_row(tmp_path, yaml_path=tmp_path / "prompts" / "bear.yaml"))
    assert page.values("a", "href") == ["../prompts/bear.yaml"]
    assert "../prompts/bear.yaml" in page.text


def test_text_that_utf8_cannot_hold_does_not_break_the_page(tmp_path):
    page = written_page(tmp_path, given_row(tmp_path, sentence="A meadow \ud800 \x00 \u202e at dusk"))
    assert "at dusk" in page.text


@pytest.mark.parametrize("flag", [*SENTENCE_FLAGS, "no_visible_pixels", "small_picture", "object_unnamed"])
def test_every_flag_of_a_captioner_is_explained(tmp_path, flag):
    page = written_page(tmp_path, given_row(tmp_path, flags=(flag,)))
    level, meaning = FLAGS[flag]
    assert {"class": f"chip {level}", "title": meaning} in [
        attributes for tag, attributes in page.tags if tag == "span"
    ]
    assert meaning in page.text  # the legend, for who cannot point at a chip


def test_an_unknown_flag_is_shown_too(tmp_path):
    assert "blurred" in written_page(tmp_path, given_row(tmp_path, flags=("blurred",))).text


def test_a_card_shows_words_object_source_and_status(tmp_path):
    row = given_row(tmp_path, object_phrase="brown bear", source="fallback", status="cached")
    page = written_page(tmp_path, row)
    shown = " ".join(page.text.split())
    for part in ("7 words", "removed: brown bear", "fallback", "· cached · frame 12 · Qwen2.5-VL-7B-Instruct"):
        assert part in shown
    assert "long" not in page.values("span", "class")
    assert "long" in written_page(tmp_path, given_row(tmp_path, sentence="word " * 31)).values("span", "class")


def test_the_top_counts_and_the_filters_agree(tmp_path):
    rows = [
        given_row(tmp_path),
        given_row(tmp_path, flags=("mask", "long")),
        given_row(tmp_path, flags=("short",), source="fallback"),
        given_row(tmp_path, status="edited", source="manual"),
        given_row(tmp_path, source="manual", status="cached"),
        failed_row("bus", tmp_path / "bus.yaml", None, "the masks are empty"),
    ]
    page = written_page(tmp_path, *rows)
    shown = " ".join(page.text.split())
    assert (
        "6 videos: 5 with a caption, 2 flagged, 1 failed, 2 edited by a person, 1 with a neutral sentence only" in shown
    )
    assert page.values("article", "class") == ["", "flagged", "fallback flagged", "edited", "edited", "failed"]
    assert "all6 flagged2 failed1 edited2 fallback1" in shown
    assert "the masks are empty" in shown
    assert "edit the YAML named under it, then run the same command again" in shown


def test_a_sheet_without_videos_says_so(tmp_path):
    shown = " ".join(written_page(tmp_path).text.split())
    assert "0 videos: 0 with a caption" in shown
    assert "There are no videos." in shown


def test_a_page_that_cannot_be_made_leaves_the_old_one_alone(tmp_path):
    path = write_caption_sheet([given_row(tmp_path)], tmp_path / "sheet.html", title="Captions")
    before = path.read_bytes()
    with pytest.raises(TypeError):
        write_caption_sheet([given_row(tmp_path, flags=None)], path, title="Captions")
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["sheet.html"]


def test_a_page_cannot_be_written_half(tmp_path, monkeypatch):
    path = write_caption_sheet([given_row(tmp_path)], tmp_path / "sheet.html", title="Captions")
    before = path.read_bytes()

    def no_space(self: Path, content: bytes) -> int:
        with self.open("wb") as stream:
            stream.write(content[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", no_space)
    with pytest.raises(OSError, match="No space"):
        write_caption_sheet([given_row(tmp_path, sentence="Another")], path, title="Captions")
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["sheet.html"]  # no draft stays behind


def test_the_same_rows_give_the_same_page(tmp_path):
    rows = [given_row(tmp_path, picture=frame(tmp_path))]
    first = write_caption_sheet(rows, tmp_path / "a.html", title="Captions").read_bytes()
    assert write_caption_sheet(rows, tmp_path / "b.html", title="Captions").read_bytes() == first
