# Runs under MicroPython, in the place of umqtt.simple: a broker that is not there at the first try.

from machine import events


class MQTTException(Exception):
    pass


class MQTTClient:
    tries = 0

    def __init__(self, client_id, server, port=0, user=None, password=None):
        assert user is None and password is None
        self.server, self.connected = server, False

    def connect(self):
        MQTTClient.tries += 1
        if MQTTClient.tries == 1:
            raise OSError(113)
        if MQTTClient.tries == 2:
            raise MQTTException(3)
        if MQTTClient.tries == 3:
            raise IndexError("bytes index out of range")  # the broker has hung up
        self.connected = True
        events.append("MQTT %s" % self.server)

    def publish(self, topic, message):
        assert self.connected and isinstance(message, bytes)
        events.append("MQTT %s %s" % (topic, message.decode()))
