"""The rules of `peak_memory`, one by one, each against a tracked run and a number written by hand; and the plan that
the module shares, on random graphs that no family would wire.
"""

from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_architectures import randomise, run_without_reuse
from training_memory import measured_training_memory

from cspnas.network.cost import cost_of
from cspnas.network.graph import Graph, GraphBuilder
from cspnas.network.liveness import fold_norms, plan, saved_of
from cspnas.network.operations import ACTIVATIONS, IN_PLACE_ACTIVATIONS
from cspnas.training.measured_memory import measured_peak
from cspnas.training.module import NetworkModule, fold, initialise

MAP = 4 * 4 * 4  # bytes of one channel: 4 x 4 elements, float32


def saved_bytes(graph: Graph) -> tuple[int, int]:
    """Bytes that autograd keeps for the backward pass of the unfolded graph: (per image, per batch)."""
    saved = saved_of(graph.forms, graph.topology)
    return saved.per_image + saved.input + saved.output, saved.per_batch


def image(channels: int = 1) -> GraphBuilder:
    """A builder on an image of 4 x 4."""
    return GraphBuilder((channels, 4, 4))


def assert_peak(graph: Graph, channels: int) -> None:
    """The predicted and the measured peak are both `channels` maps."""
    assert cost_of(graph).peak_memory == channels * MAP
    assert measured_peak(graph) == channels * MAP


def overwritten(graph: Graph) -> list[int | None]:
    """By operation: the position of the input that is overwritten in inference."""
    return list(plan(fold_norms(graph)).overwrites)


# The image ----------------------------------------------------------------------------------------------------------


def test_the_image_stays_alive_to_the_end() -> None:
    """Image 1, then 5 and 7 alive together: 1 + 5 + 7, though nothing reads the image any more."""
    net = image()
    x = net.add("conv", "a", 0, out_channels=5)
    net.add("conv", "b", x, out_channels=7)
    assert_peak(net.graph(), 1 + 5 + 7)


def test_an_activation_never_overwrites_the_image() -> None:
    net = image(3)
    net.add("act", "act", 0, function="relu")
    assert_peak(net.graph(), 3 + 3)


def test_an_activation_never_overwrites_a_view_of_the_image() -> None:
    net = image(3)
    x = net.add("slice", "view", 0, start=0, stop=2)
    net.add("act", "act", x, function="relu")
    assert_peak(net.graph(), 3 + 2)


def test_an_add_never_overwrites_the_image_even_as_its_first_operand() -> None:
    """The convolution's result, second operand, is overwritten instead."""
    net = image(3)
    x = net.add("conv", "a", 0, out_channels=3)
    net.add("add", "sum", 0, x)
    assert overwritten(net.graph())[-1] == 1
    assert_peak(net.graph(), 3 + 3)


def test_a_sum_of_images_is_a_new_tensor_and_leaves_the_callers_image_as_it_was() -> None:
    net = image(2)
    net.add("add", "sum", 0, 0)
    assert_peak(net.graph(), 2 + 2)
    given_image = torch.randn(1, 2, 4, 4)
    before = given_image.clone()
    assert torch.equal(fold(NetworkModule(net.graph()))(given_image), 2 * before)
    assert torch.equal(given_image, before)


# Views --------------------------------------------------------------------------------------------------------------


def test_a_slice_takes_no_storage_and_keeps_its_whole_base_alive() -> None:
    """At the join: image 1, all 6 of the base behind a view of 1, c's 9 and the join's 10. A copy would make it 21."""
    net = image()
    base = net.add("conv", "base", 0, out_channels=6)
    view = net.add("slice", "view", base, start=0, stop=1)
    x = net.add("conv", "b", base, out_channels=2)
    x = net.add("conv", "c", x, out_channels=9)
    net.add("concat", "join", x, view)
    assert_peak(net.graph(), 1 + 6 + 9 + 10)


def test_a_base_dies_with_the_last_view_on_it() -> None:
    """A slice of a slice is the last to hold the 6; it is read before b runs, which leaves 1 + 2 + 8."""
    net = image()
    base = net.add("conv", "base", 0, out_channels=6)
    view = net.add("slice", "view", base, start=0, stop=4)
    view = net.add("slice", "view2", view, start=1, stop=3)
    x = net.add("conv", "a", view, out_channels=2)
    net.add("conv", "b", x, out_channels=8)
    assert_peak(net.graph(), 1 + 2 + 8)


