"""How many requests of a program are in flight, and who is next: of those that wait the oldest of the
group whose request has just ended (what their prompts have in common is still in that slot), else the
oldest of all. Without groups: first come, first served, as asyncio's semaphore does it."""

import asyncio
import contextlib


class Gate:
    def __init__(self, places):
        self.free = places
        self.waiting = []  # (group, future), the oldest first

    @contextlib.asynccontextmanager
    async def place(self, group=None):
        if self.free > 0:
            self.free -= 1
        else:
            given = asyncio.get_running_loop().create_future()
            self.waiting.append((group, given))
            await given
        try:
            yield
        finally:
            self.hand_on(group)

    def hand_on(self, group):
        """Gives the place of a request of this group to the next one."""
        at = next((at for at, (other, _) in enumerate(self.waiting)
                   if group is not None and other == group), 0)
        if self.waiting:
            self.waiting.pop(at)[1].set_result(None)
        else:
            self.free += 1
