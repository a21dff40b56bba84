# The weights of a model that stay in its file, and are read a page at a time.


class Pager:
    # A kernel set over another: before a step runs, the page with its weights is read into the one buffer.

    def __init__(self, name, file, start, buffer, pages):
        # start: of the weights in the file. pages: three numbers each, as in the section PAGES.
        self._name, self._file, self._start, self._pages = name, file, start, pages
        self.buffer = buffer
        self.kernels = None  # the set that computes
        self.count = len(pages) // 3
        self._held = -3  # where in `pages` the page is that the buffer holds; -3 for none

    def run(self, steps, weights, arena, first, last):
        while first < last:
            self.fetch(first)
            end = self._pages[self._held]
            if end > last:
                end = last
            self.kernels.run(steps, weights, arena, first, end)
            first = end

    def fetch(self, step):
        # The page of the step at this offset into the buffer; True if it was not there.
        at = held = self._held
        pages = self._pages
        if at < 0 or (at and step < pages[at - 3]):
            at = 0
        while pages[at] <= step:
            at += 3
        if at == held:
            return False
        if not self._file:
            raise ValueError(self._name + " has been closed; load it again")
        self._held = -3
        size = pages[at + 2]
        self._file.seek(self._start + pages[at + 1])
        if self._file.readinto(self.buffer, size) != size:
            raise OSError(self._name + " ends within a page; copy it to the board again")
        self._held = at
        return True

    def close(self):
        self._held = -3
        if self._file:
            self._file.close()
            self._file = None
