# What simulate.py runs under MicroPython: FOLDER int|float KERNELS PAGED COUNT.
# FOLDER/inputs holds the samples one after another, each with all inputs; FOLDER/outputs gets the results alike.
import sys
from array import array

import whit


def main(folder, kind, kernels, paged, count):
    paged = {"True": True, "False": False, "None": None}[paged]
    m = whit.load(folder + "/model.whit", kernels=kernels or None, paged=paged)
    if kind == "float":
        xs = [array("f", bytes(4 * t.size)) for t in m.inputs]
    else:
        xs = [bytearray(t.size) for t in m.inputs]
        ys = tuple([bytearray(t.size) for t in m.outputs])
    with open(folder + "/inputs", "rb") as source, open(folder + "/outputs", "wb") as target:
        for i in range(int(count)):
            for x in xs:
                source.readinto(x)
            if kind == "float":
                try:
                    out = m.predict(*xs)
                except ValueError as e:
                    raise ValueError("model.whit: sample %d: %s" % (i, e))
                ys = out if isinstance(out, list) else [out]
            else:
                m.run(tuple(xs), ys)
            for y in ys:
                target.write(y)
            print(i)


try:
    main(*sys.argv[1:])
except (ValueError, MemoryError, OSError) as e:
    print(str(e).replace(sys.argv[1] + "/", ""), file=sys.stderr)
    sys.exit(1)
