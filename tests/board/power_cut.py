# What test_power_cut.py runs under MicroPython: BLOCK_BYTES BLOCKS [careless] [fat]
#
# Updates of the model on a littlefs are recorded, operation by operation. Then the power is cut before each operation,
# and in the middle of it: what the flash holds by then is mounted, and store.load() has to give a model that is whole
# and the one before the update or the one after. Prints what went wrong, and at the end the counts. With `careless`,
# the same of an update that writes over the model, as it would be without store: the cuts have to find it.
# With `fat`, the same on a memory card, whose blocks are written whole or not at all.

import os
import sys

import flash
import vfs
import whit
from whit import store

PATH = flash.ROOT + "/m.whit"
X = bytes([i * 37 & 255 for i in range(64)])
FAT = "fat" in sys.argv
EVERY = 11  # one in so many of the survivors takes an update more, and a cut of what load() itself writes


def content(name):
    with open(name, "rb") as f:
        return f.read()


def answer(m):
    y = bytearray(10)
    m.run(X, y)
    return bytes(y)


MODELS = {name: content(name + ".whit") for name in ("a", "b", "digits")}
ANSWERS = {name: answer(whit.load(MODELS[name])) for name in MODELS}


# The ways to update: what happens while the power may go


def from_buffer(name):
    store.update(PATH, MODELS[name])


def from_chunks(name):
    store.update(PATH, (MODELS[name][i : i + 100] for i in range(0, len(MODELS[name]), 100)))


def from_pc(name):
    # As over the serial line: path.new is written a piece at a time, and closed in between.
    for i in range(0, len(MODELS[name]), 1024):
        with open(PATH + ".new", "ab" if i else "wb") as f:
            f.write(MODELS[name][i : i + 512])
            f.write(MODELS[name][i + 512 : i + 1024])
    store.commit(PATH)


def careless(name):
    for i in range(0, len(MODELS[name]), 512):
        with open(PATH, "ab" if i else "wb") as f:
            f.write(MODELS[name][i : i + 512])


def refused(name):
    # Something else than a model, while this one is there.
    try:
        store.update(PATH, MODELS["a"][:-1])
        raise AssertionError("taken")
    except ValueError:
        pass


def roll_back(name):
    store.load(PATH)


# What has happened before


def nothing():
    pass


def cut_between_renames():
    # Of an update to b, and nobody has called load() since.
    with open(PATH + ".new", "wb") as f:
        f.write(MODELS["b"])
    os.rename(PATH, PATH + ".old")


def rot():
    # The model is no longer what was written.
    with open(PATH, "wb") as f:
        f.write(b"rotten" * 200)


# What has happened before, the way, the model that it leads to, and what load() may give in the course of it.
UPDATES = (
    (nothing, from_buffer, "a", (None, "a")),
    (nothing, from_pc, "digits", ("a", "digits")),
    (nothing, from_chunks, "b", ("digits", "b")),
    (nothing, refused, "b", ("b",)),
    (nothing, from_pc, "a", ("b", "a")),
    (rot, roll_back, "b", ("b",)),
    (nothing, from_buffer, "digits", ("b", "digits")),
    (cut_between_renames, from_pc, "a", ("digits", "b", "a")),
)
CARELESS = (
    (nothing, from_buffer, "a", (None, "a")),
    (nothing, careless, "b", ("a", "b")),
)


# The cuts


def parts(operation, block_bytes):
    # (first, last) of what of an operation has happened when the power goes: nothing, one byte, half, all but one;
    # of an erase, either half.
    _, data = operation
    if FAT:
        return ((0, 0),)
    size = block_bytes if data is None else len(data)
    if data is None:
        return (0, 0), (0, size // 2), (size // 2, size)
    return (0, 0), (0, 1), (0, size // 2), (0, size - 1)


class Trial:
    def __init__(self, chip):
        self.chip = chip  # of the board, after a cut
        self.found = set()
        self.cuts = self.lost = self.recoveries = self.updates = 0

    def start(self, image, *cut):
        # The board starts with this on its flash, and the part of an operation that still happened to it.
        self.chip.data[:] = image
        if cut:
            self.chip.apply(*cut)
        flash.mount(self.chip)

    def survives(self, allowed, what):
        # Which of the models allowed the board gives, None where that is allowed too and there is none.
        self.cuts += 1
        try:
            m = store.load(PATH)
            found = [name for name in MODELS if answer(m) == ANSWERS[name] and content(PATH) == MODELS[name]]
            if len(found) == 1 and found[0] in allowed and m.name == PATH:
                return found[0]
            text = "not one of the models"
        except Exception as e:
            if None in allowed and isinstance(e, OSError) and e.args[0] == 2:
                return None
            text = repr(e)
        self.lost += 1
        if self.lost < 10:
            print("lost:", what, text)
        return "lost"

    def cut(self, image, log, allowed, what, deep=True):
        # Cut the power at every operation of a log that starts with this image; leaves in image what all of it makes.
        work = flash.Flash(self.chip.block_bytes, self.chip.blocks)
        work.data[:] = image
        for n, operation in enumerate(log):
            start, data = operation
            for first, last in parts(operation, work.block_bytes):
                self.start(work.data, start, data, first, last)
                where = what, "operation", n, "of", len(log), "bytes", first, last
                before = bytes(self.chip.data) if deep else None
                self.chip.log = [] if deep else None
                self.found.add(self.survives(allowed, where))
                recovery, self.chip.log = self.chip.log, None
                if recovery:  # load() has put something in order: cut that too
                    self.recoveries += 1
                    if self.recoveries % EVERY == 1 or len(recovery) > 2:
                        self.cut(before, recovery, allowed, where, False)
                if deep and self.cuts % EVERY == 0:
                    self.update_after(work, operation, first, last, where)
            work.apply(start, data)
        return work.data

    def update_after(self, work, operation, first, last, where):
        # The survivor takes another update, whether it has been loaded or not.
        for loaded in True, False:
            self.start(work.data, *operation, first, last)
            try:
                if loaded:
                    try:
                        store.load(PATH)
                    except OSError:
                        pass
                store.update(PATH, MODELS["b"])
            except Exception as e:
                print("no update:", where, repr(e))
                self.lost += 1
            flash.mount(self.chip)
            self.updates += 1
            self.survives(("b",), (where, "and an update"))


def main(block_bytes, blocks, updates):
    kind = vfs.VfsFat if FAT else vfs.VfsLfs2
    trial = Trial(flash.Flash(block_bytes, blocks, kind))
    chip = flash.formatted(block_bytes, blocks, kind)
    for before, update, name, allowed in updates:
        flash.mount(chip)
        before()
        image = bytes(chip.data)
        flash.mount(chip)
        chip.log = []
        update(name)
        log, chip.log = chip.log, None
        what = before.__name__, update.__name__, name
        trial.found.clear()
        assert trial.cut(image, log, allowed, what) == chip.data  # the record is complete
        trial.start(chip.data)
        trial.survives((name,), (what, "after it"))
        print(*what, len(log), "operations, load() gave", trial.found)
        assert trial.found == set(allowed) or trial.lost, "too few cuts: a state was never met"
    print(
        "%d cuts, %d in which load() puts things in order, %d updates after a cut, %d models lost"
        % (trial.cuts, trial.recoveries, trial.updates, trial.lost)
    )


main(int(sys.argv[1]), int(sys.argv[2]), CARELESS if "careless" in sys.argv else UPDATES)