def test_a_slice_is_never_overwritten_by_its_sole_reader() -> None:
    net = image()
    base = net.add("conv", "base", 0, out_channels=6)
    view = net.add("slice", "view", base, start=0, stop=4)
    net.add("act", "act", view, function="relu")
    assert overwritten(net.graph())[-1] is None
    assert_peak(net.graph(), 1 + 6 + 4)


def test_a_base_with_a_view_on_it_is_never_overwritten() -> None:
    """The activation is the base's only reader but for the slice, which is read later."""
    net = image()
    base = net.add("conv", "base", 0, out_channels=4)
    view = net.add("slice", "view", base, start=0, stop=4)
    act = net.add("act", "act", base, function="relu")
    net.add("add", "sum", view, act)
    assert overwritten(net.graph())[-2:] == [None, 1]
    assert_peak(net.graph(), 1 + 4 + 4)


def test_a_flatten_is_a_view_and_is_never_overwritten() -> None:
    net = image()
    x = net.add("conv", "a", 0, out_channels=3)
    x = net.add("flatten", "flat", x)
    net.add("act", "act", x, function="relu")
    assert_peak(net.graph(), 1 + 3 + 3)


def test_an_output_that_is_a_view_keeps_its_base_to_the_end() -> None:
    """The output (1 of 6 channels) is taken before a later, unread convolution of 9 runs."""
    net = image()
    base = net.add("conv", "base", 0, out_channels=6)
    view = net.add("slice", "view", base, start=0, stop=1)
    net.add("conv", "aside", 0, out_channels=9)
    graph = Graph(net.graph().operations, view)
    assert_peak(graph, 1 + 6 + 9)


# Activations --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", sorted(IN_PLACE_ACTIVATIONS))
def test_an_activation_overwrites_an_owned_source_that_it_alone_reads(function: str) -> None:
    net = image()
    x = net.add("conv", "a", 0, out_channels=5)
    net.add("act", "act", x, function=function)
    assert_peak(net.graph(), 1 + 5)


def test_gelu_has_no_in_place_form() -> None:
    net = image()
    x = net.add("conv", "a", 0, out_channels=5)
    net.add("act", "act", x, function="gelu")
    assert_peak(net.graph(), 1 + 5 + 5)


def test_an_activation_after_an_out_of_place_activation_overwrites_its_result() -> None:
    """gelu makes a second 5; the relu behind it makes no third."""
    net = image()
    x = net.add("conv", "a", 0, out_channels=5)
    x = net.add("act", "gelu", x, function="gelu")
    net.add("act", "relu", x, function="relu")
    assert overwritten(net.graph())[-2:] == [None, 0]
    assert_peak(net.graph(), 1 + 5 + 5)


def test_an_activation_whose_source_was_read_before_makes_a_new_tensor() -> None:
    """1 + source 5 + act 5; overwriting would make it 1 + 5 + the other reader's 2."""
    net = image()
    x = net.add("conv", "a", 0, out_channels=5)
    net.add("conv", "other", x, out_channels=2)
    net.add("act", "act", x, function="relu")
    assert_peak(net.graph(), 1 + 5 + 5)


def test_an_activation_whose_source_is_read_again_later_makes_a_new_tensor() -> None:
    """1 + source 5 + act 5 (the output) + the later reader's 2; overwriting would make it 1 + 5 + 2."""
    net = image()
    x = net.add("conv", "a", 0, out_channels=5)
    act = net.add("act", "act", x, function="relu")
    net.add("conv", "other", x, out_channels=2)
    assert_peak(Graph(net.graph().operations, act), 1 + 5 + 5 + 2)


