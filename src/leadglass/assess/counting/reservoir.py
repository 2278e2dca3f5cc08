"""A few of a stream of unknown length, drawn at random as it goes by."""

import math
from secrets import SystemRandom
from typing import Generic, TypeVar

_Item = TypeVar("_Item")


class Reservoir(Generic[_Item]):
    """Each item offered is as likely as any other to be among those drawn, however many come (algorithm L, Li 1994:
    random numbers are needed only for the few that are taken)."""

    def __init__(self, size: int) -> None:
        self.drawn: list[_Item] = []
        self._size = size
        self._offered = 0
        self._next = 0
        self._weight = 1.0
        self._random = SystemRandom()

    def offer(self, item: _Item) -> None:
        self._offered += 1
        if len(self.drawn) < self._size:
            self.drawn.append(item)
        elif self._offered == self._next:
            self.drawn[self._random.randrange(self._size)] = item
        else:
            return
        if len(self.drawn) == self._size:
            self._skip()

    def _skip(self) -> None:
        # 1 - random() is never 0, whose logarithm there is none of.
        self._weight *= math.exp(math.log(1 - self._random.random()) / self._size)
        skipped = math.log(1 - self._random.random()) / math.log1p(-self._weight)
        self._next = self._offered + int(skipped) + 1
