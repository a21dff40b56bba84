"""remote: the real mpremote, as a user calls it, on the port of a simulated board."""

from __future__ import annotations

import subprocess
import sys

TIMEOUT = 30  # seconds; far more than anything takes


def mpremote(plugged, *arguments) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "mpremote", "connect", plugged.port, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, timeout=TIMEOUT)


def said(plugged, *arguments) -> str:
    done = mpremote(plugged, *arguments)
    assert done.returncode == 0, done
    return done.stdout.decode().replace("\r\n", "\n")


def failed(plugged, *arguments) -> str:
    done = mpremote(plugged, *arguments)
    assert done.returncode == 1, done
    return (done.stdout + done.stderr).decode()
