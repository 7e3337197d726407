"""Children that do not outlive their parent, not even one that is killed with SIGKILL (on Linux).

A program of its own that sets itself up and then becomes the child:

    python parent_death.py PARENT_PID COMMAND ARGUMENT…
"""

import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def mortal(command: list[str]) -> list[str]:
    """The command, to be started by this process and killed with it.

    Linux watches the thread that starts the child: use one that lives on, such as the main thread.
    Elsewhere the command runs as it is.
    """
    if sys.platform != "linux":
        return command
    return [sys.executable, "-I", "-S", os.path.abspath(__file__), str(os.getpid()), *command]


def main() -> None:
    """Asks the kernel for a SIGKILL when the parent ends, and becomes the command."""
    import ctypes  # needed in the child only

    _, parent, *command = sys.argv
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):  # it ended while we started
        sys.exit(1)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.exit(f"{command[0]}: {error.strerror}")


if __name__ == "__main__":
    main()
