"""Home folders that nobody knows are said in a line."""

from pathlib import Path

import pytest
from another_user import need_root, run_as, unused_uid

from lib.errors import InputError
from lib.runtime.user_folders import expanded, home_folder

IMPORTS = """
from pathlib import Path
from flows.command_line import parse
from lib.runtime.fingerprints import default_cache_dir
from lib.runtime.prefect_api import api_configured
from lib.runtime.user_folders import expanded, home_folder
BATCH = ["--dataset", "davis", "--video_root", "v", "--mask_root", "m"]
parse([*BATCH, "--output_dir", "o"])  # imports what is imported late
"""
COMPLAIN = """
try:
    {call}
except ValueError as error:
    print(type(error).__name__, error)
"""


def test_the_home_folder_is_found(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert home_folder("the cache") == tmp_path
    assert expanded(Path("~/a")) == tmp_path / "a"
    assert expanded(Path("a/~")) == Path("a/~")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ('home_folder("the cache")', "has no home folder: HOME is not set, and the password database does not have"),
        ("default_cache_dir()", "set HOME, for the cache, or XDG_CACHE_HOME"),
        ('parse([*BATCH, "--output_dir", "~/out"])', "~/out: found no home folder for ~; write the path in full"),
        ('expanded(Path("~/weights"))', "~/weights: found no home folder for ~; write the path in full"),
    ],
)
def test_a_user_whom_the_password_database_does_not_have_is_told_so(call, said):
    need_root()
    uid = unused_uid()
    done = run_as(uid, IMPORTS, COMPLAIN.format(call=call))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("InputError ")
    assert said in done.stdout
    assert len(done.stdout.splitlines()) == 1


def test_a_user_without_a_home_folder_has_no_profile_of_prefects():
    need_root()
    done = run_as(unused_uid(), IMPORTS, "print(api_configured())")
    assert (done.returncode, done.stdout, done.stderr) == (0, "False\n", "")


def test_an_unknown_users_home_is_told():
    with pytest.raises(InputError, match="~nobody-of-that-name/a: found no home folder for ~nobody-of-that-name"):
        expanded(Path("~nobody-of-that-name/a"))
