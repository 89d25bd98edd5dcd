class Quiet:
    """Progress that nobody sees; may interrupt the run after so many parts."""

    def __init__(self, stop_after=None):
        self.left = stop_after

    def start(self, what, total, done=0):
        self.done = done

    def advance(self, text=""):
        if self.left is not None:
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
