# Runs test files under MicroPython: FOLDER TESTS NAME ...
# FOLDER/whit/device is the device package, TESTS holds the files NAME.py.
# Prints a line per test, and a traceback for one that fails.

import sys


def run(name):
    module = __import__(name)
    for test in sorted(dir(module)):
        if test.startswith("test_"):
            try:
                getattr(module, test)()
                print("passed", name, test)
            except Exception as e:
                print("FAILED", name, test)
                sys.print_exception(e)


for path in sys.argv[1:3]:
    sys.path.insert(0, path)
for name in sys.argv[3:]:
    run(name)
