"""The model as its own modules describe it: layers, shapes, parameters, and places in Figure 1.

Nothing here knows the architecture: `torch.fx` records what a real model does with a real input.
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from replicate.model import Addition, Attention, Concat, EmotionModel, parameter_counts

#: Sizes of the example input: no other size in the model equals them, so they can be named.
B, T, N = 7, 16_001, 29

#: Operations that only rearrange or unpack: left out of the drawing.
VIEWS = {"getitem", "transpose"}
#: PyTorch's names of operations -> words.
WORDS = {"relu": "ReLU", "amax": "max", "adaptive_max_pool1d": "adaptive max pool"}
WORDS |= {"cat": "concatenate", "add": "add"}


@dataclass
class Layer:
    """One box of Figure 1."""

    name: str  # dotted name of the module, or of the operation
    text: str  # what it is, with sizes
    shape: str  # of its output, with B, T and n for the sizes that the input sets
    parameters: int  # how many it trains
    inputs: list[str] = field(default_factory=list)  # names of the boxes before it
    then: list[str] = field(default_factory=list)  # what is done to its output on the spot


class _Tracer(fx.Tracer):
    """Sees the inside of everything but PyTorch's own layers, dropout and the fusion."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        whole = isinstance(m, Concat | Addition | Attention)
        drops = isinstance(m, nn.Dropout) and m.p > 0
        return whole or drops or super().is_leaf_module(m, module_qualified_name)


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
    verb = str(getattr(node.target, "__name__", node.target))  # `relu`, `transpose`
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


#: Where the columns are, by what a box has seen.
CENTRE = {"audio": 1.0, "both": 2.0, "text": 3.0}


def places(boxes: list[Layer]) -> dict[str, tuple[float, float]]:
    """Centre of each box: rows by distance from the output, each box above those it feeds."""
    users = {box.name: [other.name for other in boxes if box.name in other.inputs] for box in boxes}
    row: dict[str, int] = {}
    for box in reversed(boxes):
        row[box.name] = 1 + max((row[user] for user in users[box.name]), default=0)
    side = {"waves": "audio", "words": "text"}
    beside: dict[tuple[int, str], list[str]] = {}
    for box in boxes:
        seen = {side[before] for before in box.inputs}
        side.setdefault(box.name, seen.pop() if len(seen) == 1 else "both")
        beside.setdefault((row[box.name], side[box.name]), []).append(box.name)
    found: dict[str, tuple[float, float]] = {}
    for (y, column), names in sorted(beside.items()):
        for k, name in enumerate(names):
            x = CENTRE[column] + k - (len(names) - 1) / 2
            below = [found[user][0] for user in users[name]]
            near = all(abs(other - CENTRE[column]) < 1 for other in below)
            if below and near and len(names) == 1 and column != "both":
                x = sum(below) / len(below)
            found[name] = (x, float(y))
    return found
