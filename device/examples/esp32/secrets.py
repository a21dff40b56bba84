# What main.py needs to know of your network. Keep your own copy out of version control.

WIFI = "name of the network"
PASSWORD = "its password"
BROKER = "192.168.1.10"  # name or address of the MQTT broker
USER = None  # where the broker asks for a name
BROKER_PASSWORD = None
TOPIC = "home/wakeword"