@pytest.mark.parametrize(
    ("kind", "attributes"),
    [
        ("norm", {}),  # its source is a concat: it does not fold
        ("concat", {}),
        ("pool", {"function": "max", "kernel": 3, "stride": 1, "padding": 1}),
        ("pool", {"function": "avg", "kernel": 3, "stride": 1, "padding": 1}),
        ("conv", {"out_channels": 3}),
    ],
)
def test_every_operation_that_makes_a_storage_may_be_overwritten(kind: str, attributes: dict[str, object]) -> None:
    """With 9 held beside it as the output, an activation in place adds nothing to image 1 and source 3."""
    net = image()
    x = net.add("conv", "a", 0, out_channels=3)
    x = net.add("concat", "copy", x)
    x = net.add(kind, "made", x, **attributes)
    held = net.add("conv", "held", 0, out_channels=9)
    net.add("act", "act", x, function="relu")
    graph = Graph(net.graph().operations, held)
    assert overwritten(graph)[-1] == 0
    assert_peak(graph, 1 + 3 + 9)


def test_a_linear_layers_result_may_be_overwritten() -> None:
    """Bytes: image 64, pooled 4, logits 4 * 50; the activation adds none."""
    net = image()
    x = net.add("pool", "pool", 0, function="global_avg")
    x = net.add("flatten", "flat", x)
    x = net.add("linear", "linear", x, out_features=50)
    net.add("act", "act", x, function="relu")
    assert cost_of(net.graph()).peak_memory == measured_peak(net.graph()) == 64 + 4 + 200


# The output ---------------------------------------------------------------------------------------------------------


def test_the_output_counts_as_a_reader_so_an_activation_may_not_overwrite_it() -> None:
    net = image()
    conv = net.add("conv", "a", 0, out_channels=5)
    net.add("act", "aside", conv, function="relu")
    assert_peak(Graph(net.graph().operations, conv), 1 + 5 + 5)


def test_the_output_counts_as_a_reader_so_an_add_may_not_overwrite_it() -> None:
    net = image()
    first = net.add("conv", "a", 0, out_channels=5)
    second = net.add("conv", "b", 0, out_channels=5)
    net.add("add", "aside", first, second)
    graph = Graph(net.graph().operations, first)
    assert overwritten(graph)[-1] == 1
    assert_peak(graph, 1 + 5 + 5)


def test_the_output_counts_as_a_reader_so_a_norm_behind_it_does_not_fold() -> None:
    net = image()
    conv = net.add("conv", "a", 0, out_channels=5)
    net.add("norm", "aside", conv)
    graph = Graph(net.graph().operations, conv)
    assert fold_norms(graph) == graph
    assert_peak(graph, 1 + 5 + 5)


def test_an_output_in_the_middle_stays_alive_to_the_end() -> None:
    net = image()
    early = net.add("conv", "a", 0, out_channels=5)
    x = net.add("conv", "b", early, out_channels=2)
    net.add("conv", "c", x, out_channels=9)
    assert_peak(Graph(net.graph().operations, early), 1 + 5 + 2 + 9)


def test_after_folding_the_output_is_the_convolution_that_took_the_norm() -> None:
    """The norm is the output but not the last operation: its place is the convolution's in the folded graph."""
    net = image()
    x = net.add("conv", "a", 0, out_channels=5)
    norm = net.add("norm", "norm", x)
    net.add("conv", "aside", 0, out_channels=3)
    graph = Graph(net.graph().operations, norm)
    folded = fold_norms(graph)
    assert [op.kind for op in folded.operations] == ["input", "conv", "conv"]
    assert folded.output == 1
    assert folded.operations[1]["bias"] is True
    assert_peak(graph, 1 + 5 + 3)


# Add ----------------------------------------------------------------------------------------------------------------


def test_an_add_overwrites_its_first_operand() -> None:
    net = image()
    first = net.add("conv", "a", 0, out_channels=5)
    second = net.add("conv", "b", 0, out_channels=5)
    net.add("add", "sum", first, second)
    assert overwritten(net.graph())[-1] == 0
    assert_peak(net.graph(), 1 + 5 + 5)


def test_an_add_overwrites_its_second_operand_where_the_first_has_another_reader() -> None:
    """A residual block: the shortcut is read twice, the branch once; their sum takes no third 5."""
    net = image()
    shortcut = net.add("conv", "a", 0, out_channels=5)
    x = net.add("conv", "b", shortcut, out_channels=5)
    net.add("add", "sum", shortcut, x)
    assert overwritten(net.graph())[-1] == 1
    assert_peak(net.graph(), 1 + 5 + 5)


