"""Boards that wait for a step, and the room for more of them at one moment.

Boards are kept by window, jump host and site. So a choice of boards takes time by the number of
chosen boards, however many wait.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from toolkit.fleet.board import FleetBoard
from toolkit.fleet.policy import Concurrency

Windows = tuple[int, ...]
Sites = dict[str, dict[str, FleetBoard]]


class Occupation:
    """Numbers of boards on which a step goes on."""

    def __init__(self) -> None:
        self.total = 0
        self.jumps: Counter[str] = Counter()
        self.sites: Counter[str] = Counter()
        self.steps: Counter[str] = Counter()
        """Number of boards by step; boards that are tried again are left out."""

    def enter(self, board: FleetBoard, step: str) -> None:
        """Count a board on which a step begins."""
        self._add(board, step, 1)

    def leave(self, board: FleetBoard, step: str) -> None:
        """Count a board on which a step ended no longer."""
        self._add(board, step, -1)
        if not self.jumps[board.member.jump]:
            del self.jumps[board.member.jump]
        if not self.sites[board.member.site]:
            del self.sites[board.member.site]

    def _add(self, board: FleetBoard, step: str, number: int) -> None:
        self.total += number
        if not board.tries:
            self.steps[step] += number
        self.jumps[board.member.jump] += number
        self.sites[board.member.site] += number


class Room:
    """Room for more boards beside those on which a step goes on; choosing a board fills it."""

    def __init__(self, limits: Concurrency, occupation: Occupation) -> None:
        self._limits = limits
        self._occupation = occupation
        self._jumps: Counter[str] = Counter()
        self._sites: Counter[str] = Counter()
        self.free = limits.total - occupation.total

    def take(self, jump: str, site: str) -> bool:
        """Take room for a board; return whether there was any.

        Args:
            jump: Jump host of the board; empty for none, which has no limit.
            site: Site of the board; empty for none, which has no limit.
        """
        if self.free <= 0 or self.is_jump_full(jump) or self._is_site_full(site):
            return False
        self.free -= 1
        self._jumps[jump] += 1
        self._sites[site] += 1
        return True

    def is_jump_full(self, jump: str) -> bool:
        """Return whether there is no room behind a jump host; empty for none."""
        busy = self._occupation.jumps[jump] + self._jumps[jump]
        return bool(jump) and busy >= self._limits.per_jump_host

    def _is_site_full(self, site: str) -> bool:
        busy = self._occupation.sites[site] + self._sites[site]
        return bool(site) and busy >= self._limits.per_site


class ReadyBoards:
    """Boards that wait for one kind of step."""

    def __init__(self) -> None:
        self._boards: dict[Windows, dict[str, Sites]] = {}
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, board: FleetBoard) -> None:
        """Add a board behind the others of its site."""
        member = board.member
        sites = self._boards.setdefault(member.windows, {}).setdefault(member.jump, {})
        boards = sites.setdefault(member.site, {})
        self._size += board.name not in boards
        boards[board.name] = board

    def discard(self, board: FleetBoard) -> None:
        """Remove a board, if it is among them; its site and jump host come last next time."""
        member = board.member
        jumps = self._boards.get(member.windows, {})
        sites = jumps.get(member.jump, {})
        boards = sites.get(member.site, {})
        if boards.pop(board.name, None) is None:
            return
        self._size -= 1
        del sites[member.site]
        if boards:
            sites[member.site] = boards
        del jumps[member.jump]
        if sites:
            jumps[member.jump] = sites
        if not jumps:
            del self._boards[member.windows]

    def windows(self) -> tuple[Windows, ...]:
        """Return the windows for which boards wait."""
        return tuple(self._boards)

    def has_open(self, is_open: Callable[[Windows], bool]) -> bool:
        """Return whether a board waits whose windows are open."""
        return any(is_open(windows) for windows in self._boards)

    def choose(
        self, room: Room, most: int, is_open: Callable[[Windows], bool]
    ) -> Iterator[FleetBoard]:
        """Choose boards in turns of the sites, and fill the room.

        Args:
            room: Room that is left.
            most: Largest number of boards.
            is_open: Function that says whether windows are open.
        """
        queues = self._queues(room, is_open)
        while most > 0 and room.free > 0:
            later: list[tuple[str, str, Iterator[FleetBoard]]] = []
            for jump, site, boards in queues:
                if most <= 0 or room.free <= 0:
                    return
                board = next(boards, None)
                if board is not None and room.take(jump, site):
                    most -= 1
                    later.append((jump, site, boards))
                    yield board
            if not later:
                return
            queues = iter(later)

    def _queues(
        self, room: Room, is_open: Callable[[Windows], bool]
    ) -> Iterator[tuple[str, str, Iterator[FleetBoard]]]:
        for windows, jumps in self._boards.items():
            if not is_open(windows):
                continue
            for jump, sites in jumps.items():
                if room.is_jump_full(jump):
                    continue
                for site, boards in sites.items():
                    yield jump, site, iter(boards.values())
                    if room.is_jump_full(jump):
                        break
