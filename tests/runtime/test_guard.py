import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from probes import ROOT, assert_all_gone, environment, marked_processes, python, start, wait_for

from lib.runtime import guard
from lib.runtime.children import ChildError, GuardedProcess, listen_locally, wait_for_answer

# a leader and a child that may ignore SIGTERM, the child and an orphan in sessions of their own
TREE = """
import os, signal, subprocess, sys, time
if "STUBBORN" in os.environ:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = "import time; print('up', flush=True); time.sleep(300)"
one = subprocess.Popen([sys.executable, "-c", child], start_new_session=True, stdout=subprocess.PIPE)
one.stdout.readline()
two = subprocess.Popen(["sh", "-c", "setsid sleep 300 & echo up"], stdout=subprocess.PIPE)
two.stdout.readline()
print("ready", flush=True)
time.sleep(300)
"""
LAUNCHER = """
import os, sys, time
from pathlib import Path
from lib.runtime.children import GuardedProcess
process = GuardedProcess([sys.executable, "-c", Path(sys.argv[1]).read_text()], os.environ, Path(sys.argv[2]))
time.sleep(300)
"""


def start_tree(tmp_path: Path, mark: str, **more: str) -> GuardedProcess:
    log = tmp_path / "log"
    process = GuardedProcess([sys.executable, "-c", TREE], environment(mark, **more), log)
    wait_for("tree", lambda: "ready" in log.read_text(), 10)
    assert len(marked_processes(mark)) == 4  # guard, leader, child, orphan
    return process


def test_stop_takes_the_whole_tree_down(tmp_path):
    process = start_tree(tmp_path, "guard-stop", STUBBORN="1")
    process.stop()
    assert marked_processes("guard-stop") == {}


def test_sigterm_takes_the_whole_tree_down(tmp_path):
    process = start_tree(tmp_path, "guard-term")
    guard.send(process.pid, signal.SIGTERM)
    assert_all_gone("guard-term")
    assert process.poll() == 143


def test_killed_leader_takes_the_rest_along_and_passes_the_signal_on(tmp_path):
    process = start_tree(tmp_path, "guard-leader")
    lines = marked_processes("guard-leader")
    leader = next(pid for pid, line in lines.items() if "STUBBORN" in line and "guard.py" not in line)
    guard.send(leader, signal.SIGKILL)
    assert_all_gone("guard-leader")
    assert process.poll() == 137
    process.stop()


def test_killed_parent_leaves_nothing(tmp_path):
    tree = tmp_path / "tree.py"
    tree.write_text(TREE)
    log = tmp_path / "log"
    command = [sys.executable, "-c", LAUNCHER, str(tree), str(log)]
    parent = start(command, env=environment("guard-parent", STUBBORN="1"))
    wait_for("tree", lambda: log.exists() and "ready" in log.read_text(), 10)
    parent.kill()
    parent.wait()
    assert_all_gone("guard-parent")


@pytest.mark.parametrize(
    ("code", "expected"), [("raise SystemExit(7)", 7), ("import os; os.kill(os.getpid(), 9)", 137)]
)
def test_exit_code_is_passed_on(tmp_path, code, expected):
    process = GuardedProcess([sys.executable, "-c", code], environment("guard-code"), tmp_path / "log")
    wait_for("end", lambda: process.poll() is not None, 10)
    assert process.poll() == expected
    process.stop()


def test_plain_use_from_a_shell_stops_at_the_end_of_stdin():
    command = [sys.executable, "-S", "-E", str(ROOT / "lib/runtime/guard.py"), "sleep", "300"]
    assert subprocess.run(command, stdin=subprocess.DEVNULL, timeout=60, check=False).returncode == 137


def test_foreground_command_keeps_stdin_and_gets_one_sigint(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent("""
            import os, signal, sys, time
            from lib.runtime import guard
            from lib.runtime.children import GuardedProcess
            child = '''
            import signal, sys, time
            signal.signal(signal.SIGINT, lambda *_: print("interrupted", flush=True))
            print("read", sys.stdin.readline().strip(), flush=True)
            end = time.monotonic() + 2.5
            while time.monotonic() < end: time.sleep(0.1)
            '''
            process = GuardedProcess([sys.executable, "-c", child], os.environ, None)
            signal.signal(signal.SIGINT, lambda *_: process.order(guard.INTERRUPT))
            while process.poll() is None: time.sleep(0.05)
        """)
    )
    group, launcher = [start(python(script), stdin=subprocess.PIPE, env=environment("foreground")) for _ in range(2)]
    for process in (group, launcher):
        process.stdin.write("hello\n")
        process.stdin.flush()
        assert process.stdout.readline() == "read hello\n"
    guard.send(-group.pid, signal.SIGINT)
    guard.send(launcher.pid, signal.SIGINT)
    assert [process.communicate(timeout=60)[0].count("interrupted") for process in (group, launcher)] == [1, 1]


def refuses() -> bool:
    raise ConnectionRefusedError


def test_server_that_ends_early_is_quoted(tmp_path):
    process = GuardedProcess([sys.executable, "-c", "print('no memory')"], environment("early"), tmp_path / "log")
    with pytest.raises(ChildError, match=r"(?s)the server ended with code 0.*no memory"):
        wait_for_answer(refuses, "the server", process, timeout=10)
    process.stop()


def test_a_server_that_is_not_ours_or_silent_is_told(tmp_path):
    process = GuardedProcess(["sleep", "60"], environment("silent"), tmp_path / "log")
    with pytest.raises(ChildError, match="did not prove to be ours"):
        wait_for_answer(lambda: False, "the server", process)
    with pytest.raises(ChildError, match="no answer from the server within 0 s"):
        wait_for_answer(refuses, "the server", process, timeout=0.1)
    process.stop()


def test_the_command_gets_open_files_and_its_folder(tmp_path):
    with listen_locally() as listener:
        fd = listener.fileno()
        code = f"import os, socket; print(socket.socket(fileno={fd}).getsockname()[1], os.getcwd())"
        log = tmp_path / "log"
        command = [sys.executable, "-c", code]
        process = GuardedProcess(command, environment("files"), log, cwd=tmp_path, pass_fds=(fd,))
        wait_for("end", lambda: process.poll() is not None, 20)
        assert log.read_text() == f"{listener.getsockname()[1]} {tmp_path}\n"
        process.stop()
