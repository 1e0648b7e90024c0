"""Downloads that are cut off, refused or forbidden; and what huggingface_hub itself does when cut off."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from huggingface_hub import hf_hub_download
from weights_support import BASE, NET, VAE, Bench, bench

__all__ = ["bench"]
FILE = f"{NET}.safetensors"
RAFT = "raft-things.pth"
SMALL_DISK = SimpleNamespace(free=2**20)
ROOT = Path(__file__).resolve().parents[2]


def parts(bench: Bench) -> list[str]:
    return [path for path in bench.files() if path.endswith(".part")]


def test_a_cut_connection_costs_only_the_rest(bench):
    whole = len(bench.hub.repositories[VAE][FILE])
    bench.hub.cuts[FILE] = [1000, 500]
    assert bench.run("--sets", "vae") == 0
    assert bench.hub.ranges(f"cdn/{VAE}/{FILE}") == [None, "bytes=1000-", "bytes=1500-"]
    assert (bench.folder / "sd-vae-ft-mse" / FILE).read_bytes() == bench.hub.repositories[VAE][FILE]
    assert whole > 1500
    assert parts(bench) == []


def test_a_later_run_goes_on_where_an_earlier_one_gave_up(bench, capsys):
    bench.hub.cuts[FILE] = [1000] + [0] * 20
    assert bench.run("--sets", "vae") == 1
    assert "1,000 of" in capsys.readouterr().err
    assert len(parts(bench)) == 1
    assert not (bench.folder / "weights.lock.json").exists()
    bench.hub.cuts.clear()
    bench.hub.seen.clear()
    assert bench.run("--sets", "vae") == 0
    assert bench.hub.ranges(f"cdn/{VAE}/{FILE}") == ["bytes=1000-"]
    assert [path for path in bench.hub.fetched() if path.endswith("config.json")] == []
    assert parts(bench) == []


def test_a_release_file_goes_on_too(bench):
    bench.hub.cuts[RAFT] = [700]
    assert bench.run("--sets", "propainter") == 0
    assert bench.hub.ranges(RAFT) == [None, "bytes=700-"]
    assert (bench.folder / "propainter" / RAFT).read_bytes() == bench.hub.release[RAFT]


def test_a_part_of_another_version_is_not_continued(bench):
    bench.hub.cuts[RAFT] = [700] + [0] * 20
    assert bench.run("--sets", "propainter") == 1
    bench.hub.cuts.clear()
    bench.hub.release[RAFT] = bench.hub.release[RAFT].replace(b"raft", b"RAFT")
    bench.hub.seen.clear()
    assert bench.run("--sets", "propainter") == 0
    assert bench.hub.ranges(RAFT) == [None]
    assert parts(bench) == []
    assert (bench.folder / "propainter" / RAFT).read_bytes() == bench.hub.release[RAFT]


def test_a_server_that_ignores_ranges_sends_everything_again(bench):
    bench.hub.knows_ranges = False
    bench.hub.cuts[RAFT] = [700]
    assert bench.run("--sets", "propainter") == 0
    assert (bench.folder / "propainter" / RAFT).read_bytes() == bench.hub.release[RAFT]


def test_a_killed_download_goes_on(bench):
    content = bench.hub.repositories[VAE][FILE]
    bench.hub.stalls[FILE] = 2000
    command = [sys.executable, "-m", "deployments.weights", "--weights_dir", str(bench.folder), "--sets", "vae"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: [path for path in parts(bench) if (bench.folder / path).stat().st_size >= 2000])
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    bench.hub.stalls.clear()
    bench.hub.seen.clear()
    assert bench.run("--sets", "vae") == 0
    assert bench.hub.ranges(f"cdn/{VAE}/{FILE}") == ["bytes=2000-"]
    assert (bench.folder / "sd-vae-ft-mse" / FILE).read_bytes() == content


def wait_for(condition) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end, "waited two minutes in vain"
        time.sleep(0.05)


def test_hubs_own_download_forgets_what_a_failed_call_fetched(bench, tmp_path, monkeypatch):
    """Why bytes are fetched by our own means."""
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda _seconds: None)
    bench.hub.cuts[FILE] = [1000] + [0] * 20
    revision = bench.hub.commit(VAE)
    with pytest.raises(Exception, match="closed"):
        hf_hub_download(VAE, FILE, revision=revision, local_dir=tmp_path / "model", endpoint=bench.hub.url)
    assert not list(tmp_path.rglob("*.incomplete"))
    bench.hub.cuts.clear()
    bench.hub.seen.clear()
    hf_hub_download(VAE, FILE, revision=revision, local_dir=tmp_path / "model", endpoint=bench.hub.url)
    assert bench.hub.ranges(f"cdn/{VAE}/{FILE}") == [None]


@pytest.mark.parametrize(
    ("status", "code", "advice"),
    [
        (401, "GatedRepo", "accept the model's terms"),
        (403, "GatedRepo", "hf auth login"),
        (403, "", "hf auth login"),
        (401, "RepoNotFound", "HF_TOKEN"),
        (404, "RepoNotFound", "HF_ENDPOINT"),
    ],
)
@pytest.mark.parametrize("where", [f"/api/models/{VAE}", f"/cdn/{VAE}/{FILE}"])
def test_what_to_do_about_a_refusal(bench, capsys, status, code, advice, where):
    bench.hub.refusals[where] = (status, code)
    assert bench.run("--sets", "vae") == 1
    said = capsys.readouterr().err
    assert VAE in said
    assert f"HTTP {status}" in said
    assert advice in said
    assert "hf_of_the_test" not in said
    assert f"sd-vae-ft-mse/{FILE}" not in bench.files()


def test_a_release_that_is_not_there_is_told(bench, capsys):
    del bench.hub.release[RAFT]
    assert bench.run("--sets", "propainter") == 1
    said = capsys.readouterr().err
    assert "HTTP 404" in said
    assert "--propainter_url" in said


def test_servers_errors_that_pass_are_waited_out(bench, monkeypatch):
    waits = []

    def mend(seconds: float) -> None:
        waits.append(seconds)
        bench.hub.refusals.clear()

    monkeypatch.setattr("deployments.weight_store.transfer.sleep", mend)
    bench.hub.refusals[f"/cdn/{VAE}"] = (503, "")
    assert bench.run("--sets", "vae") == 0
    assert waits == [1.0]


def test_the_token_goes_to_the_hub_alone(bench):
    assert bench.run("--sets", "vae,propainter") == 0
    elsewhere = [seen for seen in bench.hub.seen if seen.path.startswith(("/release/", "/cdn/"))]
    assert {seen.token for seen in bench.hub.seen if seen not in elsewhere} == {"Bearer hf_of_the_test"}
    assert {seen.token for seen in elsewhere} == {None}


def test_a_hub_that_cannot_be_reached_is_told(bench, capsys, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert bench.run("--sets", "vae") == 1
    said = capsys.readouterr().err
    assert "http://127.0.0.1:9" in said
    assert "--mirror" in said


def test_offline_takes_what_is_there_and_asks_nobody(bench, capsys, monkeypatch):
    assert bench.run("--sets", "vae,propainter") == 0
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    bench.hub.seen.clear()
    assert bench.run("--sets", "vae,propainter") == 0
    (bench.folder / "weights.lock.json").unlink()
    assert bench.run("--sets", "vae,propainter") == 0  # recorded as it is
    assert bench.lock()["sd-vae-ft-mse"]["revision"] is None
    (bench.folder / "propainter" / RAFT).unlink()
    assert bench.run("--sets", "vae,propainter") == 1
    said = capsys.readouterr().err
    assert RAFT in said
    assert "HF_HUB_OFFLINE" in said
    assert bench.hub.seen == []


def test_offline_with_nothing_there_names_what_is_missing(bench, capsys, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert bench.run("--sets", "vae") == 1
    assert "config.json" in capsys.readouterr().err
    assert bench.hub.seen == []


def test_a_second_download_into_the_same_folder_waits_its_turn(bench, capsys):
    from lib.runtime.file_lock import try_lock

    held = try_lock(bench.folder / ".weights.lock")
    assert held is not None
    with held:
        assert bench.run("--sets", "vae") == 1
    assert "another" in capsys.readouterr().err
    assert bench.run("--sets", "vae") == 0


def test_too_little_room_is_told_with_numbers(bench, capsys, monkeypatch):
    monkeypatch.setattr("deployments.weight_store.store.shutil.disk_usage", lambda _path: SMALL_DISK)
    assert bench.run("--sets", "vae") == 1
    assert "0.00 GiB are free" in capsys.readouterr().err
    assert bench.hub.fetched() == []


def test_as_a_script_it_needs_no_installation(tmp_path):
    environment = {**os.environ, "PYTHONPATH": ""}
    command = [sys.executable, str(ROOT / "deployments" / "weights.py"), "--weights-dir", str(tmp_path), "--check"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "weights.lock.json: nothing is recorded there" in done.stderr


@pytest.mark.parametrize("endpoint", ["hub.example", "http://[bad"])
def test_an_endpoint_that_is_no_address_is_told(bench, capsys, monkeypatch, endpoint):
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    assert bench.run("--sets", "vae") == 1
    assert endpoint in capsys.readouterr().err


def test_an_endpoint_that_is_no_hub_is_told(bench, capsys, monkeypatch):
    bench.hub.pages["/api/models"] = b"<html>welcome</html>"
    assert bench.run("--sets", "vae") == 1
    assert "not answer like a hub" in capsys.readouterr().err


def test_a_release_that_redirects_forever_is_told(bench, capsys):
    bench.hub.loops = True
    assert bench.run("--sets", "propainter") == 1
    assert "redirect" in capsys.readouterr().err


def test_names_outside_their_folder_are_refused(bench, capsys):
    bench.hub.repositories[BASE]["tokenizer/../../../evil.json"] = b"{}"
    assert bench.run("--sets", "sd15") == 1
    assert "outside of its folder" in capsys.readouterr().err
    assert bench.hub.fetched() == []


def test_a_server_that_sends_too_much_is_refused_at_once(bench, capsys):
    bench.hub.damaged[f"cdn/{VAE}/{FILE}"] = bench.hub.repositories[VAE][FILE] + b"<html>" * 20
    assert bench.run("--sets", "vae") == 1
    assert "sends more than the" in capsys.readouterr().err
    assert len(bench.hub.ranges(f"cdn/{VAE}/{FILE}")) == 1
    bench.hub.damaged.clear()
    assert bench.run("--sets", "vae") == 0
    assert (bench.folder / "sd-vae-ft-mse" / FILE).read_bytes() == bench.hub.repositories[VAE][FILE]


def test_transformers_word_for_offline_counts_too(bench, capsys, monkeypatch):
    monkeypatch.setenv("TRANSFORMERS_OFFLINE", "1")
    assert bench.run("--sets", "propainter") == 1
    assert "forbids" in capsys.readouterr().err
    assert bench.hub.seen == []


def test_a_release_whose_server_knows_no_head_goes_on_too(bench, capsys, monkeypatch):
    bench.hub.knows_head = False
    bench.hub.cuts[RAFT] = [700]
    assert bench.run("--sets", "propainter") == 0
    assert bench.hub.ranges(RAFT) == [None, "bytes=700-"]
    assert (bench.folder / "propainter" / RAFT).read_bytes() == bench.hub.release[RAFT]
    monkeypatch.setattr("deployments.weight_store.store.shutil.disk_usage", lambda _path: SMALL_DISK)
    bench.folder.rename(bench.folder.with_name("elsewhere"))
    assert bench.run("--sets", "propainter") == 1  # sizes are estimated
    assert "0.20 GiB are to be fetched" in capsys.readouterr().err
