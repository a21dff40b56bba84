# The generator of the self-test's input.

from whit.device.format import noise


def bytes_of(seed, count):
    buffer = bytearray(count)
    noise(seed, buffer)
    return bytes(buffer)


def test_the_first_bytes_are_those_of_the_written_down_generator():
    def reference(x):
        while True:
            x ^= x << 7 & 0xFFFF
            x ^= x >> 9
            x ^= x << 8 & 0xFFFF
            yield x & 0xFF

    for seed in 1, 0x5749, 0xFFFF:
        steps = reference(seed)
        assert bytes_of(seed, 32) == bytes([next(steps) for _ in range(32)])


def test_the_first_bytes_never_change():
    assert bytes_of(1, 8) == b"\x81\x21\x99\x0b\x9e\xa3\x27\xf9"


def test_two_buffers_continue_as_one_would():
    first, second = bytearray(5), bytearray(7)
    assert noise(noise(1, first), second) == noise(1, bytearray(12))
    assert bytes(first + second) == bytes_of(1, 12)


def test_every_seed_lies_on_one_period_of_65535():
    assert noise(1, bytearray(65535)) == 1
    for factor in 3, 5, 17, 257:  # the primes of 65535: a shorter period would divide 65535 by one of them
        assert noise(1, bytearray(65535 // factor)) != 1
