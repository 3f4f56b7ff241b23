"""The model as its own modules describe it: layers, shapes, parameters, and Figure 1.

Nothing here knows the architecture: `torch.fx` records what a real model does with a real input,
and the table and the drawing follow from the record.
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from torch import fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from replicate.model import Addition, Attention, Concat, EmotionModel, parameter_counts
from replicate.report.style import styled

#: Sizes of the example input: no other size in the model equals them, so they can be named.
B, T, N = 7, 16_001, 29

#: Operations that only rearrange or unpack: left out of the drawing.
VIEWS = {"getitem", "transpose"}

#: PyTorch's names of operations -> words.
WORDS = {
    "relu": "ReLU",
    "amax": "max",
    "adaptive_max_pool1d": "adaptive max pool",
    "cat": "concatenate",
    "add": "add",
}


@dataclass
class Layer:
    """One box of Figure 1.

    Attributes:
        name: dotted name of the module, or of the operation.
        text: what it is, with sizes.
        then: what is done to its output on the spot.
        shape: of its output, with B, T and n for the sizes that the input sets.
        parameters: how many it trains.
        inputs: names of the boxes before it.
    """

    name: str
    text: str
    shape: str
    parameters: int
    inputs: list[str] = field(default_factory=list)
    then: list[str] = field(default_factory=list)


class _Tracer(fx.Tracer):
    """Sees the inside of everything but PyTorch's own layers and the fusion."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, Concat | Addition | Attention) or super().is_leaf_module(
            m, module_qualified_name
        )


def layers(model: EmotionModel) -> list[Layer]:
    """The layers and operations of a model in the order in which it runs them.

    Operations that have one input and follow a layer (ReLU, a maximum) join that layer's box.
    """
    graph = _Tracer().trace(model)
    words = torch.ones(B, N, dtype=torch.int64)
    shapes: Any = ShapeProp(fx.GraphModule(model, graph))  # type: ignore[no-untyped-call]
    with torch.no_grad():
        shapes.propagate(torch.zeros(B, T), words)
    counts = parameter_counts(model)
    boxes: dict[str, Layer] = {}
    home: dict[fx.Node, str] = {}  # node -> name of the box it went into
    for node in graph.nodes:
        before = [home[i] for i in node.all_input_nodes if i in home]
        if node.op == "placeholder":
            home[node] = node.name
            boxes[node.name] = Layer(node.name, "input", _shape(node), 0)
        elif node.op == "call_module":
            name = str(node.target)
            module = model.get_submodule(name)
            owned = sum(n for key, n in counts.items() if f"{key}.".startswith(f"{name}."))
            boxes[name] = Layer(name, _describe(module), _shape(node), owned, before)
            home[node] = name
        elif node.op != "output":
            _operation(node, before, boxes, home)
    return list(boxes.values())


def _operation(
    node: fx.Node, before: list[str], boxes: dict[str, Layer], home: dict[fx.Node, str]
) -> None:
    """Give a function or method a box of its own where it joins branches, else the last one's."""
    verb = _verb(node)
    home[node] = before[0]
    if verb in ("getattr", "Output"):  # the model's own named tuples
        return
    if len(before) > 1:
        boxes[node.name] = Layer(node.name, WORDS.get(verb, verb), _shape(node), 0, before)
        home[node] = node.name
        return
    box = boxes[before[0]]
    if box.text == "input":
        return
    box.shape = _shape(node) or box.shape
    if verb not in VIEWS:
        box.then.append(WORDS.get(verb, verb))


def _verb(node: fx.Node) -> str:
    """What a step does: `relu`, `transpose`."""
    if isinstance(node.target, str):
        return node.target
    return getattr(node.target, "__name__", "")


def _shape(node: fx.Node) -> str:
    """Output shape with names for the sizes of the example; empty where it is no tensor."""
    meta: Any = node.meta.get("tensor_meta")
    tensors = [meta] if hasattr(meta, "shape") else [m for m in meta or () if hasattr(m, "shape")]
    if not tensors:
        return ""
    known = {B: "B", T: "T", N: "n", N - 2: "n - 2", N - 4: "n - 4"}
    return "[" + ", ".join(known.get(size, str(size)) for size in tensors[0].shape) + "]"