def test_an_add_overwrites_its_second_operand_where_the_first_is_a_view() -> None:
    net = image()
    base = net.add("conv", "a", 0, out_channels=6)
    view = net.add("slice", "view", base, start=1, stop=5)
    x = net.add("conv", "b", 0, out_channels=4)
    net.add("add", "sum", view, x)
    assert overwritten(net.graph())[-1] == 1
    assert_peak(net.graph(), 1 + 6 + 4)


def test_an_add_makes_a_new_tensor_where_no_operand_may_be_overwritten() -> None:
    """Two views of one base of 6: 1 + 6 + 3."""
    net = image()
    base = net.add("conv", "a", 0, out_channels=6)
    first = net.add("slice", "v1", base, start=0, stop=3)
    second = net.add("slice", "v2", base, start=3, stop=6)
    net.add("add", "sum", first, second)
    assert overwritten(net.graph())[-1] is None
    assert_peak(net.graph(), 1 + 6 + 3)


def test_an_add_of_a_value_to_itself_reads_it_twice_and_makes_a_new_tensor() -> None:
    net = image()
    x = net.add("conv", "a", 0, out_channels=5)
    net.add("add", "double", x, x)
    assert_peak(net.graph(), 1 + 5 + 5)


# Life and death -----------------------------------------------------------------------------------------------------


def test_a_value_that_nobody_reads_dies_at_once() -> None:
    """The 8 aside are alive while they are made (1 + 2 + 8 = 11), and gone when the 7 come (1 + 2 + 7)."""
    net = image()
    x = net.add("conv", "a", 0, out_channels=2)
    net.add("conv", "aside", 0, out_channels=8)
    net.add("conv", "b", x, out_channels=7)
    assert_peak(net.graph(), 11)


def test_inputs_and_output_are_both_alive_while_an_operation_runs() -> None:
    """A concat holds its parts and itself: 1 + (3 + 4) + 7."""
    net = image()
    first = net.add("conv", "a", 0, out_channels=3)
    second = net.add("conv", "b", 0, out_channels=4)
    net.add("concat", "join", first, second)
    assert_peak(net.graph(), 1 + 3 + 4 + 7)


def test_a_concat_of_one_value_with_itself_holds_it_once() -> None:
    net = image()
    x = net.add("conv", "a", 0, out_channels=3)
    net.add("concat", "twice", x, x)
    assert_peak(net.graph(), 1 + 3 + 6)


def test_a_storage_overwritten_twice_lives_until_its_last_value_is_read() -> None:
    """conv 5 -> relu -> (sum with 5) -> silu lies in one storage all the way."""
    net = image()
    x = net.add("conv", "a", 0, out_channels=5)
    x = net.add("act", "relu", x, function="relu")
    y = net.add("conv", "b", 0, out_channels=5)
    x = net.add("add", "sum", x, y)
    x = net.add("act", "silu", x, function="silu")
    net.add("conv", "c", x, out_channels=6)
    layout = plan(net.graph())
    assert layout.storage == (0, 1, 1, 3, 1, 1, 6)
    assert_peak(net.graph(), 1 + 5 + 6)


def test_a_max_pools_indices_are_not_counted() -> None:
    net = image()
    x = net.add("conv", "a", 0, out_channels=4)
    net.add("pool", "pool", x, function="max")  # 4 x 4 -> 2 x 2: one map's worth of elements
    assert_peak(net.graph(), 1 + 4 + 1)


def test_a_channels_bytes_follow_the_size_of_its_map() -> None:
    """4 x 4 strided to 2 x 2: image 1 map, 8 channels a quarter map each."""
    net = image()
    net.add("conv", "a", 0, out_channels=8, kernel=3, stride=2, padding=1)
    assert_peak(net.graph(), 1 + 2)


# Norms --------------------------------------------------------------------------------------------------------------


def test_a_norm_folds_into_a_convolution_that_it_alone_reads() -> None:
    net = image()
    x = net.add("conv", "a", 0, out_channels=5)
    net.add("norm", "norm", x)
    assert_peak(net.graph(), 1 + 5)


def test_a_norm_does_not_fold_where_the_convolution_has_another_reader() -> None:
    net = image()
    x = net.add("conv", "a", 0, out_channels=5)
    norm = net.add("norm", "norm", x)
    net.add("add", "sum", norm, x)
    assert fold_norms(net.graph()) == net.graph()
    assert_peak(net.graph(), 1 + 5 + 5)


