"""An error that nobody foresaw: one line, and a full report for those who mend it."""

import importlib.metadata
import platform
import shlex
import sys
import tempfile
import traceback

#: The exit code of an internal error, as `sysexits.h` has it.
EXIT_CODE = 70


def report(error: Exception) -> str:
    """Write a report into the folder of temporary files; the line that says what and where.

    Where that cannot be written, the report itself follows the line.
    """
    content = "\n".join(
        [
            shlex.join(sys.argv),
            f"version {importlib.metadata.version('lima-bak-replication')}",
            f"Python {platform.python_version()} on {platform.platform()}",
            "",
            *traceback.format_exception(error),
        ]
    )
    told = f"Error: unexpected {type(error).__name__}: {' '.join(str(error).split())}"
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="replicate-report-", suffix=".txt", errors="backslashreplace", delete=False
        ) as file:
            file.write(content)
    except OSError as problem:
        return f"{told}\n  -> no report could be written ({problem}):\n{content}"
    return f"{told}\n  -> please report it with {file.name}"