def _describe(module: nn.Module) -> str:
    """A layer in a few words."""
    kind = type(module).__name__
    match module:
        case nn.Conv1d():
            width = module.kernel_size[0]
            return f"{kind} {module.in_channels} → {module.out_channels}, k = {width}"
        case nn.Linear():
            return f"{kind} {module.in_features} → {module.out_features}"
        case nn.GRU():
            return f"{kind} {module.input_size} → {module.hidden_size}"
        case nn.Embedding():
            return f"{kind} {module.num_embeddings} words → {module.embedding_dim}"
        case nn.BatchNorm1d():
            return f"{kind} {module.num_features}"
        case nn.Dropout():
            return f"{kind} {module.p}"
    return kind


@styled
def figure_1(model: EmotionModel) -> Figure:
    """The paper's Figure 1 from the record of a real model, inputs at the top."""
    boxes = {box.name: box for box in layers(model)}
    users: dict[str, list[str]] = {name: [] for name in boxes}
    for box in boxes.values():
        for name in box.inputs:
            users[name].append(box.name)
    height: dict[str, int] = {}
    for name in reversed(boxes):
        height[name] = 1 + max((height[user] for user in users[name]), default=0)
    places = _places(boxes, height)
    figure = Figure(figsize=(7.2, 0.78 * max(height.values())))
    axes = figure.subplots()
    for name, (x, y) in places.items():
        for before in boxes[name].inputs:
            start = places[before]
            axes.annotate(
                "", (x, y + BOX / 2), (start[0], start[1] - BOX / 2),
                arrowprops={"arrowstyle": "-|>", "color": "#666666", "shrinkA": 0, "shrinkB": 0},
            )  # fmt: skip
        axes.add_patch(
            FancyBboxPatch(
                (x - 0.48, y - BOX / 2), 0.96, BOX, boxstyle="round,pad=0,rounding_size=0.06",
                facecolor=_colour(name), edgecolor="#444444", linewidth=0.8,
            )
        )  # fmt: skip
        axes.text(x, y, _label(boxes[name]), ha="center", va="center", fontsize=6.5)
    axes.set(xlim=(-0.02, 4.02), ylim=(0.4, max(height.values()) + 0.6))
    axes.set_axis_off()
    return figure


#: Height of a box; rows are 1 apart.
BOX = 0.72


def _places(boxes: dict[str, Layer], height: dict[str, int]) -> dict[str, tuple[float, float]]:
    """Centre of each box: rows by distance from the output, each box above those it feeds."""
    rows: dict[tuple[int, str], list[str]] = {}
    for name in boxes:
        rows.setdefault((height[name], _side(name, boxes)), []).append(name)
    centre = {"audio": 1.0, "text": 3.0, "both": 2.0}
    places: dict[str, tuple[float, float]] = {}
    for (row, side), names in sorted(rows.items()):
        for k, name in enumerate(names):
            below = [places[user][0] for user in boxes if name in boxes[user].inputs]
            alone = len(names) == 1 and below and side != "both"
            fits = alone and all(abs(x - centre[side]) < 1 for x in below)
            x = sum(below) / len(below) if fits else centre[side] + k - (len(names) - 1) / 2
            places[name] = (x, float(row))
    return places


def _side(name: str, boxes: dict[str, Layer]) -> str:
    """Which modality a box has seen."""
    if name in ("waves", "words"):
        return "audio" if name == "waves" else "text"
    sides = {_side(before, boxes) for before in boxes[name].inputs}
    return sides.pop() if len(sides) == 1 else "both"


def _colour(name: str) -> str:
    """Pale tints that keep black text readable."""
    part = name.partition(".")[0]
    return {
        "audio": "#F3DCE8",
        "text": "#D5EFE6",
        "fusion": "#FBE7C2",
        "classifier": "#DCE9F5",
    }.get(part, "white")


def _label(box: Layer) -> str:
    """Name, what it does, output shape and parameters, a line each."""
    owned = f", {box.parameters:,} parameters" if box.parameters else ""
    done = "\n".join([box.text, ", ".join(box.then)] if box.then else [box.text])
    return f"{box.name}\n{done}\n{box.shape}{owned}"