def test_a_norm_does_not_fold_where_another_norm_reads_the_convolution() -> None:
    net = image()
    x = net.add("conv", "a", 0, out_channels=5)
    first = net.add("norm", "norm1", x)
    second = net.add("norm", "norm2", x)
    net.add("add", "sum", first, second)
    assert_peak(net.graph(), 1 + 5 + 5 + 5)


def test_a_norm_does_not_fold_through_a_view_of_a_convolution() -> None:
    net = image()
    x = net.add("conv", "a", 0, out_channels=5)
    x = net.add("slice", "view", x, start=0, stop=5)
    net.add("norm", "norm", x)
    assert fold_norms(net.graph()) == net.graph()
    assert_peak(net.graph(), 1 + 5 + 5)


def test_only_the_first_of_two_norms_in_a_row_folds() -> None:
    net = image()
    x = net.add("conv", "a", 0, out_channels=5)
    x = net.add("norm", "norm1", x)
    net.add("norm", "norm2", x)
    assert [op.name for op in fold_norms(net.graph()).operations] == ["image", "a", "norm2"]
    assert_peak(net.graph(), 1 + 5 + 5)


def test_a_folded_norms_readers_read_the_convolution() -> None:
    """With two readers of the norm, the convolution that took it has two: an activation may not overwrite it."""
    net = image()
    x = net.add("conv", "a", 0, out_channels=5)
    norm = net.add("norm", "norm", x)
    act = net.add("act", "act", norm, function="relu")
    net.add("add", "sum", act, norm)
    assert overwritten(net.graph()) == [None, None, None, 0]
    assert_peak(net.graph(), 1 + 5 + 5)


# The rules of training ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("maker", ["act", "pool"])
@pytest.mark.parametrize("reader", ["act", "add"])
def test_in_training_an_activations_or_a_pools_result_is_never_overwritten(maker: str, reader: str) -> None:
    net = image()
    x = net.add("conv", "a", 0, out_channels=5)
    attributes = {"function": "max", "kernel": 3, "stride": 1, "padding": 1} if maker == "pool" else {}
    made = net.add(maker, "made", x, **attributes)
    if reader == "act":
        net.add("act", "act", made, function="relu")
    else:
        view = net.add("slice", "view", 0, start=0, stop=1)
        wide = net.add("concat", "wide", view, view, view, view, view)
        net.add("add", "sum", made, wide)
    assert plan(net.graph()).overwrites[-1] == 0
    assert plan(net.graph(), training=True).overwrites[-1] == (None if reader == "act" else 1)


def test_saved_bytes_of_a_convolution_norm_and_relu_by_hand() -> None:
    """Image 1 (read by the conv), the conv's 5 (read by the norm), the norm's storage, which now holds relu's 5."""
    net = image()
    x = net.add("conv", "a", 0, out_channels=5)
    x = net.add("norm", "norm", x)
    net.add("act", "act", x, function="relu")
    assert saved_bytes(net.graph()) == ((1 + 5 + 5) * MAP, 2 * 4 * 5)
    assert cost_of(net.graph()).training_memory(7) == measured_training_memory(net.graph(), 7)


@pytest.mark.parametrize("function", ACTIVATIONS)
def test_saved_bytes_of_every_activation_are_those_of_a_tracked_step(function: str) -> None:
    """relu keeps its result, which the next convolution keeps too; the others their input besides."""
    net = image()
    x = net.add("conv", "a", 0, out_channels=5)
    x = net.add("norm", "norm", x)
    x = net.add("act", "act", x, function=function)
    net.add("conv", "b", x, out_channels=3)
    copies = 1 if function in ("relu", "leaky_relu") else 2
    assert saved_bytes(net.graph()) == ((1 + 5 + 5 * copies) * MAP, 2 * 4 * 5)
    assert cost_of(net.graph()).training_memory(6) == measured_training_memory(net.graph(), 6)


# Random graphs ------------------------------------------------------------------------------------------------------

POOLS = [
    {"function": "max", "kernel": 3, "stride": 1, "padding": 1},
    {"function": "avg", "kernel": 3, "stride": 1, "padding": 1},
]
KINDS = ["conv", "norm", "act", "act", "add", "add", "concat", "slice", "slice", "pool"]


