# An ESP32 or ESP32-S3 with an INMP441 microphone: hears "Hey Jarvis" and says so over MQTT.
#
#     INMP441   ESP32
#     VDD       3V3
#     GND       GND
#     L/R       GND: it speaks on the left channel, the one that is read
#     SCK       GPIO 32, on an S3 GPIO 5
#     WS        GPIO 25, on an S3 GPIO 6
#     SD        GPIO 33, on an S3 GPIO 7
#
# hey_jarvis.whit and whit itself lie on the board already: whit deploy. Fill in secrets.py, then copy it and this file
# to the board. The MQTT client: mpremote mip install umqtt.simple

import asyncio
import secrets
import sys

import whit
from machine import I2S, Pin
from network import STA_IF, WLAN
from umqtt.simple import MQTTClient
from whit.listen import Listener

SCK, WS, SD = (5, 6, 7) if "S3" in sys.implementation._machine else (32, 25, 33)
RATE = 16000
KEPT_MS = 128  # how much sound waits while the board does something else
FRAME_BYTES = 8  # I2S keeps a sample of 16 bits as two slots of 32
LOUDER = 2  # bits: four times as loud, as the microphone is quiet
MOST_WORDS = 10  # that wait for the network

model = whit.load("hey_jarvis.whit")  # before Wi-Fi, which takes from the same memory
microphone = I2S(
    0,
    sck=Pin(SCK),
    ws=Pin(WS),
    sd=Pin(SD),
    mode=I2S.RX,
    bits=16,
    format=I2S.MONO,
    rate=RATE,
    ibuf=RATE * KEPT_MS // 1000 * FRAME_BYTES,
)
words = []
heard = asyncio.Event()


def louder(samples):
    I2S.shift(buf=samples, bits=16, shift=LOUDER)


async def listen():
    async for word, ms in Listener(model, microphone, buffered_ms=KEPT_MS, prepare=louder):
        print("%s, %d.%d s after the start" % (word, ms // 1000, ms % 1000 // 100))
        if len(words) < MOST_WORDS:
            words.append(word)
        heard.set()


async def publish():
    wifi = WLAN(STA_IF)
    wifi.active(True)
    wifi.connect(secrets.WIFI, secrets.PASSWORD)  # once: it connects again by itself
    client = None
    while True:
        await heard.wait()
        heard.clear()
        while words:
            waited = 0
            while not wifi.isconnected():
                await asyncio.sleep_ms(100)
                waited += 1
                if waited == 100:
                    print("there is no Wi-Fi %s yet; check it, and secrets.py" % secrets.WIFI)
            try:
                if client is None:
                    client = MQTTClient("whit", secrets.BROKER, user=secrets.USER, password=secrets.BROKER_PASSWORD)
                    client.connect()
                client.publish(secrets.TOPIC, words[0].encode())
                words.pop(0)
            except Exception as e:  # of a broker that hangs up umqtt says so by IndexError and AssertionError too
                print("the broker at %s does not take the word: %r; trying again" % (secrets.BROKER, e))
                client = None
                await asyncio.sleep(1)


async def main():
    other = asyncio.create_task(publish())
    print("listening")
    await listen()
    other.cancel()


asyncio.run(main())
