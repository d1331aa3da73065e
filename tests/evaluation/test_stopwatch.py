from __future__ import annotations

from itertools import count

import pytest

from bagel_world.evaluation.stopwatch import Stopwatch


class Machine:
    """Each of its own steps takes one tick of the clock."""

    def __init__(self) -> None:
        self.ticks = 0
        self.fed: list[int] = []

    def inner(self, value: int) -> int:
        self.ticks += 1
        self.fed.append(value)
        return value + 1

    def outer(self, value: int) -> int:
        self.ticks += 10
        return self.inner(value)

    def broken(self) -> None:
        self.ticks += 100
        raise ZeroDivisionError


def test_time_adds_up_by_name_and_inner_calls_belong_to_their_caller() -> None:
    machine = Machine()
    watch = Stopwatch(lambda: float(machine.ticks))
    with watch.on({"in": (machine, "inner"), "out": (machine, "outer")}):
        assert machine.inner(1) == 2
        assert machine.outer(5) == 6
        assert machine.outer(value=7) == 8
    assert watch.seconds == {"in": 1.0, "out": 22.0}
    watch.reset()
    assert watch.seconds == {}


def test_the_object_is_as_before_afterwards() -> None:
    machine = Machine()
    watch = Stopwatch(lambda: float(machine.ticks))
    before = dict(vars(machine))
    with pytest.raises(ZeroDivisionError), watch.on({"broken": (machine, "broken"), "in": (machine, "inner")}):
        machine.broken()
    assert vars(machine).keys() == before.keys()
    assert watch.seconds == {"broken": 100.0}
    machine.inner(0)
    assert watch.seconds == {"broken": 100.0}


def test_the_last_call_can_be_replayed() -> None:
    ticks = count()
    machine = Machine()
    watch = Stopwatch(lambda: float(next(ticks)))
    with watch.on({"in": (machine, "inner")}):
        machine.inner(1)
        machine.inner(2)
    assert watch.replay("in") == 3
    assert machine.fed == [1, 2, 2]
    assert watch.seconds == {"in": 2.0}


class Queue:
    """A machine that is only told what to do, as a GPU is; the work is done when somebody waits for it."""

    def __init__(self) -> None:
        self.ticks, self.told = 0, 0

    def tell(self, ticks: int) -> None:
        self.told += ticks

    def finish(self) -> None:
        self.ticks, self.told = self.ticks + self.told, 0


def test_work_counts_where_it_was_told() -> None:
    queue = Queue()
    queue.tell(1000)  # by somebody else, before
    watch = Stopwatch(lambda: float(queue.ticks), queue.finish)
    with watch.on({"tell": (queue, "tell")}):
        queue.tell(3)
        queue.tell(4)
    assert watch.seconds == {"tell": 7.0}
