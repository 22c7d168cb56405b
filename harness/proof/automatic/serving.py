"""A pytest plugin: scenarios against one mutant after another, without a start of pytest and of moto for each.

A process collects the scenarios once and loads all that a cloud is made of. Each job is then done by a fork of it, with
a cloud of its own: nothing that one mutant did is there for the next, and one that hangs is killed with all it has.

Jobs come as JSON lines, and so do answers; see `Server` in `harness.proof.automatic.servers`.
"""

from __future__ import annotations

import json
import os
import select
import signal
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from harness.plugin import canary_key, choices_key, owner_key
from harness.report.ledger import Verdict
from harness.report.recording import lines_of

_END_SECONDS = 60.0
"""How long a job may take to clear up behind itself."""

_LONGEST_REASON = 2_000
_HEARD_SECONDS = 0.05
"""After which every measured program has heard which scenario it is."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("serving", "scenarios as a server")
    group.addoption("--jobs-from", type=int, metavar="FD", help="where jobs come from")
    group.addoption("--answers-to", type=int, metavar="FD", help="where answers go to")


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """A server is no run: it has no ledger."""
    recorder = config.pluginmanager.getplugin("conformance-recorder")
    if recorder is not None:
        config.pluginmanager.unregister(recorder)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool:
    import harness.scenario.scenario
    import harness.standing  # noqa: F401 - so that no fork has to load them

    items = {item.nodeid: item for item in session.items}
    answers = session.config.option.answers_to
    quick = [item.nodeid for item in session.items if item.get_closest_marker("long") is None]
    _say(answers, {"scenarios": quick})
    with os.fdopen(session.config.option.jobs_from) as jobs:
        for line in jobs:
            job = json.loads(line)
            _say(answers, _attend(session, job, [items[each["scenario"]] for each in job["scenarios"]]))
    return True


def _attend(session: pytest.Session, job: Mapping[str, Any], items: Sequence[pytest.Item]) -> dict[str, Any]:
    """Have a job done by a fork. Each scenario has its own limit in seconds; the job ends where one is beyond it."""
    from harness.runtime.ownership import Owner
    from harness.runtime.sweep import sweep

    reading, writing = os.pipe()
    run = os.urandom(4).hex()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(reading)
            session.config.stash[owner_key] = Owner.current(run)
            session.config.stash[canary_key] = os.urandom(32)
            _do(session, job, items, writing)
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    limits = {each["scenario"]: float(each["limit"]) for each in job["scenarios"]}
    done: list[dict[str, Any]] = []
    under_way, deadline, unread = "", time.monotonic() + _END_SECONDS, b""
    with os.fdopen(reading, "rb", buffering=0) as told:
        while select.select([told], [], [], max(0.0, deadline - time.monotonic()))[0]:
            if not (more := told.read(1 << 16)):
                under_way = ""
                break
            *lines, unread = (unread + more).split(b"\n")
            for line in map(json.loads, lines):
                under_way = line.get("begins", "")
                deadline = time.monotonic() + limits.get(under_way, _END_SECONDS)
                if "verdict" in line:
                    done.append(line)
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if status != 0:
        sweep(timedelta(0), run=run)
    return {"run": run, "done": done, "beyond_its_limit": under_way, "broke": status != 0 and not under_way}


def _do(session: pytest.Session, job: Mapping[str, Any], items: Sequence[pytest.Item], answers: int) -> None:
    """In the fork: the scenarios one by one, to the first that fails."""
    from harness.contract.requirements import load_contract
    from harness.proof.mutant import load_mutant

    config = session.config
    choices = config.stash[choices_key]
    if job["mutant"] is not None:
        mutant = load_mutant(Path(job["mutant"]), load_contract())
        choices = replace(choices, mutant=mutant)
        config.option.mutant = Path(job["mutant"])
    if job["measured"]:
        choices = replace(choices, coverage=Path(job["measured"]))
        owner = config.stash[owner_key]
        # Beside the data of its one worker, where measured programs look for it.
        place = config.rootpath / config.option.reports / owner.run / "coverage" / owner.worker
        place.mkdir(parents=True)
        config.pluginmanager.register(_Contexts(place / "context"))
    config.stash[choices_key] = choices
    heard = _Heard()
    config.pluginmanager.register(heard)
    for item, following in zip(items, [*items[1:], None], strict=True):
        _say(answers, {"begins": item.nodeid})
        heard.lines.clear()
        config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        answer = heard.answer(item.nodeid)
        _say(answers, answer)
        if answer["failed"] and not job["measured"]:
            break
    session._setupstate.teardown_exact(None)  # noqa: SLF001 - as pytest's own -x has it done by the session's end


class _Contexts:
    """Tells measured programs which scenario it is, from its beginning to its end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._path.write_text("")

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None]:
        self._path.write_text(item.nodeid)
        time.sleep(_HEARD_SECONDS)
        try:
            return (yield)
        finally:
            self._path.write_text("")


class _Heard:
    """What a scenario's reports say of it."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.lines += lines_of(report)

    def answer(self, scenario: str) -> dict[str, Any]:
        scenarios = [line for line in self.lines if line["kind"] == "scenario"]
        worst = max(scenarios, key=lambda line: Verdict(line["verdict"]).rank, default=None)
        verdict = worst["verdict"] if worst is not None else Verdict.COULD_NOT_RUN.value
        blamed = worst is not None and worst["blame"] == "implementation"
        return {
            "scenario": scenario,
            "verdict": verdict,
            "failed": verdict == Verdict.FAIL or (verdict == Verdict.COULD_NOT_RUN and blamed),
            "reason": worst["reason"][:_LONGEST_REASON] if worst is not None else "nothing was recorded",
            "checks": sorted(
                {
                    line["check"]
                    for line in self.lines
                    if line["kind"] == "check" and line["verdict"] == Verdict.FAIL
                }
            ),
            "judged": sorted(
                {
                    line["requirement"]
                    for line in self.lines
                    if line["kind"] == "check" and not line["universal"]
                }
            ),
            "seconds": worst["seconds"]["total"] if worst is not None else 0.0,
        }


def _say(to: int, words: Mapping[str, Any]) -> None:
    os.write(to, json.dumps(words).encode() + b"\n")
