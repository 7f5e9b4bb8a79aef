"""A clock for engines that wait: sleeping takes no time and moves it."""


class Clock:
    """Seconds, and how long each sleep was."""

    def __init__(self, now=0.0):
        self.now = now
        self.slept = []

    def __call__(self):
        return self.now

    async def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds
