"""The tools of the other tests: goldens are there, and the weights made for them are the reference run's."""

from pathlib import Path

import pytest
from golden_support import GOLDENS, KINDS, digest, find_goldens, make_clip
from weight_filler import FLOW_COMPLETION, GENERATOR, RAFT, fingerprint, random_state


def test_every_golden_has_a_test():
    found = {path for kind in KINDS for path in find_goldens(kind)}
    assert found, f"{GOLDENS} holds no goldens"
    assert found == set(GOLDENS.glob("*.npz"))


def test_there_are_goldens_of_every_kind():
    """In this repository; another folder may hold some kinds only."""
    here = Path(__file__).parent / "goldens"
    assert [kind for kind in KINDS if not list(here.glob(f"{kind}_*.npz")) + list(here.glob(f"{kind}.npz"))] == []


@pytest.mark.parametrize(
    ("net", "expected"),
    [
        (RAFT, "6d0c504972ba65a38ad34a95e954f6486848f6985b61674130457ee48de6b3f0"),
        (FLOW_COMPLETION, "9be16dc4897c62ed270880098ca265e6c2abc421ac30ba74e4e8c9addb5586ad"),
        (GENERATOR, "07b427b71b8dec39fab32da494bb1b27dc4b2f117d81c55f83777273c28dc5ff"),
    ],
)
def test_weights_are_those_of_the_reference_run(net, expected):
    assert fingerprint(random_state(net, seed=0)) == expected


def test_clips_are_those_of_the_reference_run():
    frames, masks = make_clip(71, 14, 216, 224)
    assert digest(frames) == "77be4507d7c809e4a852e6f90b62f95b4e762651d3daf1f3cd253f1920408f2f"
    assert digest(masks) == "c04989a1ecd46b56ae4b8a435f642ce938dc3bbcbbccb5679d6a08c9897ab77d"
