"""What a module defines, as digests that do not depend on where it stands.

A definition is a function, class or constant at the top level of a module, or a statement there
that has no name, such as a call. Its digest is that of its syntax tree. Comments, layout and
docstrings play no part, nor do imports and the place of what is imported from this package:
`module.name`, an imported `name` and an alias of either are the same. What comes from other
packages counts by its full name. Annotations count, since dataclasses and Triton read them; quotes
around them do not. So moving a definition to another file changes no digest, and changing it
changes its own and no other.
"""

import ast
import hashlib
import sys
from collections.abc import Collection, Iterable
from functools import cache
from typing import Any

PACKAGE = __name__.partition(".")[0]


@cache
def definitions(source: str, modules: frozenset[str]) -> dict[str, str]:
    """Digest of each definition of a module's text, the same under every Python (`modules_of`)."""
    tree = ast.parse(source)
    above = (inner for node in tree.body if _only_imports(node) for inner in ast.walk(node))
    imported = _imported(above)
    found: dict[str, str] = {}
    for node in tree.body:
        if not (_is_text(node) or _only_imports(node)):
            name = _name(node)
            written = _written(_Placeless(node, imported, modules).visit(node))
            # of two that share a name, both count
            found[name] = hashlib.sha256((found.get(name, "") + written).encode()).hexdigest()[:16]
    return found


def modules_of(files: Iterable[str]) -> frozenset[str]:
    """Names of this package's modules, without its own: `corpora.table` of `corpora/table.py`."""
    return frozenset(
        file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for file in files
        if file.endswith(".py")
    )


def _only_imports(node: ast.AST) -> bool:
    """Whether a statement imports, for type checkers or for all."""
    if isinstance(node, ast.If) and not node.orelse:
        return "TYPE_CHECKING" in ast.unparse(node.test) and all(map(_only_imports, node.body))
    return isinstance(node, ast.Import | ast.ImportFrom)


def _is_text(node: ast.AST) -> bool:
    """Whether a statement is a bare constant: a docstring."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _imported(nodes: Iterable[ast.AST]) -> dict[str, str]:
    """What imported names stand for, in full."""
    found: dict[str, str] = {}
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            found |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
        elif isinstance(node, ast.Import):
            for a in node.names:
                name = a.asname or a.name.partition(".")[0]
                found[name] = a.name if a.asname else name
    return found


def _name(node: ast.stmt) -> str:
    """What a definition is called: `train`, `C1, K1`; of a call, `register()`; else its kind."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return node.name
    if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return ", ".join(n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name))
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        return f"{ast.unparse(node.value.func).rpartition('.')[2]}()"
    return type(node).__name__.lower()


def _written(node: ast.AST) -> str:
    # 3.12 added a field, 3.13 leaves empty ones out: as 3.11 writes it
    every: dict[str, bool] = {"show_empty": True} if sys.version_info >= (3, 13) else {}
    return ast.dump(node, **every).replace(", type_params=[]", "")


def _bound(nodes: Iterable[ast.AST]) -> set[str]:
    """Names that a definition gives to something itself, whatever its module imports so."""
    found = set()
    for node in nodes:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
        elif not isinstance(node, ast.alias) and isinstance(getattr(node, "name", None), str):
            found.add(node.name)  # type: ignore[attr-defined]
    return found


class _Placeless(ast.NodeTransformer):
    """A definition without docstrings, imports, and the place of what it uses."""

    def __init__(self, node: ast.AST, imported: dict[str, str], modules: Collection[str]) -> None:
        nodes = list(ast.walk(node))
        local, names = _bound(nodes), imported | _imported(nodes)
        self.imported = {name: full for name, full in names.items() if name not in local}
        self.modules = modules

    def visit(self, node: ast.AST) -> Any:
        if _is_text(node) or isinstance(node, ast.Import | ast.ImportFrom):
            return None
        for field in ("annotation", "returns"):
            quoted = getattr(node, field, None)
            if isinstance(quoted, ast.Constant) and isinstance(quoted.value, str):
                setattr(node, field, ast.parse(quoted.value, mode="eval").body)
        if (names := _chain(node)) and names[0] in self.imported:
            return self._used([*self.imported[names[0]].split("."), *names[1:]], node)
        return super().visit(node)

    def _used(self, names: list[str], node: Any) -> ast.expr:
        """What is imported, by its full name; of this package, by its name in its module."""
        if names[0] != PACKAGE:
            return ast.Name(".".join(names), node.ctx)
        lengths = (k for k in range(2, len(names)) if ".".join(names[1:k]) in self.modules)
        first, *rest = names[max(lengths, default=1) :]
        kinds = [ast.Load()] * len(rest) + [node.ctx]
        used: ast.expr = ast.Name(first, kinds[0])
        for name, kind in zip(rest, kinds[1:], strict=True):
            used = ast.Attribute(used, name, kind)
        return used


def _chain(node: ast.AST) -> list[str]:
    """The names of `a.b.c`; none of any other expression."""
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute) and (names := _chain(node.value)):
        return [*names, node.attr]
    return []
