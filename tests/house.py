"""The house as its imports have it, and the picture of it in CONTRIBUTING.md.

`python tests/house.py` prints the picture, `python tests/house.py --write` puts it in its place.
"""

import ast
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "replicate"
PAGE = ROOT / "CONTRIBUTING.md"
#: What stands before and after the picture there.
BEGIN, END = "<!-- written by tests/house.py -->\n", "<!-- end -->\n"

#: The wings from the ground up: each may import those of lower floors only.
FLOORS = (
    ("files", "interrupts"),
    ("paper", "settings"),
    ("stats", "corpora"),
    ("model", "runs"),
    ("kernels", "studies"),
    ("training", "verdicts"),
    ("report", "options"),
    ("__main__",),
)
FLOOR = {wing: floor for floor, wings in enumerate(FLOORS) for wing in wings}


def name_of(path: Path) -> str:
    """`replicate/runs/store.py` -> `runs.store`; the package itself has no name."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def wing(module: str) -> str:
    """`runs.store` -> `runs`."""
    return module.partition(".")[0]


PATHS = [path for path in sorted(PACKAGE.rglob("*.py")) if name_of(path)]
TREES = {name_of(path): ast.parse(path.read_text()) for path in PATHS}


def imported(tree: ast.AST) -> set[str]:
    """Modules of this package that a tree imports, wherever it does."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and wing(node.module or "") == "replicate":
            base = (node.module or "").partition(".")[2]
            for alias in node.names:
                inner = f"{base}.{alias.name}".strip(".")
                found.add(inner if inner in TREES else base)
    return found - {""}


#: Module -> the modules that it imports.
ARROWS = {module: imported(tree) - {module} for module, tree in TREES.items()}


def between_wings(arrows: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Wing -> the other wings that it imports from."""
    wings: dict[str, set[str]] = {wing(module): set() for module in arrows}
    for module, others in arrows.items():
        wings[wing(module)] |= {wing(other) for other in others} - {wing(module)}
    return wings


def below(start: str, wings: Mapping[str, set[str]]) -> set[str]:
    """All that a wing needs, directly or through others."""
    return wings[start].union(*(below(other, wings) for other in wings[start]))


def reduced(wings: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """The arrows that no way through other wings replaces."""
    return {
        one: others - set().union(*(below(other, wings) for other in others))
        for one, others in wings.items()
    }


def label(name: str) -> str:
    """A wing as its file or folder is called."""
    return f"{name}/" if (PACKAGE / name).is_dir() else f"{name}.py"


def picture() -> str:
    """The house as a Mermaid diagram; an arrow is as many floors long as it has dashes to spare."""
    floors = range(len(FLOORS))
    lines = ["```mermaid", "flowchart TB", "  classDef floor fill:none,stroke:none"]
    lines += [f"  floor{floor}([{floor}]):::floor" for floor in floors]
    lines.append("  " + " ~~~ ".join(f"floor{floor}" for floor in reversed(floors)))
    lines += [f'  {name}["{label(name)}"]' for wings in reversed(FLOORS) for name in wings]
    for one, others in reduced(between_wings(ARROWS)).items():
        for other in sorted(others):
            dashes = "-" * (FLOOR[one] - FLOOR[other] + 1)
            lines.append(f"  {one} {dashes}> {other}")
    return "\n".join([*lines, "```", ""])


def with_picture(text: str) -> str:
    """The page's text with the picture as it is now."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}{picture()}{END}{rest.partition(END)[2]}"


def section(heading: str) -> str:
    """What stands under a heading of the page."""
    return PAGE.read_text().partition(f"# {heading}\n")[2].partition("\n#")[0]


if __name__ == "__main__":
    if "--write" in sys.argv:
        PAGE.write_text(with_picture(PAGE.read_text()))
    else:
        print(picture(), end="")
