"""The commands about boards, each a function that calls one module and shows what it returns."""

from __future__ import annotations

COMMANDS: dict = {}
