# A loaded model: its inputs and outputs in the arena, and the ways to run it.

import struct
from array import array

from . import format as blob
from . import kernelset


class _Key:
    # m[:] makes a slice object each time; one made here serves every copy.
    def __getitem__(self, key):
        return key


_ALL = _Key()[:]
_SEVERAL = (tuple, list)  # built here and not in each call


class Tensor:
    """An input or output: name, shape, dtype, scale, zero_point, and data, its bytes in the arena.

    real = scale * (q - zero_point), where q is a byte of data taken as dtype ("int8" or "uint8"). A run overwrites the
    data of the inputs.
    """

    def __init__(self, arena, offset, size, scale, zero_point, dtype, shape, name):
        self.size, self.scale, self.zero_point = size, scale, zero_point
        self.dtype, self.shape, self.name = dtype, shape, name
        self.data = memoryview(arena)[offset : offset + size]

    def __repr__(self):
        return "<%s %s %s>" % (self.name, self.dtype, self.shape)


class Model:
    """What whit.load() returns. See whit.load for where its memory comes from."""

    def __init__(self, found, kernels):
        # found: as reader.whole() and paged() give it
        name, view, (arena_bytes, sections, used, _), arena, pager = found
        self.name = name
        self.kernels, self._set = kernelset.select(kernels)
        if hasattr(self._set, "prepare"):
            self._set.prepare(used)
        self._view = view
        self._sections = sections
        self._steps = self.section(blob.STEPS)
        self._pager = pager
        if pager:
            pager.kernels = self._set
            self._set = pager
        self._weights = pager.buffer if pager else self.section(blob.WEIGHTS)
        self._arena = _arena(name, view, arena, arena_bytes)
        self._end = len(self._steps)
        self.arena_bytes = arena_bytes
        self.inputs = []
        self.outputs = []
        for kind, *fields in blob.tensors(view, *sections[blob.TENSORS]):
            (self.inputs if kind == blob.INPUT else self.outputs).append(Tensor(self._arena, *fields))
        self.reset()

    def reset(self):
        """Put back what a streaming model keeps between runs to what it was at load; others keep nothing."""
        records = self.section(blob.STATE)
        if records:
            from . import state

            state.write(records, memoryview(self._arena))

    def section(self, number):
        """The bytes of a section of the file, a memoryview; None where it has none."""
        if number in self._sections:
            at, length = self._sections[number]
            return self._view[at : at + length]

    @property
    def pages(self):
        """How many pages the weights are in that a run reads from the file; 0 where they are in memory.

        A single page stays in memory once it has been read.
        """
        return self._pager.count if self._pager else 0

    @property
    def labels(self):
        """The class names that came with the model, a list of str; empty if there are none."""
        names = self.section(blob.LABELS)
        return str(bytes(names), "utf-8").split("\n") if names else []

    def run(self, x=None, y=None):
        """Run once on quantized values, allocating nothing.

        x, y: buffers of one byte per element, copied to the input and from the output; a tuple of buffers where
        there are several; None to use inputs[i].data and outputs[i].data in place. Running overwrites the inputs.
        """
        if x is not None:
            self._copy(self.inputs, x, True)
        self._set.run(self._steps, self._weights, self._arena, 0, self._end)
        if y is not None:
            self._copy(self.outputs, y, False)

    def _copy(self, tensors, buffers, inward):
        several = isinstance(buffers, _SEVERAL)
        count = len(buffers) if several else 1
        if count != len(tensors):
            raise ValueError(
                "%s has %d %s, a list or tuple of %d was given; give a bytearray or array('b') for each"
                % (self.name, len(tensors), "inputs" if inward else "outputs", count)
            )
        for i in range(len(tensors)):
            buffer = buffers[i] if several else buffers
            t = tensors[i]
            try:
                if len(buffer) != t.size:
                    raise TypeError
                if inward:
                    t.data[_ALL] = buffer
                else:
                    buffer[_ALL] = t.data
            except (TypeError, ValueError, NotImplementedError):
                raise ValueError(
                    "%s takes %d bytes of %s, %s was given; use a bytearray or array('b') of that length"
                    % (t.name, t.size, t.dtype, _describe(buffer))
                )

    def predict(self, *xs):
        """Run once on real values, one argument per input.

        x: any sequence of numbers of the input's number of elements, nested as its shape or flat: lists, arrays,
        buffers, ulab arrays. Returns array('f') of the output's elements, or a list of them for several outputs.
        """
        if len(xs) != len(self.inputs):
            raise ValueError(
                "%s has %d inputs, predict() was given %d; give one argument each"
                % (self.name, len(self.inputs), len(xs))
            )
        for i in range(len(xs)):
            _quantize(self.inputs[i], xs[i])
        self._set.run(self._steps, self._weights, self._arena, 0, self._end)
        ys = [_dequantize(t) for t in self.outputs]
        return ys[0] if len(ys) == 1 else ys

    def steps(self):
        """Run one kernel at a time: a generator that yields the number of the step it has just run.

        Fill inputs[i].data before the first, all of it, as running overwrites the inputs; outputs[i].data holds the
        outputs after the last. No other run of the same model may come between.
        """
        at = number = 0
        while at < self._end:
            end = self._after(at)
            self._set.run(self._steps, self._weights, self._arena, at, end)
            yield number
            at = end
            number += 1

    def _after(self, at):
        # Where the step record at `at` ends.
        return at + (self._steps[at + 2] | self._steps[at + 3] << 8)

    def profile(self):
        """Run once on what the arena holds; a list of (what, microseconds).

        what: the kernel's name, for each step; "page" for each page of weights that was read before one.
        """
        from time import ticks_diff, ticks_us

        names = _kernels()
        times = []
        at = 0
        while at < self._end:
            start = ticks_us()
            if self._pager and self._pager.fetch(at):
                times.append(("page", ticks_diff(ticks_us(), start)))
                start = ticks_us()
            end = self._after(at)
            self._set.run(self._steps, self._weights, self._arena, at, end)
            times.append((names[self._steps[at]], ticks_diff(ticks_us(), start)))
            at = end
        return times

    def close(self):
        """Close the file of a model whose weights are read from it; it does not run any more. Others have none."""
        if self._pager:
            self._pager.close()

    def summary(self):
        """Print what the model is and what it needs."""
        size = struct.unpack_from(blob.HEADER, self._view, 0)[5]
        print("%s: %d bytes, arena %d bytes, %s kernels" % (self.name, size, self.arena_bytes, self.kernels))
        if self._pager:
            print("  weights in %d pages of up to %d bytes, read from the file" % (self.pages, len(self._weights)))
        for title, tensors in ("in ", self.inputs), ("out", self.outputs):
            for t in tensors:
                print("  %s %s %s %s, real = %g * (q %+d)" % (title, t.name, t.dtype, t.shape, t.scale, -t.zero_point))
        if self.labels:
            print("  labels " + ", ".join(self.labels))
        names = _kernels()
        counts = {}
        at = 0
        while at < self._end:
            name = names[self._steps[at]]
            counts[name] = counts.get(name, 0) + 1
            at = self._after(at)
        print("  steps: " + ", ".join(["%d %s" % (counts[name], name) for name in counts]))

    def selftest(self):
        """Run the golden vector of the file: True if every step writes what the PC computed.

        Of a streaming model it is a first run, and the model is as it was at load before and after it.
        """
        if blob.SELFTEST not in self._sections:
            raise ValueError(self.name + " has no self-test; pack it again")
        from binascii import crc32

        self.reset()
        seed, _, golden = struct.unpack_from(blob.SELFTEST_RECORD, self.section(blob.SELFTEST), 0)
        for t in self.inputs:
            seed = blob.noise(seed, t.data)
        from . import forget, opset

        crc = 0
        ran = self.steps()
        arena = memoryview(self._arena)
        for row, fields in opset.records(self._steps):
            next(ran)
            at = fields["y"]
            crc = crc32(arena[at : at + opset.written(row, fields)], crc)  # of a copy, which may leave gaps, nothing
        opset = row = None
        forget("opset")
        self.reset()
        return crc & 0xFFFFFFFF == golden


