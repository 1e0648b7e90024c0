"""How long a video's name may be: as long as all files that are named after it can be written."""

import numpy as np
import pytest

from lib.captioner.backend import CaptionPicture
from lib.captioner.pictures import save_picture
from lib.captioner.prompt_file import keep_backup
from lib.video.names import MOST_NAME_BYTES, name_problem
from tasks.jobs import seen_picture
from tasks.result_jobs import preview_folder

LONGEST = "a" * MOST_NAME_BYTES


def backed_up(folder, name, times):
    """A prompt file that was edited and overwritten `times` times before."""
    path = folder / f"{name}.yaml"
    path.write_text("prompt: mine\n")
    for number in range(1, times + 1):
        (folder / f"{path.name}.bak{number if number > 1 else ''}").touch()
    return keep_backup(path)


def test_all_that_is_named_after_the_longest_name_can_be_written(tmp_path):
    assert backed_up(tmp_path, LONGEST, 998).name.endswith(".yaml.bak999")
    picture = CaptionPicture(np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), bool), 0)
    save_picture([picture], seen_picture(tmp_path / f"{LONGEST}.yaml"))
    assert seen_picture(tmp_path / f"{LONGEST}.yaml").is_file()
    preview_folder(tmp_path, LONGEST).mkdir(parents=True)
    assert name_problem(LONGEST) is None


def test_one_byte_more_could_not(tmp_path):
    with pytest.raises(OSError, match="File name too long"):
        backed_up(tmp_path, LONGEST + "a", 998)
    assert name_problem(LONGEST + "a") == ("is too long: 230 bytes, expected 229 at most, as files are named after it")


def test_bytes_count_not_characters():
    assert name_problem("ü" * 114) is None
    assert str(name_problem("ü" * 115)).startswith("is too long: 230 bytes")
    assert name_problem("狗" * 77) == "is too long: 231 bytes, expected 229 at most, as files are named after it"
