"""How fast assets reach a volume, as ratios to the tools that everybody has, out of one run on one machine.

`python -m harness.reference.bench` prints a table: two asset sets, A with 2,000 files of 4 KiB in 100 skills and B with
200 MiB in 20 skills; the median of each row, and each goal met or missed. Times of the boot agent's side are those of
its work, without the start of an interpreter; those of the others are of their processes.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from time import perf_counter

from .boot.allowlist import admit
from .boot.fetch.limits import Limits
from .boot.fetch.transport import Listed
from .boot.reconcile import Base, Wanted, reconcile
from .boot.state import read_state
from .boot.store import open_recorded, store_generation
from .boot.volume import open_volume

_ROUNDS = 5
_SETS = {"A": (100, 20, 4 << 10), "B": (20, 10, 1 << 20)}
"""Skills, files a skill, bytes a file."""
_SYNCS = ("fsync", "fdatasync", "syncfs", "sync")
_MOST_SYNCS = 8


@dataclass(frozen=True, slots=True)
class Goal:
    """`row` divided by `against` is at most `ratio`; with `allowance`, at most as much plus that many ms."""

    row: str
    against: str
    ratio: float
    allowance: float = 0.0

    def line(self, times: Mapping[str, float]) -> str:
        if self.row not in times or self.against not in times:
            return f"  {self.row:<22} could not be compared with {self.against}: not measured here"
        mine, theirs = times[self.row], times[self.against]
        met = mine <= self.ratio * theirs + self.allowance
        extra = f" + {self.allowance:g} ms" if self.allowance else ""
        return (
            f"  {self.row:<22} {mine / theirs:5.2f} x {self.against:<20} "
            f"goal {self.ratio:g} x{extra:<10} {'met' if met else 'MISSED'}"
        )


_GOALS = (
    Goal("deliver, cold", "tar xf, sync", 2.5),
    Goal("no-op by stat", "rsync, no-op", 0.5),
    Goal("full verify", "rsync --checksum", 1.3),
    Goal("heal one file", "no-op by stat", 1.0, allowance=30.0),
)


class _Directory:
    """A checkout that is a directory: all a transport does but fetching."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.listing: Sequence[Listed] = [
            Listed(os.fsencode(path.relative_to(root)), "file", 0o644, path.stat().st_size, "")
            for path in sorted(root.rglob("*"))
            if path.is_file()
        ]

    def bodies(self, wanted: Sequence[Listed]) -> Iterator[tuple[Listed, Iterable[bytes]]]:
        for file in wanted:
            with (self._root / os.fsdecode(file.path)).open("rb") as stream:
                yield file, iter(partial(stream.read, 1 << 20), b"")


def deliver(data: Path, source: _Directory | None, *, full: bool = False) -> float:
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

    def __init__(self, root: Path, skills: int, files: int, size: int) -> None:
        self._root = root
        self._numbers = count()
        self._source = root / "source"
        _write_set(self._source, skills, files, size)
        self._archive = root / "source.tar"
        self._repository = root / "source.git"
        self.times: dict[str, list[float]] = {}

    def run(self) -> None:
        _command("tar", "cf", str(self._archive), "-C", str(self._source), ".")
        has_git, has_rsync = shutil.which("git") is not None, shutil.which("rsync") is not None
        if has_git:
            self._make_repository()
        if has_git:
            self._measure(
                "git clone --depth 1", self._clone
            )  # once: it is slow, and no goal is held against it
        checkout = _Directory(self._source)
        for _ in range(_ROUNDS):
            volume = self._fresh()
            self._measure("deliver, cold", partial(deliver, volume, checkout))
            self._measure("tar xf, sync", self._untar)
            if has_rsync:
                self._measure("rsync -a", lambda: self._rsync(self._fresh()))
        self._repeat(volume, has_rsync)

    def _repeat(self, volume: Path, has_rsync: bool) -> None:
        mirror = self._fresh()
        if has_rsync:
            self._rsync(mirror)
        deliver(volume, None)
        for number in range(_ROUNDS):
            self._measure("no-op by stat", lambda: deliver(volume, None))
            self._measure("full verify", lambda: deliver(volume, None, full=True))
            victim = volume / "configs" / "agent-skills" / f"skill-{number:03}" / "SKILL.md"
            victim.write_bytes(b"")
            self._measure("heal one file", lambda: deliver(volume, None))
            if has_rsync:
                self._measure("rsync, no-op", lambda: self._rsync(mirror))
                self._measure("rsync --checksum", lambda: self._rsync(mirror, "--checksum"))

    def syncs(self) -> str:
        """How often a cold delivery asks for durability, counted by strace."""
        if shutil.which("strace") is None:
            return "  fsync, syncfs calls    not counted: strace is missing"
        trace = self._root / "trace"
        child = [sys.executable, "-m", __spec__.name, "--deliver", str(self._source), str(self._fresh())]
        traced = subprocess.run(
            ["strace", "-f", "-c", "-o", trace, "-e", f"trace={','.join(_SYNCS)}", *child],
            capture_output=True,
            check=False,
        )
        if traced.returncode != 0:
            return "  fsync, syncfs calls    not counted: strace may not trace here"
        rows = [line.split() for line in trace.read_text().splitlines()]
        calls = sum(int(row[3]) for row in rows if row and row[-1] in _SYNCS)
        verdict = "met" if calls <= _MOST_SYNCS else "MISSED"
        return f"  fsync, syncfs calls    {calls:<28} goal {_MOST_SYNCS} at most      {verdict}"

    def _measure(self, row: str, work: Callable[[], float]) -> None:
        os.sync()
        self.times.setdefault(row, []).append(work())

    def _fresh(self) -> Path:
        directory = self._root / f"tree-{next(self._numbers)}"
        directory.mkdir()
        return directory

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


def _write_set(root: Path, skills: int, files: int, size: int) -> None:
    root.mkdir()
    (root / "config.yaml").write_text("name: bench\n")
    for skill in range(skills):
        directory = root / "agent-skills" / f"skill-{skill:03}"
        directory.mkdir(parents=True)
        for number in range(files):
            name = f"part-{number:03}.bin" if number else "SKILL.md"
            (directory / name).write_bytes(hashlib.shake_128(f"{skill}/{number}".encode()).digest(size))


def _command(*arguments: str) -> float:
    """Milliseconds. Raises CalledProcessError."""
    begin = perf_counter()
    subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL)
    return (perf_counter() - begin) * 1000


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m harness.reference.bench", description=__doc__)
    parser.add_argument("--directory", type=Path, help="a directory on the file system to measure")
    parser.add_argument("--deliver", nargs=2, type=Path, metavar=("SOURCE", "DATA"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    if arguments.deliver:
        deliver(arguments.deliver[1], _Directory(arguments.deliver[0]))
        return 0
    for name, (skills, files, size) in _SETS.items():
        with tempfile.TemporaryDirectory(prefix="bench-", dir=arguments.directory) as directory:
            bench = _Bench(Path(directory), skills, files, size)
            bench.run()
            times = {row: statistics.median(measured) for row, measured in bench.times.items()}
            lines = [f"{name}: {skills * files} files, {skills * files * size >> 20} MiB in {skills} skills"]
            lines += [f"  {row:<22} {median:9.1f} ms" for row, median in times.items()]
            lines += [*(goal.line(times) for goal in _GOALS), bench.syncs()]
            sys.stdout.write("\n".join(lines) + "\n\n")
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
