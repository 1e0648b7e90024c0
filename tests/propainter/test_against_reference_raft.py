"""Optical flow."""

from golden_support import Golden, each_golden, images_in_range
from weight_filler import RAFT

from lib.propainter import raft


@each_golden("raft_pair")
def test_one_pair_with_its_inner_values(golden_path, network, monkeypatch):
    golden, lookups = Golden(golden_path), []
    lookup = raft.CorrelationPyramid.lookup
    monkeypatch.setattr(
        raft.CorrelationPyramid, "lookup", lambda self, at: lookups.append(lookup(self, at)) or lookups[-1]
    )
    net = network(RAFT, golden.seed)
    features = net.encode(images_in_range(golden.input("frames")))
    first, second = features.matching[:1], features.matching[1:]
    values = {"fmap1": first, "fmap2": second, "context_raw": features.context[:1]}
    for iterations in golden.params["iters"]:
        flow = net.flow_between(features.matching, features.context, iterations)
        low, _ = net.low_flow_between(features.matching, features.context, iterations)
        values |= {f"flow_{iterations}": flow[:1], f"flow_low_{iterations}": low[:1]}
    values |= {"corr_first": lookups[0][:1], "corr_last": lookups[-1][:1]}
    golden.check_all(values)


@each_golden("raft_bi")
def test_both_directions_of_a_clip(golden_path, network):
    golden = Golden(golden_path)
    frames = images_in_range(golden.input("frames"))
    forward, backward = network(RAFT, golden.seed)(frames, golden.params["iters"])
    golden.check_all({"flow_f": forward[None], "flow_b": backward[None]})
