"""Cycles in made-up waits-for graphs."""

from __future__ import annotations

from kautopsy.kernel.locks import Edge, Owner, cycles
from kautopsy.kernel.waits import LockKind, Wait


def edge(waiter: int, owner: int, lock: int, certainty: float = 1.0) -> Edge:
    wait = Wait(
        waiter, waiter, f"t{waiter}", "D", LockKind.MUTEX, lock, "", (waiter,), "mutex_lock", 10**10
    )
    return Edge(wait, Owner(owner, certainty, "test"))


def tasks(cycle: tuple[Edge, ...]) -> set[int]:
    return {one.wait.task for one in cycle}


def test_a_chain_is_no_cycle() -> None:
    assert cycles((edge(1, 2, 0xA), edge(2, 3, 0xB))) == []


def test_self_deadlock() -> None:
    [cycle] = cycles((edge(1, 1, 0xA),))
    assert tasks(cycle) == {1}


def test_abba_is_found_once_with_its_victims_left_out() -> None:
    [cycle] = cycles((edge(1, 2, 0xA), edge(2, 1, 0xB), edge(3, 1, 0xB), edge(4, 3, 0xC)))
    assert tasks(cycle) == {1, 2}


def test_three_in_a_circle() -> None:
    [cycle] = cycles((edge(1, 2, 0xA), edge(2, 3, 0xB), edge(3, 1, 0xC)))
    assert tasks(cycle) == {1, 2, 3}


def test_the_right_one_of_several_possible_owners_closes_the_circle() -> None:
    found = cycles((edge(1, 2, 0xA, 0.5), edge(1, 3, 0xA, 0.5), edge(3, 1, 0xB)))
    assert [tasks(cycle) for cycle in found] == [{1, 3}]


def test_two_circles() -> None:
    found = cycles((edge(1, 2, 0xA), edge(2, 1, 0xB), edge(5, 6, 0xC), edge(6, 5, 0xD)))
    assert [tasks(cycle) for cycle in found] == [{1, 2}, {5, 6}]


def test_a_long_queue_behind_one_owner_takes_no_time() -> None:
    crowd = tuple(edge(n, 1, 0xA) for n in range(2, 3000))
    assert cycles(crowd) == []