def _kernels():
    # {kernel id: name}
    from . import forget, opset

    names = {row[0]: row[1] for row in opset.KERNELS}
    opset = None
    forget("opset")
    return names


def _arena(name, view, arena, size):
    if not _writable(arena) or len(arena) < size:
        raise ValueError(
            "%s needs an arena of %d bytes, %s was given; give a bytearray" % (name, size, _describe(arena))
        )
    from uctypes import addressof

    start, blob_start = addressof(arena), addressof(view)
    if start & 3 or (start < blob_start + len(view) and blob_start < start + len(arena)):
        raise ValueError("the arena for %s is not aligned to 4 bytes or is the model itself; give a bytearray" % name)
    return arena


def _writable(arena):
    # A kernel writes bytes there: no read-only view, and no items that are signed or wider than a byte.
    if isinstance(arena, bytearray):
        return True
    if not isinstance(arena, memoryview) or len(arena) < 2:
        return False
    try:
        arena[0] = 255
    except TypeError:
        return False
    return arena[0] == 255 and len(bytes(arena[:2])) == 2


def _describe(x):
    try:
        return "%s of %d" % (type(x).__name__, len(x))
    except TypeError:
        return type(x).__name__


def _quantize(t, x):
    # Real values -> the input's bytes: x / scale in float32, ties away from zero, saturating, as TFLM's QUANTIZE.
    if not t.scale:
        raise ValueError(t.name + " has no scale, so predict() cannot quantize for it; use run() with its bytes")
    low = 0 if t.dtype == "uint8" else -128
    cell = array("f", (t.scale, 0.0))  # rounds to float32 where this port's floats are wider
    n = -1
    if not isinstance(x, str) and _iterable(x):
        try:
            n = _fill(t, _flat(x), cell, 0, low)
        except (TypeError, ValueError, OverflowError) as e:
            raise ValueError("%s takes %d numbers %s: %s; clean the input" % (t.name, t.size, t.shape, e))
    if n != t.size:
        raise ValueError(
            "%s takes %d numbers %s, %s was given; give a sequence of that length"
            % (t.name, t.size, t.shape, _describe(x))
        )


