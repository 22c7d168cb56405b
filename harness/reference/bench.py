"""How fast assets reach a volume, as ratios to the tools that everybody has, out of one run on one machine.

`python -m reference.bench` prints a table: two asset sets, A with 2,000 files of 4 KiB in 100 skills and B with 200 MiB
in 20 skills; of each row the median, the least and the most, and of each goal the ratio, pair by pair of one round, and
whether it is met. Times of the boot agent's side are those of its work, without the start of an interpreter; those of
the others are of their processes. All write to the same file system, and read from its cache. ext4 takes no inode again
for minutes after it was freed: right after another run, A is slow on both sides.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from time import perf_counter
from typing import BinaryIO

from .allowlist import admit
from .boot.reconcile import Base, Wanted, reconcile
from .boot.state import read_state
from .boot.store import open_recorded, store_generation
from .boot.volume import open_volume
from .fetch.limits import Limits
from .fetch.transport import Listed

_ROUNDS = 7
_SETS = {"A": (100, 20, 4 << 10), "B": (20, 10, 1 << 20), "C": (16, 4, 8 << 20)}
"""Skills, files a skill, bytes a file. C is for the memory that a delivery takes."""
_SYNCS = ("fsync", "fdatasync", "syncfs", "sync", "msync", "sync_file_range2")
_MOST_SYNCS = 8
_PIECE = 1 << 20
_CONFIG = b"name: bench\n"
_MOST_MEMORY = 100.0
"""MiB."""


@dataclass(frozen=True, slots=True)
class Goal:
    """`row` divided by `against` is at most `ratio`; with `allowance`, at most as much plus that many ms.

    Each round gives a pair, measured one after the other; the median of the pairs counts.
    """

    row: str
    against: str
    ratio: float
    allowance: float = 0.0

    def line(self, times: Mapping[str, Sequence[float]]) -> str:
        if self.row not in times or self.against not in times:
            return f"  {self.row:<22} could not be compared with {self.against}: not measured here"
        pairs = list(zip(times[self.row], times[self.against], strict=True))
        ratios = [mine / theirs for mine, theirs in pairs]
        met = statistics.median(mine - self.ratio * theirs for mine, theirs in pairs) <= self.allowance
        goal = f"{self.ratio:g} x" + (f" + {self.allowance:g} ms" if self.allowance else "")
        spread = f"({min(ratios):.2f}-{max(ratios):.2f})"
        return (
            f"  {self.row:<22} {statistics.median(ratios):5.2f} {spread:<14} x {self.against:<16} "
            f"goal {goal:<14} {'met' if met else 'MISSED'}"
        )


_GOALS = (
    Goal("deliver, cold", "tar xf, sync", 2.5),
    Goal("no-op by stat", "rsync, no-op", 0.5),
    Goal("full verify", "rsync --checksum", 1.3),
    Goal("heal one file", "no-op by stat", 1.0, allowance=30.0),
)


class _Stream:
    """A checkout whose bodies come out of one file, as they come out of `git cat-file --batch` or an archive."""

    def __init__(self, bodies: Path, skills: int, files: int, size: int) -> None:
        self._bodies = bodies
        self.listing: Sequence[Listed] = [
            Listed(os.fsencode(path), "file", 0o644, len(_CONFIG) if path == "config.yaml" else size, "")
            for path in _paths(skills, files)
        ]

    def bodies(self, wanted: Sequence[Listed]) -> Iterator[tuple[Listed, Iterable[bytes]]]:
        with self._bodies.open("rb", buffering=_PIECE) as stream:
            for file in wanted:
                yield file, self._pieces(stream, file.size)

    @staticmethod
    def _pieces(stream: BinaryIO, left: int) -> Iterator[bytes]:
        while left:
            piece = stream.read(min(left, _PIECE))
            left -= len(piece)
            yield piece


def deliver(data: Path, source: _Stream | None, *, full: bool = False) -> float:
    """One delivery of `source`, or without one a reconcile with what is recorded; milliseconds."""
    begin = perf_counter()
    with open_volume(data, 0) as volume:
        state = read_state(volume.own)
        if source is not None:
            generation = store_generation(volume, admit(source.listing, Limits()), source, [b"?" * 32])
        elif state is None or (recorded := open_recorded(volume, state.generation, state.base)) is None:
            raise RuntimeError(f"{data} holds no recorded generation")
        else:
            generation = recorded
        base = Base(
            state.base if state else {},
            generation if state else None,
            {} if full or state is None else state.seen,
        )
        with closing(generation):
            reconcile(volume, base, Wanted("bench/bench@main", "0" * 40, "git", generation), state)
    return (perf_counter() - begin) * 1000


class _Bench:
    """Measures one set in one directory; nothing is deleted before the end, since that slows ext4 down."""

    def __init__(self, root: Path, name: str) -> None:
        self._root = root
        self._name = name
        self._numbers = count()
        self._source = root / "source"
        self._bodies = root / "bodies"
        _write_set(self._source, self._bodies, *_SETS[name])
        self._archive = root / "source.tar"
        self._repository = root / "source.git"
        self.times: dict[str, list[float]] = {}

    def run(self) -> None:
        _command("tar", "cf", str(self._archive), "-C", str(self._source), ".")
        has_rsync = shutil.which("rsync") is not None
        # Once: no goal is held against them.
        if shutil.which("git") is not None:
            self._make_repository()
            self._measure({"git clone --depth 1": self._clone})
        if has_rsync:
            self._measure({"rsync -a": lambda: self._rsync(self._fresh())})
        checkout = _Stream(self._bodies, *_SETS[self._name])
        self._rounds(
            {"deliver, cold": lambda: deliver(self._fresh(), checkout), "tar xf, sync": self._untar},
            cold=True,
        )
        volume, mirror = self._fresh(), self._fresh()
        deliver(volume, checkout)
        rows = {
            "no-op by stat": lambda: deliver(volume, None),
            "full verify": lambda: deliver(volume, None, full=True),
            "heal one file": lambda: self._heal(volume),
            "sha256, one thread": self._hash,
        }
        if has_rsync:
            self._rsync(mirror)
            rows |= {
                "rsync, no-op": lambda: self._rsync(mirror),
                "rsync --checksum": lambda: self._rsync(mirror, "--checksum"),
            }
        self._rounds(rows, cold=False)

    def syncs(self) -> str:
        """How often a cold delivery asks for durability, counted by strace."""
        if shutil.which("strace") is None:
            return "  fsync, syncfs calls    not counted: strace is missing"
        trace = self._root / "trace"
        traced = subprocess.run(
            [
                *(
                    "strace",
                    "-f",
                    "-c",
                    "-o",
                    trace,
                    "-e",
                    f"trace={','.join(f'?{call}' for call in _SYNCS)}",
                ),
                *_child(self._name, self._bodies, self._fresh()),
            ],
            capture_output=True,
            check=False,
        )
        if traced.returncode != 0:
            return "  fsync, syncfs calls    not counted: strace may not trace here"
        rows = [line.split() for line in trace.read_text().splitlines()]
        calls = sum(int(row[3]) for row in rows if row and row[-1] in _SYNCS)
        verdict = "met" if calls <= _MOST_SYNCS else "MISSED"
        return f"  fsync, syncfs calls    {calls:<40} goal {f'{_MOST_SYNCS} at most':<14} {verdict}"

    def _rounds(self, rows: Mapping[str, Callable[[], float]], *, cold: bool) -> None:
        """Every row once a round, in turned order every other time; the first round only warms up."""
        for number in range(_ROUNDS + 1):
            turned = rows if number % 2 else dict(reversed(list(rows.items())))
            self._measure(turned, keep=number > 0, evict=cold)

    def _measure(
        self, rows: Mapping[str, Callable[[], float]], *, keep: bool = True, evict: bool = True
    ) -> None:
        for row, work in rows.items():
            os.sync()
            taken = work()
            if keep:
                self.times.setdefault(row, []).append(taken)
            if evict:
                self._evict()

    def _evict(self) -> None:
        """Give back the memory that caches what was just written, so that the next row writes into the same.

        Otherwise what is measured is how a virtual machine gets memory that it never touched before, which takes
        longer than all the rest, and hits whoever comes first.
        """
        os.sync()
        for path in self._tree.rglob("*"):
            if path.is_file():
                with path.open("rb") as file:
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def _hash(self) -> float:
        """All that a full verify cannot do without: the digest of as many bytes, out of memory."""
        skills, files, size = _SETS[self._name]
        body = bytes(size)
        begin = perf_counter()
        for _ in range(skills * files):
            hashlib.sha256(body)
        return (perf_counter() - begin) * 1000

    def _heal(self, volume: Path) -> float:
        (volume / "configs" / "agent-skills" / "skill-007" / "SKILL.md").write_bytes(b"")
        return deliver(volume, None)

    def _fresh(self) -> Path:
        self._tree = self._root / f"tree-{next(self._numbers)}"
        self._tree.mkdir()
        return self._tree

    def _untar(self) -> float:
        target = str(self._fresh())
        return _command("tar", "xf", str(self._archive), "-C", target) + _command("sync", "-f", target)

    def _clone(self) -> float:
        return _command(
            "git", "clone", "--quiet", "--depth", "1", f"file://{self._repository}", str(self._fresh())
        )

    def _rsync(self, target: Path, *options: str) -> float:
        return _command("rsync", "-a", *options, f"{self._source}/", f"{target}/")

    def _make_repository(self) -> None:
        _command("git", "init", "--quiet", "--bare", str(self._repository))
        _command("git", f"--git-dir={self._repository}", "config", "core.bigFileThreshold", "512k")
        git = ("git", f"--git-dir={self._repository}", f"--work-tree={self._source}", "-c", "core.bare=false")
        settings = ("core.compression=0", "user.name=bench", "user.email=bench@bench.invalid")
        configured = [*git, *(word for setting in settings for word in ("-c", setting))]
        _command(*configured, "add", "--all")
        _command(*configured, "commit", "--quiet", "--message", "set")


def _memory(directory: Path) -> str:
    """What a delivery of set C takes at its peak, in a process of its own."""
    bodies, data = directory / "bodies", directory / "data"
    data.mkdir()
    _write_bodies(bodies, *_SETS["C"])
    done = subprocess.run(_child("C", bodies, data), check=True, capture_output=True)
    peak = int(done.stdout) / 1024
    verdict = "met" if peak <= _MOST_MEMORY else "MISSED"
    return f"  peak memory (RSS)      {f'{peak:.1f} MiB':<40} goal {f'{_MOST_MEMORY:g} MiB at most':<14} {verdict}"


def _child(name: str, bodies: Path, data: Path) -> list[str]:
    """A process that delivers once and prints the most memory that it had, in KiB."""
    return [sys.executable, "-m", __spec__.name, "--deliver", name, str(bodies), str(data)]


def _title(name: str) -> str:
    skills, files, size = _SETS[name]
    return f"{name}: {skills * files} files, {skills * files * size / (1 << 20):.0f} MiB in {skills} skills"


def _paths(skills: int, files: int) -> Iterator[str]:
    yield "config.yaml"
    for skill in range(skills):
        for number in range(files):
            name = f"part-{number:03}.bin" if number else "SKILL.md"
            yield f"agent-skills/skill-{skill:03}/{name}"


def _body(path: str, size: int) -> bytes:
    return _CONFIG if path == "config.yaml" else hashlib.shake_128(path.encode()).digest(size)


def _write_set(root: Path, bodies: Path, skills: int, files: int, size: int) -> None:
    """The files, and the same bodies in one file."""
    for path in _paths(skills, files):
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(_body(path, size))
    _write_bodies(bodies, skills, files, size)


def _write_bodies(bodies: Path, skills: int, files: int, size: int) -> None:
    with bodies.open("wb") as stream:
        stream.writelines(_body(path, size) for path in _paths(skills, files))


def _command(*arguments: str) -> float:
    """Milliseconds. Raises CalledProcessError."""
    begin = perf_counter()
    subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL)
    return (perf_counter() - begin) * 1000


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m reference.bench", description=__doc__)
    parser.add_argument("--directory", type=Path, help="a directory on the file system to measure")
    parser.add_argument("--deliver", nargs=3, metavar=("SET", "BODIES", "DATA"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    if arguments.deliver:
        name, bodies, data = arguments.deliver
        deliver(Path(data), _Stream(Path(bodies), *_SETS[name]))
        sys.stdout.write(str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))
        return 0
    for name in ("B", "A"):
        with tempfile.TemporaryDirectory(prefix="bench-", dir=arguments.directory) as directory:
            bench = _Bench(Path(directory), name)
            bench.run()
            lines = [_title(name)]
            lines += [
                f"  {row:<22} {statistics.median(times):9.1f} ms ({min(times):.1f}-{max(times):.1f})"
                for row, times in bench.times.items()
            ]
            lines += [*(goal.line(bench.times) for goal in _GOALS), bench.syncs()]
            sys.stdout.write("\n".join(lines) + "\n\n")
            sys.stdout.flush()
    with tempfile.TemporaryDirectory(prefix="bench-", dir=arguments.directory) as directory:
        sys.stdout.write(f"{_title('C')}\n{_memory(Path(directory))}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
