"""Which executor computes what, from the nodes of a graph."""

from device_agent.contract.measurement import to_json
from device_agent.contract.placement import Placement, placement_from_json
from device_agent.runtimes.placement import Node, place

#: 0 -CONV-> 1 -RELU-> 2 -CONV-> 3 -SOFTMAX-> 4
CHAIN: list[Node] = [
    ("CONV_2D", [0], [1]),
    ("RELU", [1], [2]),
    ("CONV_2D", [2], [3]),
    ("SOFTMAX", [3], [4]),
]


def test_without_a_delegate_all_is_builtin() -> None:
    assert place(CHAIN, 4, "") == {"builtin": {"CONV_2D": 2, "RELU": 1, "SOFTMAX": 1}}


def test_what_lies_between_the_ends_of_a_delegate_is_its() -> None:
    nodes = [*CHAIN, ("DELEGATE", [0], [3])]

    assert place(nodes, 4, "") == {"XNNPACK": {"CONV_2D": 2, "RELU": 1}, "builtin": {"SOFTMAX": 1}}


def test_a_branch_that_a_delegate_does_not_need_is_not_its() -> None:
    nodes: list[Node] = [
        ("CONV_2D", [0], [1]),
        ("TANH", [1], [2]),
        ("ADD", [1, 2], [3]),
        ("DELEGATE", [1, 2], [3]),
    ]

    assert place(nodes, 3, "") == {"builtin": {"CONV_2D": 1, "TANH": 1}, "XNNPACK": {"ADD": 1}}


def test_one_that_was_asked_for_and_the_runtimes_own_are_told_apart() -> None:
    nodes = [*CHAIN, ("DELEGATE", [0], [1]), ("DELEGATE", [2], [4])]

    assert place(nodes, 5, "edgetpu") == {
        "edgetpu": {"CONV_2D": 1},
        "builtin": {"RELU": 1},
        "XNNPACK": {"CONV_2D": 1, "SOFTMAX": 1},
    }


def test_it_reads_as_a_sentence() -> None:
    placement = Placement({"builtin": {"SOFTMAX": 1, "GATHER": 2}, "XNNPACK": {"CONV_2D": 14}})

    assert str(placement) == "XNNPACK 14 of 17 ops; builtin 3: 2 GATHER, SOFTMAX"
    assert str(Placement({"builtin": {"RELU": 1}})) == "builtin 1 of 1 op"


def test_a_delegate_that_computes_nothing_is_a_fall_back() -> None:
    assert Placement({"builtin": {"RELU": 1}}, "edgetpu").fell_back
    assert not Placement({"edgetpu": {"x": 1}, "builtin": {"RELU": 9}}, "edgetpu").fell_back
    assert not Placement({"builtin": {"RELU": 1}}).fell_back


def test_it_travels() -> None:
    placement = Placement({"edgetpu": {"edgetpu-custom-op": 1}}, "edgetpu")

    assert placement_from_json({**to_json(placement), "newer": 1}) == placement
