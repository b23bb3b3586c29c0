"""Run one command and take it down when its owner goes, however the owner went.

    python -I -S guard.py OWNER_PID STOP_PLAN RUN_AS LOCK_FD COMMAND [ARGUMENT…]

OWNER_PID  the process whose end ends the command
STOP_PLAN  ``signal:seconds,…`` in the order they are tried, SIGKILL follows: ``2:10,3:5``
RUN_AS     ``uid:gid`` to run the command as, or ``-`` for whoever runs the guard
LOCK_FD    the descriptor of a locked file; the command's pid is written into it, and because
           every descendant inherits it, the lock is free only when all of them are gone
stdin      a pipe nobody writes to: its end is the owner's end, or the owner's wish to stop

The guard runs in a session of its own, so a terminal's Ctrl-C reaches the owner alone, and the
owner decides. If the guard itself is killed, the kernel (Linux) signals the command.
It exits with the command's code, 128 + n after signal n, or 127 when it cannot run.
"""

# Started by file name with neither site-packages nor this project on the path: standard
# library only, and little of it, because every start of the stack waits for this import.
import os
import select
import signal
import sys

if sys.platform == "linux":
    # Here and not where it is used: the user we become may not be able to read it.
    import ctypes

# What kills us politely; the command's end has to wake us as well.
WAKING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
# What the command must not find ignored or handled by us: ours, and Python's own.
RESTORED = (*WAKING, signal.SIGQUIT, signal.SIGPIPE, signal.SIGXFSZ)
PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> int:
    """Guard the command until it ends; returns the exit code for the guard."""
    owner, plan, run_as, lock, *command = arguments
    steps = [(int(number), float(wait)) for number, wait in (s.split(":") for s in plan.split(","))]

    woken, wake = os.pipe()
    os.set_blocking(woken, False)
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    for number in WAKING:
        signal.signal(number, lambda *_: None)

    # A stop that comes between fork and exec must wait for the command, not find our handlers.
    signal.pthread_sigmask(signal.SIG_BLOCK, RESTORED)
    child = os.fork()
    if child == 0:
        # The last step of the plan: with the guard gone nobody is left to insist.
        become(command, run_as, death_signal=steps[-1][0])
    signal.pthread_sigmask(signal.SIG_UNBLOCK, RESTORED)
    os.ftruncate(int(lock), 0)
    os.pwrite(int(lock), f"{child}\n".encode(), 0)

    waiting = [sys.stdin.fileno(), woken, *owner_descriptors(int(owner))]
    while True:
        ready, _, _ = select.select(waiting, [], [])
        # Drained before we look, or the signal of an end between the two would be lost.
        signals = drain(woken)
        if (code := exit_code(child)) is not None:
            return code
        if ready != [woken] or signals - {signal.SIGCHLD}:
            return stop(child, steps, woken)


def become(command: list[str], run_as: str, death_signal: int) -> None:
    """Turn this forked process into the command; never returns."""
    try:
        if run_as != "-":
            user, group = (int(number) for number in run_as.split(":"))
            os.setgroups([])
            os.setgid(group)
            os.setuid(user)
        if sys.platform == "linux":
            # After setuid, which clears it.
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, death_signal)
        for number in RESTORED:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, RESTORED)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.execvp(command[0], command)  # noqa: S606 - the owner's own words, no shell
    except OSError as error:
        os.write(2, f"cannot run {command[0]}: {error.strerror}\n".encode())
    finally:
        os._exit(127)


def owner_descriptors(owner: int) -> list[int]:
    """What becomes readable at the owner's end; nothing where the system has no pidfd.

    Beside the pipe because a process forked from the owner keeps the pipe open.
    """
    if not hasattr(os, "pidfd_open"):
        return []
    try:
        return [os.pidfd_open(owner)]
    except ProcessLookupError:
        # Gone before we looked; the pipe may be held open, a closed one is always readable.
        reader, writer = os.pipe()
        os.close(writer)
        return [reader]
    except OSError:
        return []


def drain(descriptor: int) -> set[int]:
    """The signals that came since the last look."""
    try:
        return set(os.read(descriptor, 1024))
    except BlockingIOError:
        return set()


def exit_code(child: int) -> int | None:
    """The command's exit code, 128 + n after signal n; None while it runs."""
    pid, status = os.waitpid(child, os.WNOHANG)
    if pid == 0:
        return None
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def stop(child: int, steps: list[tuple[int, float]], woken: int) -> int:
    """Send each signal of the plan and wait for it to work; SIGKILL works."""
    import time

    for number, seconds in steps:
        os.kill(child, number)
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            select.select([woken], [], [], left)
            drain(woken)
            if (code := exit_code(child)) is not None:
                return code
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return 128 + signal.SIGKILL


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
