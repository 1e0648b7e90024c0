import pytest

from lib.records import Artifact, PhaseRecord, artifacts_of, canonical_hash
from lib.settings import Processing


def test_hash_ignores_the_order_of_keys_and_sees_every_value():
    assert canonical_hash({"a": 1, "b": [1, 2]}) == canonical_hash({"b": [1, 2], "a": 1})
    assert canonical_hash({"a": [1, 2]}) != canonical_hash({"a": [2, 1]})
    assert canonical_hash(Processing()) != canonical_hash(Processing(seed=1))
    assert canonical_hash((1, 2)) == canonical_hash([1, 2])


def test_hash_refuses_what_has_no_canonical_form():
    with pytest.raises(TypeError, match="set has no canonical form"):
        canonical_hash({"a": {1}})


@pytest.fixture
def record(tmp_path):
    (tmp_path / "final").mkdir()
    path = tmp_path / "final" / "x.mp4"
    path.write_bytes(b"12345")
    return PhaseRecord(video="x", phase="refine", key="k", artifacts=artifacts_of([path], tmp_path))


def test_a_record_holds_while_its_files_do(record, tmp_path):
    assert record.artifacts[0].path == "final/x.mp4"
    assert record.problem(tmp_path) is None


@pytest.mark.parametrize(("content", "said"), [(None, "missing"), (b"1234", "has 4 bytes"), (b"54321", "other bytes")])
def test_a_record_names_the_file_that_changed(record, tmp_path, content, said):
    path = tmp_path / "final" / "x.mp4"
    path.unlink() if content is None else path.write_bytes(content)
    problem = record.problem(tmp_path)
    assert problem is not None
    assert "final/x.mp4" in problem
    assert said in problem


def test_a_moved_output_directory_keeps_its_records(record, tmp_path):
    moved = tmp_path.parent / f"{tmp_path.name}-moved"
    tmp_path.rename(moved)
    assert record.problem(moved) is None


def test_a_file_outside_the_output_directory_is_recorded_by_its_whole_path(tmp_path):
    outside = tmp_path / "prompts" / "x.yaml"
    outside.parent.mkdir()
    outside.write_text("prompt: a\n")
    assert Artifact.of(outside, tmp_path / "out").path == str(outside)
