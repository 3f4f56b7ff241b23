"""SIGTERM unwinds as Ctrl-C does, and what a killed program started ends, too."""

import signal
import subprocess
import sys
import time

import psutil
import pytest

PARENT = """if True:
    import os, subprocess, sys, time
    from replicate.interrupts import exit_code, sigterm_interrupts
    child = "from replicate.interrupts import end_with; import os, time; end_with(os.getppid())"
    child = subprocess.Popen([sys.executable, "-c", child + "; print(flush=True); time.sleep(99)"])
    try:
        with sigterm_interrupts():
            time.sleep(99)
    except KeyboardInterrupt as error:
        print("cleared up", flush=True)
        sys.exit(exit_code(error))
"""


@pytest.mark.parametrize(
    ("number", "code", "told"),
    [
        (signal.SIGTERM, 143, "cleared up\n"),
        (signal.SIGINT, 130, "cleared up\n"),
        (signal.SIGKILL, -9, ""),
    ],
)
def test_a_program_that_is_ended_clears_up_and_leaves_no_process(number, code, told):
    process = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
                               )  # fmt: skip
    assert process.stdout is not None and process.stdout.readline() == "\n"
    (child,) = psutil.Process(process.pid).children()
    process.send_signal(number)
    assert process.stdout.read() == told, "reading ends when the child, too, has closed it"
    assert process.wait() == code
    for _ in range(100):
        if not child.is_running() or child.status() == psutil.STATUS_ZOMBIE:
            return
        time.sleep(0.1)
    pytest.fail("the child outlives its parent")
