# What hear.py runs under MicroPython: FOLDER KERNELS RATE.
# FOLDER/sound holds the samples; FOLDER/heard gets a line for each word: its number among the words, and the ms.
import sys

from whit.listen import Listener


class Sound:
    # Prints the number of each second that has been read.
    def __init__(self, path, rate):
        self.file = open(path, "rb")
        self.second = 2 * rate
        self.read = 0

    def readinto(self, buffer):
        count = self.file.readinto(buffer)
        before = self.read // self.second
        self.read += count
        for i in range(before, self.read // self.second):
            print(i)
        return count


def main(folder, kernels, rate):
    listener = Listener(folder + "/model.whit", Sound(folder + "/sound", int(rate)), kernels=kernels or None)
    with open(folder + "/heard", "w") as target:
        for word, ms in listener:
            target.write("%d %d\n" % (listener.words.index(word), ms))


try:
    main(*sys.argv[1:])
except (ValueError, MemoryError, OSError) as e:
    print(str(e).replace(sys.argv[1] + "/", ""), file=sys.stderr)
    sys.exit(1)