@st.composite
def graphs(draw: st.DrawFn, functions: tuple[str, ...], *, through_a_convolution: bool = False) -> Graph:
    """A random graph over one map size, any value read by anyone or by nobody, any value the output.

    `through_a_convolution`: only the first operation, a convolution, reads the image: each value has a gradient.
    """
    net = image(draw(st.integers(1, 4)))
    if through_a_convolution:
        net.add("conv", "first", 0, out_channels=draw(st.integers(1, 4)))
    first = int(through_a_convolution)
    count = draw(st.integers(1, 14))
    for index in range(first + 1, first + 1 + count):
        # recent values more often: chains in which one may be overwritten, and now and then a far one
        recent = st.integers(max(first, index - 2), index - 1)
        source = draw(st.one_of(recent, st.integers(first, index - 1)))
        channels = net.channels(source)
        name = f"op{index}"
        match draw(st.sampled_from(KINDS)):
            case "conv":
                net.add("conv", name, source, out_channels=draw(st.integers(1, 4)), kernel=3, padding=1)
            case "norm":
                net.add("norm", name, source)
            case "act":
                net.add("act", name, source, function=draw(st.sampled_from(functions)))
            case "add":
                alike = [value for value in range(first, index) if net.channels(value) == channels]
                terms = draw(st.permutations([source, draw(st.sampled_from(alike))]))
                net.add("add", name, *terms)
            case "concat":
                parts = draw(st.lists(st.integers(first, index - 1), max_size=2))
                parts = [part for part in parts if net.channels(part) <= 12]
                net.add("concat", name, *draw(st.permutations([source, *parts])))
            case "slice":
                start = draw(st.integers(0, channels - 1))
                net.add("slice", name, source, start=start, stop=draw(st.integers(start + 1, channels)))
            case "pool":
                net.add("pool", name, source, **draw(st.sampled_from(POOLS)))
    operations = net.graph().operations
    last = len(operations) - 1
    return Graph(operations, draw(st.one_of(st.just(last), st.integers(first, last))))


def property_test(examples: int) -> settings:
    """Hypothesis settings: the same examples in every run, no deadline (torch warms up in the first)."""
    return settings(
        max_examples=examples, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )


@property_test(250)
@given(graphs(ACTIVATIONS))
def test_the_peak_of_any_graph_is_the_measured_one(graph: Graph) -> None:
    assert cost_of(graph).peak_memory == measured_peak(graph)


@property_test(120)
@given(graphs(ACTIVATIONS))
def test_overwriting_changes_no_graphs_result_and_not_the_image(graph: Graph) -> None:
    """The folded network, in inference's rules, against a run that keeps every value and folds nothing."""
    torch.manual_seed(0)
    network = NetworkModule(graph).double().eval()
    randomise(network)
    given_image = torch.randn(2, *graph.operations[0].shape, dtype=torch.float64)
    with torch.no_grad():
        expected = run_without_reuse(graph, network, given_image.clone())
    before = given_image.clone()
    with torch.inference_mode():
        actual = fold(network).double()(given_image)
    # the folded network is made in float32, so the weights are rounded to it
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4 * float(1 + expected.abs().max()))
    assert torch.equal(given_image, before)


@property_test(120)
@given(graphs(ACTIVATIONS, through_a_convolution=True))
def test_in_training_backward_runs_on_any_graph_and_gives_the_gradients_of_a_run_that_overwrites_nothing(
    graph: Graph,
) -> None:
    torch.manual_seed(0)
    network = NetworkModule(graph).double().train()
    initialise(network, 0)
    images = torch.randn(3, *graph.operations[0].shape, dtype=torch.float64)
    parameters = list(network.parameters())

    def gradients(output: torch.Tensor) -> tuple[torch.Tensor, ...]:
        weight = torch.linspace(-1, 1, output.numel(), dtype=output.dtype).view_as(output)
        return torch.autograd.grad((output * weight).sum(), parameters, materialize_grads=True)

    output = network(images)
    expected_output = run_without_reuse(graph, network, images)
    torch.testing.assert_close(output, expected_output)
    for actual, expected in zip(gradients(output), gradients(expected_output), strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-6, atol=1e-6)
