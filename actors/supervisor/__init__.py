"""The supervisor: commands in, traders placed, and whatever should run kept running.

`intake` says whose turn it is, `dispatch` carries commands to hosts and keeps what became of them, `sessions` is the desired
state, `halts` the kill switch, `signals` takes in other programs' signals, and `supervisor` brings them together.
"""

from actors.supervisor.supervisor import PLATFORM, Supervisor

__all__ = ["PLATFORM", "Supervisor"]
