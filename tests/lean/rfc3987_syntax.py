"""In place of the package of this name, see `conftest`."""

raise ImportError("left out of the tests: it compiles its grammars when it is imported")
