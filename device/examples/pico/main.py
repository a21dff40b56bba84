# A Pico, Pico W or Pico 2 with an INMP441 microphone: hears "Hey Jarvis" and blinks.
#
#     INMP441   Pico
#     VDD       3V3, pin 36
#     GND       GND, pin 38
#     L/R       GND, pin 38: it speaks on the left channel, the one that is read
#     SCK       GP16, pin 21
#     WS        GP17, pin 22: always the pin behind SCK's
#     SD        GP18, pin 24
#
# hey_jarvis.whit and whit itself lie on the board already: whit deploy. Copy this file as main.py.

import whit
from machine import I2S, Pin, Timer
from whit.listen import Listener

RATE = 16000
KEPT_MS = 128  # how much sound waits while the board does something else
FRAME_BYTES = 8  # I2S keeps a sample of 16 bits as two slots of 32
LOUDER = 2  # bits: four times as loud, as the microphone is quiet

model = whit.load("hey_jarvis.whit")  # first, as it takes the largest blocks
microphone = I2S(
    0,
    sck=Pin(16),
    ws=Pin(17),
    sd=Pin(18),
    mode=I2S.RX,
    bits=16,
    format=I2S.MONO,
    rate=RATE,
    ibuf=RATE * KEPT_MS // 1000 * FRAME_BYTES,
)
led = Pin("LED", Pin.OUT)
timer = Timer()


def louder(samples):
    I2S.shift(buf=samples, bits=16, shift=LOUDER)


def dark(timer):
    led.off()


print("listening")
for word, ms in Listener(model, microphone, buffered_ms=KEPT_MS, prepare=louder):
    print("%s, %d.%d s after the start" % (word, ms // 1000, ms % 1000 // 100))
    led.on()
    timer.init(period=500, mode=Timer.ONE_SHOT, callback=dark)  # no sleep here: the sound goes on
