# Runs under MicroPython, in the place of a board's `network`: Wi-Fi that takes a while.

from machine import events

STA_IF = 0


class WLAN:
    def __init__(self, interface):
        assert interface == STA_IF
        self._asked = None

    def active(self, on):
        events.append("Wi-Fi active")

    def connect(self, name, password):
        events.append("Wi-Fi connect %s %s" % (name, password))
        self._asked = 0

    def isconnected(self):
        assert self._asked is not None, "nobody has told it to connect"
        self._asked += 1
        return self._asked > 3
