"""A command in a process of its own, under limits: its seconds and its peak memory."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from polyad.bench import harness
from polyad.bench import rows as status
from polyad.bench.harness import Seconds

# How much longer than its processor time a command may take, when others use the machine.
PATIENCE = 6

# The peak of a process counts from before it became the command, so the one that starts it has to
# be small: 9 MB for a Python without its libraries.
_STARTER = """
import os, resource, signal, sys, time
limit_s, limit_bytes, patience_s, into, errors = sys.argv[1:6]
command = sys.argv[6:]
stops = (signal.SIGINT, signal.SIGTERM)
signal.pthread_sigmask(signal.SIG_BLOCK, stops)
start = time.perf_counter()
child = os.fork()
if child == 0:
    os.setsid()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, stops)
    for stream, path in ((1, into), (2, errors)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), stream)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (int(limit_s), int(limit_s) + 5))
    resource.setrlimit(resource.RLIMIT_AS, (int(limit_bytes), int(limit_bytes)))
    try:
        os.execvp(command[0], command)
    finally:
        os._exit(127)
def stop(*_):  # the command is in a session of its own, which no Ctrl-C reaches
    for kill in (os.killpg, os.kill):  # that session may not have begun yet
        try:
            kill(child, signal.SIGKILL)
        except ProcessLookupError:
            pass
    os._exit(130)
for number in stops:
    if signal.getsignal(number) != signal.SIG_IGN:
        signal.signal(number, stop)
signal.pthread_sigmask(signal.SIG_UNBLOCK, stops)
signal.signal(signal.SIGALRM, lambda *_: os.killpg(child, signal.SIGXCPU))
signal.alarm(int(patience_s))
_, code, used = os.wait4(child, 0)
elapsed = time.perf_counter() - start
peak = used.ru_maxrss * 1024
print([elapsed, used.ru_utime + used.ru_stime, peak, os.waitstatus_to_exitcode(code)])
"""


@dataclass(frozen=True)
class Finished:
    """How a command ended.

    Attributes:
        status: `rows.MEASURED`, `rows.OUT_OF_TIME`, `rows.OUT_OF_MEMORY` or `rows.FAILED`.
        seconds: By the clock, and of the processor, children included.
        peak_bytes: The most memory that was resident at a time.
        note: What went wrong.
    """

    status: str
    seconds: Seconds
    peak_bytes: int
    note: str = ""


def run(
    command: Sequence[str | Path],
    output: Path,
    *,
    limit_s: float,
    limit_bytes: int,
    stdin: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Finished:
    """Run ``command`` and write what it prints to ``output``, errors beside it.

    It runs in the folder of ``output``: some programs leave files where they are.

    Args:
        command: The program and its arguments.
        output: Written; errors go to the same name with ``.err`` after it.
        limit_s: Processor seconds it may use; by the clock it has `PATIENCE` times as many.
        limit_bytes: What it may map, if the machine has as much free.
        stdin: A file that it reads, or nothing.
        environment: All of its environment, or None for ours.

    Raises:
        KeyboardInterrupt: The command has been ended, too.
        subprocess.CalledProcessError: It could not be started under these limits.
    """
    output = output.absolute()
    errors = output.with_name(output.name + ".err")
    limits = [limit_s, harness.free_bytes(limit_bytes), limit_s * PATIENCE]
    arguments = [str(round(limit)) for limit in limits] + [str(output), str(errors)]
    starter = [sys.executable, "-I", "-S", "-c", _STARTER, *arguments, *map(str, command)]
    with (
        open(stdin or "/dev/null", "rb") as stream,
        subprocess.Popen(
            starter,
            stdin=stream,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=output.parent,
        ) as process,
    ):
        try:
            printed, _ = process.communicate()
        except BaseException:
            process.terminate()  # it ends the command; killed, it could not
            process.wait()
            raise
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, starter)
    elapsed, spent, peak, code = json.loads(printed)
    seconds = Seconds(elapsed, spent)
    said = errors.read_text(encoding="utf-8", errors="replace")
    if code == 0:
        return Finished(status.MEASURED, seconds, peak)
    if code == -signal.SIGXCPU:
        return Finished(status.OUT_OF_TIME, seconds, peak, f"more than {limit_s:.0f} s")
    if "MemoryError" in said or "bad_alloc" in said:
        return Finished(
            status.OUT_OF_MEMORY, seconds, peak, f"more than {limit_bytes / 1e9:.0f} GB"
        )
    last = said.strip().splitlines()[-1:] or [f"exit code {code}"]
    return Finished(status.FAILED, seconds, peak, last[0][:160])


def own_peak() -> int:
    """Return the most memory this process had resident at a time, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