def _iterable(x):
    try:
        iter(x)
        return True
    except TypeError:
        return False


def _flat(x):
    # Arrays of several dimensions that have a buffer (ulab) are one run of numbers.
    try:
        return x if isinstance(x, (list, tuple, array)) else memoryview(x)
    except TypeError:
        return x


def _fill(t, x, cell, at, low):
    # Quantize the numbers of x, nested or not, to t.data[at:]; -> the end, or t.size + 1 if there are too many.
    data = t.data
    zero_point = t.zero_point - low
    for v in x:
        if isinstance(v, (list, tuple, array)):
            at = _fill(t, v, cell, at, low)
            continue
        if at >= t.size:
            return t.size + 1
        cell[1] = v
        cell[1] = cell[1] / cell[0]
        v = cell[1]
        if not -70000.0 < v < 70000.0:
            if v != v:
                raise ValueError("element %d is not a number" % at)
            v = 70000.0 if v > 0 else -70000.0
        q = int(v)
        v -= q
        q += zero_point + (1 if v >= 0.5 else -1 if v <= -0.5 else 0)
        data[at] = ((0 if q < 0 else 255 if q > 255 else q) + low) & 0xFF
        at += 1
    return at


def _dequantize(t):
    # -> array('f') of scale * (q - zero_point)
    data, scale, zero_point = t.data, t.scale or 1.0, t.zero_point
    flip = 0 if t.dtype == "uint8" else 128
    y = array("f", bytes(4 * t.size))
    for i in range(t.size):
        y[i] = scale * ((data[i] ^ flip) - flip - zero_point)
    return y
