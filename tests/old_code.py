"""What `replicate/runs/code_by_module.json` rests on: every version of a module in git's history.

`python tests/old_code.py` writes the file anew, from the digests that are in it. It is needed only
where `replicate.runs.code` comes to count something else.
"""

import ast
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterable
from functools import cache

from replicate.runs.code import PACKAGE, TABLE, definitions, modules_of

#: The last commit whose records have a digest for each module.
LAST = "523ce5355c95"


def git(*arguments: str) -> str:
    command = ["git", "-C", str(PACKAGE.parent), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def has_history() -> bool:
    """Whether this is a checkout that reaches back to the first commit."""
    try:
        git("cat-file", "-e", f"{LAST}^{{commit}}")
        return git("rev-parse", "--is-shallow-repository").strip() == "false"
    except (OSError, subprocess.CalledProcessError):
        return False


def digest_of_module(source: str) -> str:
    """What records said of a module: its syntax tree without docstrings."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [part for part in body if not _is_text(part)]
    # 3.12 added a field, 3.13 leaves empty ones out: as 3.11 writes it
    every = {"show_empty": True} if sys.version_info >= (3, 13) else {}
    written = ast.dump(tree, **every).replace(", type_params=[]", "")
    return hashlib.sha256(written.encode()).hexdigest()[:16]


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


@cache
def in_history(module: str) -> dict[str, tuple[str, str]]:
    """Digest -> commit and text, of every version of a module up to `LAST`."""
    path = f"replicate/{module}.py"
    found = {}
    for commit in git("log", "--format=%H", LAST, "--", path).split():
        source = git("show", f"{commit}:{path}")
        found[digest_of_module(source)] = commit, source
    return found


def translated(module: str, digest: str) -> dict[str, str]:
    """The definitions of a version of a module.

    Raises:
        KeyError: no commit has a version of that digest.
    """
    commit, source = in_history(module)[digest]
    files = git("ls-tree", "-r", "--name-only", f"{commit}:replicate").splitlines()
    return definitions(source, modules_of(files))


def table(known: dict[str, Iterable[str]]) -> str:
    """The table as JSON; a line is a version of a module.

    Args:
        known: the digests of each module that stored results have.
    """
    modules = []
    for module, digests in known.items():
        lines = [f'"{digest}": {json.dumps(translated(module, digest))}' for digest in digests]
        modules.append(f'"{module}": {{\n' + ",\n".join(lines) + "\n}")
    return "{\n" + ",\n".join(modules) + "\n}\n"


if __name__ == "__main__":
    TABLE.write_text(table(json.loads(TABLE.read_text())))
