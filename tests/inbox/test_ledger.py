"""Nothing is done twice, and nothing is forgotten."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from another_user import need_root, open_folder, run_as, unused_uid

from lib.errors import InputError
from lib.inbox import listing
from lib.inbox.ledger import Ledger, LedgerBusyError, open_ledger

ROOT = Path(__file__).resolve().parents[2]


def test_done_and_unchanged_is_not_touched(box):
    box.add("bear")
    box.finish_all()
    scan = box.scan()
    assert (scan.ready, scan.left, scan.done) == ((), (), ("bear",))
    assert scan.text() == "1 done before"


def test_done_stays_done_while_something_else_comes_into_its_folder(box):
    box.add("bear")
    box.finish_all()
    box.write("bear/notes.txt")
    box.write("bear/video.mp4.part")
    assert box.scan().done == ("bear",)


@pytest.mark.parametrize("path", ["bear/video.mp4", "bear/mask/00000.png", "bear/mask/00001.png"])
def test_changed_content_is_taken_again(box, path):
    box.add("bear")
    box.finish_all()
    box.write(path, b"other content")
    assert box.ready() == {"bear": "changed since it was taken"}


def test_touching_is_a_way_to_ask_for_it_again(box):
    box.add("bear")
    box.finish_all()
    box.touch("bear/video.mp4", 1_700_000_000)
    assert box.ready() == {"bear": "changed since it was taken"}


def test_a_deleted_result_is_made_again(box):
    box.add("bear")
    box.finish_all()
    (box.outbox / "final" / "bear" / "propagation.mp4").unlink()
    assert box.ready() == {"bear": "final/bear/propagation.mp4 is missing"}


def test_failures_are_tried_again_and_then_left(box):
    box.add("bear")
    for attempt in range(3):
        assert [item.attempts for item in box.scan().ready] == [attempt]
        box.fail_all()
    kind, reason = box.left()["bear"]
    assert kind == "given up"
    assert reason.startswith("failed 3 times, last: no hole;")
    assert [item.attempts for item in box.scan(max_attempts=4).ready] == [3]
    box.write("bear/mask/00000.png", b"mended")
    assert [item.attempts for item in box.scan().ready] == [0]


def test_a_success_forgets_failures(box):
    box.add("bear")
    box.fail_all()
    box.finish_all()
    entry = box.ledger.entry("bear")
    assert (entry.status, entry.attempts, entry.reason) == ("done", 0, "")


def test_a_run_that_was_killed_leaves_nothing_behind(box):
    box.add("bear")
    box.fail_all()
    box.take_all()
    box.ledger = Ledger(box.outbox)
    assert [(item.why, item.attempts) for item in box.scan().ready] == [("the run that had taken it was ended", 1)]


def test_the_file_is_whole_at_any_time_and_read_by_the_next_run(box):
    box.add("bear")
    box.fail_all("the mask is empty\nin all frames")
    told = json.loads((box.outbox / ".prefect" / "inbox.json").read_text())
    assert told["schema_version"] == 1
    assert told["videos"]["bear"]["reason"] == "the mask is empty\nin all frames"
    assert Ledger(box.outbox).entry("bear") == box.ledger.entry("bear")
    assert [path.name for path in (box.outbox / ".prefect").iterdir()] == ["inbox.json"]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"schema_version": 2, "videos": {}}'])
def test_a_file_of_another_kind_is_refused(box, content):
    (box.outbox / ".prefect").mkdir()
    (box.outbox / ".prefect" / "inbox.json").write_text(content)
    with pytest.raises(InputError, match=r"inbox\.json: cannot be read \(.*mend it, or delete it"):
        Ledger(box.outbox)


def test_only_one_run_at_a_time_even_of_another_process(box):
    code = "import sys\nfrom pathlib import Path\nfrom lib.inbox.ledger import open_ledger\n"
    code += (
        "with open_ledger(Path(sys.argv[1]), 'inbox 2026-11-23 02:00'):\n    print('held', flush=True)\n    input()\n"
    )
    command = [sys.executable, "-c", code, str(box.outbox)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env) as other:
        assert other.stdout.readline() == "held\n"
        with (
            pytest.raises(LedgerBusyError, match=r"another run is at work on it \(inbox 2026-11-23 02:00\)"),
            open_ledger(box.outbox, "mine"),
        ):
            pass
        other.kill()
    with open_ledger(box.outbox, "mine") as ledger:
        assert ledger.entry("bear") is None


def test_another_users_outbox_is_said_in_one_line():
    need_root()
    code = """
from lib.errors import InputError
try:
    with open_ledger(Path({outbox!r}), "mine"):
        pass
except InputError as error:
    print(error)
"""
    with open_folder() as outbox:
        outbox.chmod(0o777)
        with open_ledger(outbox, "root's own"):
            pass
        imports = "from pathlib import Path; from lib.inbox.ledger import open_ledger"
        done = run_as(unused_uid(), imports, code.format(outbox=str(outbox)))
        assert (done.returncode, done.stderr) == (0, "")
        said = "cannot be locked (Permission denied); work as the user whose outbox this is, or give another --outbox"
        assert done.stdout == f"{outbox}/.prefect/inbox.lock: {said}\n"


def test_nothing_is_read_to_tell_whether_something_changed(box, monkeypatch):
    box.add("bear")
    box.finish_all()
    box.add("bus")
    monkeypatch.setattr(listing.Path, "open", lambda *_: pytest.fail("a file was opened"))
    monkeypatch.setattr(listing.Path, "read_bytes", lambda *_: pytest.fail("a file was read"))
    scan = box.scan()
    assert ([item.name for item in scan.ready], scan.done) == (["bus"], ("bear",))
