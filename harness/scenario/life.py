"""The life of one workspace: steps of all kinds in any order, each held against the contract, and the boots at its end.

A step is (verb, more words); what may come next depends on the steps before alone, so that a life is told by its
template, its transport and its steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from harness.oracle import allowlist, edits, failing, reconcile
from harness.oracle.history import History
from harness.oracle.seen import CONFIGS, Seen
from harness.templates import changes
from harness.templates.model import CONFIG, SKILLS, Template
from harness.world.template_host.misbehaviour import Fail

from .counterexample import Counterexample, Step
from .old_volume import AGENT_OWNED, STUBS

if TYPE_CHECKING:
    from harness.runtime.base import Entry

    from .scenario import Scenario

_OWN_SKILL = f"{SKILLS}/my-own/SKILL.md"
_OWN_PROMPT = "prompts/mine.md"
_QUIET_BOOTS = 3


_CONFIG_DAMAGE: Mapping[str, bytes] = {
    "put a stub in place of": STUBS["218 bytes"],
    "put an error body in place of": b'{"message": "Not Found"}\n',
    "garble": b"name: [unclosed\n  - {",
}
_EDITS = ("add a line", "write anew", "add", "change a key", "add a key")
_DAMAGE = ("lose", "empty", "cut", "fill with NUL", "put a directory in place of", "change the mode of")
_STATE_DAMAGE = ("lose", "cut")


class StepNotPossible(Exception):
    """A life that was told by hand, or for another template, has a step that may not come where it does."""


def live(scenario: Scenario, told: Counterexample) -> None:
    """Such a life, from its first boot to its last. Raises what its steps raise."""
    life = Life(scenario, told.template, told.transport)
    for step in told.steps:
        life.take(step)
    life.end()


class Verb(NamedTuple):
    possible: Callable[[Life], Iterable[Step]]
    """What may be said behind the verb now; nothing where the step may not come next."""
    take: Callable[..., None]
    """Called with the life and those words."""
    kinds: tuple[str, ...] = ()
    """What the first of those words may be, where it says what kind of step it is."""
    after: str | None = None
    """The verb that makes it possible, where it never is at first."""


class Life:
    """One workspace in a scenario of its own. Each step concludes what was judged of it: raises ContractBroken."""

    def __init__(self, scenario: Scenario, template: Template, transport: str) -> None:
        self.steps: list[Step] = []
        scenario.counterexample = Counterexample(template, transport, self.steps)
        self._scenario = scenario
        self._published = scenario.publish(template)
        self._tenant = scenario.tenant(self._published)
        self.workspace = self._tenant.provision(self._published, transport=transport)
        for path, content in AGENT_OWNED.items():
            self.workspace.volume.write(path, content)
        self._snapshots: dict[str, Mapping[str, Entry]] = {}
        self._commits = [self._published.commit("main")]
        self._runs = True
        self._damaged: set[str] = set()
        """Since the last boot."""

    def possible(self, verb: str) -> list[Step]:
        """The steps of this verb (of Life.VERBS) that may come next; none where it may not."""
        return [(verb, *words) for words in self.VERBS[verb].possible(self)]

    @classmethod
    def kind(cls, step: Step) -> str:
        """Of the step: one of `kinds()`."""
        verb, *words = step
        return f"{verb}: {words[0]}" if cls.VERBS[verb].kinds else verb

    @classmethod
    def kinds(cls) -> list[str]:
        """Every kind of step that there is."""
        return [kind for verb in cls.VERBS for kind in cls.kinds_of(verb)]

    @classmethod
    def kinds_of(cls, verb: str) -> list[str]:
        """Every kind of step with this verb."""
        return [f"{verb}: {each}" for each in cls.VERBS[verb].kinds] or [verb]

    @classmethod
    def verb(cls, kind: str) -> str:
        """Of the steps of this kind, as `kind` gives it."""
        return kind.partition(": ")[0]

    def take_any(self, kind: str) -> None:
        """The first step of this kind that may come next. Raises what `take` raises."""
        step = next((step for step in self.possible(self.verb(kind)) if self.kind(step) == kind), None)
        if step is None:
            raise StepNotPossible(f"no step of the kind {kind!r} may come after {len(self.steps)} steps")
        self.take(step)

    def take(self, step: Step) -> None:
        """Raises ContractBroken and whatever else a scenario does, and StepNotPossible."""
        verb, *words = step
        if step not in self.possible(verb):
            raise StepNotPossible(
                f"{' '.join(step)!r} may not come after {len(self.steps)} steps of this template's life; "
                f"what may: {', '.join(' '.join(each) for each in self.possible(verb)) or f'no {verb}'}"
            )
        self.steps.append(step)
        self._scenario.judge.step = " ".join(step)
        self.VERBS[verb].take(self, *words)
        self._scenario.judge.conclude()

    def end(self) -> None:
        """One boot that takes in whatever is pending, and three more, which have nothing to write."""
        self._booted(self.workspace.restart if self._runs else self.workspace.start)
        for _ in range(_QUIET_BOOTS):
            before = self.workspace.files
            seen = self.workspace.restart()
            self._scenario.judge(reconcile.rec_2_nothing_was_written, before, seen)
            self._scenario.judge(edits.edit_3_what_was_said_is_not_said_again, seen)
            self._scenario.judge.conclude()

    # What may come next

    def _anytime(self) -> Iterable[Step]:
        return [()]

    def _while_it_runs(self) -> Iterable[Step]:
        return [()] if self._runs else []

    def _while_its_agent_serves(self) -> Iterable[Step]:
        """Where a boot failed, as one without the host may whose state was lost, there is nobody to be missed."""
        serves = self.workspace.document["status"] in {"online", "degraded"}
        return [()] if self._runs and serves else []

    def _while_it_is_stopped(self) -> Iterable[Step]:
        return [] if self._runs else [()]

    def _with_an_intact_tree(self) -> Iterable[Step]:
        return [()] if self._runs and not self._damaged else []

    def _possible_edits(self) -> Iterable[Step]:
        plain = [path for path in self._there() if path != CONFIG]
        added = [path for path in (_OWN_SKILL, _OWN_PROMPT) if path not in self._damaged]
        return [
            *(("add a line", path) for path in plain),
            *(("write anew", path) for path in plain if not path.endswith("/SKILL.md")),
            *(("add", path) for path in added),
            *((kind, CONFIG) for kind in ("change a key", "add a key") if CONFIG in self._there()),
        ]

    def _possible_damage(self) -> Iterable[Step]:
        base = self.workspace.history.base.asset_set()
        there = [path for path in self._there() if path in base]
        unedited = [path for path in there if path not in self.workspace.history.edits]
        config = _CONFIG_DAMAGE if CONFIG in there else ()
        return [
            *(("lose", path) for path in there),
            *(("empty", path) for path in there if base[path].content),
            *(("cut", path) for path in there if base[path].size > 1),
            *(("fill with NUL", path) for path in there if base[path].content.strip(b"\0")),
            *(("put a directory in place of", path) for path in there),
            *(("change the mode of", path) for path in unedited),
            *((kind, CONFIG) for kind in config),
        ]

    def _possible_state_damage(self) -> Iterable[Step]:
        """What the template has changed since can only be told from an edit by the record of the base."""
        there = self.workspace.history.base_is_known and not self._pending()
        return [(kind,) for kind in _STATE_DAMAGE if there]

    def _possible_pushes(self) -> Iterable[Step]:
        if not self.workspace.history.base_is_known:
            return []
        return changes.possible_changes(self.workspace.template)

    def _possible_moves(self) -> Iterable[Step]:
        if not self.workspace.history.base_is_known:
            return []
        current = self._published.commit("main")
        return [(str(number),) for number, commit in enumerate(self._commits) if commit != current]

    def _possible_restores(self) -> Iterable[Step]:
        return [(str(number),) for number, name in enumerate(self._snapshots) if self._restorable(name)]

    def _restorable(self, snapshot: str) -> bool:
        held = self.workspace.held(snapshot)
        return held.base_is_known or held.base.digest() == self.workspace.template.digest()

    def _there(self) -> list[str]:
        """The assets and the user's files that nothing has happened to since the last boot."""
        history = self.workspace.history
        return [path for path in {**history.base.asset_set(), **history.edits} if path not in self._damaged]

    def _pending(self) -> bool:
        return self.workspace.history.base.digest() != self.workspace.template.digest()

    # What is done

    def _edit(self, kind: str, path: str) -> None:
        number, volume = len(self.steps), self.workspace.volume
        there = b"" if kind in {"add", "write anew"} else volume.read(f"{CONFIGS}/{path}")
        match kind:
            case "add" if path == _OWN_SKILL:
                content = b"---\nname: my-own\ndescription: Number %d of mine.\n---\n" % number
            case "add" | "write anew":
                content = b"I wrote this, as step %d.\n" % number
            case "add a line":
                content = there + (b"" if there.endswith(b"\n") or not there else b"\n")
                content += b"Line %d of mine.\n" % number
            case "change a key":
                lines = there.splitlines(keepends=True)
                mine = b"persona: number %d of mine\n" % number
                content = b"".join(mine if line.startswith(b"persona:") else line for line in lines)
            case _:
                content = there + b"mine_%d: %d\n" % (number, number)
        self.workspace.edit(path, content)

    def _damage(self, kind: str, path: str) -> None:
        workspace, content = self.workspace, self.workspace.history.base.files[path].content
        self._damaged.add(path)
        match kind:
            case "lose":
                workspace.lose(path)
            case "empty":
                workspace.damage(path, b"")
            case "cut":
                workspace.damage(path, content[: len(content) // 2])
            case "fill with NUL":
                workspace.damage(path, b"\0" * len(content))
            case "put a directory in place of":
                workspace.lose(path)
                workspace.volume.make_directory(f"{CONFIGS}/{path}")
            case "change the mode of":
                executable = workspace.history.base.files[path].mode == "755"
                workspace.volume.chmod(f"{CONFIGS}/{path}", 0o644 if executable else 0o755)
            case _:
                workspace.damage(path, _CONFIG_DAMAGE[kind])

    def _damage_state(self, kind: str) -> None:
        volume = self.workspace.volume
        for path, content in self.workspace.own_files.items():
            if kind == "lose":
                volume.remove(path)
            else:
                volume.write(path, content[: len(content) // 2])
        self.workspace.history = self.workspace.history.forgotten()

    def _push(self, kind: str, what: str) -> None:
        template = changes.changed(self.workspace.template, kind, what, len(self.steps))
        self._commits.append(self._published.publish(template))

    def _move_back(self, number: str) -> None:
        self._published.repository.branch("main", self._commits[int(number)])

    def _rotate(self) -> None:
        self._tenant.rotate_secrets()

    def _snapshot(self) -> None:
        self._snapshots[self.workspace.snapshot()] = self.workspace.files

    def _restart(self) -> None:
        self._booted(self.workspace.restart)

    def _start(self) -> None:
        self._booted(self.workspace.start)

    def _kill(self) -> None:
        self._booted(self.workspace.lose_the_machine)

    def _stop(self) -> None:
        self.workspace.stop()
        self._runs = False

    def _restart_without_the_host(self) -> None:
        before, outage = self.workspace.files, Fail(500)
        host = self._scenario.cloud.template_host
        with host.intercept(self._published.name, outage), self.workspace.expecting_trouble():
            seen = self.workspace.restart()
        self._scenario.proven("the template host answered 500", outage.hits)
        self._scenario.judge(failing.fail_2_a_failed_fetch_alters_nothing_and_says_so, seen, before)

    def _restore(self, number: str) -> None:
        snapshot = list(self._snapshots)[int(number)]
        held = self.workspace.held(snapshot)
        self._booted(partial(self.workspace.restore, snapshot), held.removed, self._snapshots[snapshot])

    def _restore_blank(self) -> None:
        self._booted(partial(self.workspace.restore, None), History().removed, before={})

    def _booted(
        self,
        boot: Callable[[], Seen],
        removed: Callable[[Template], tuple[list[str], list[str]]] | None = None,
        before: Mapping[str, Entry] | None = None,
    ) -> None:
        """A boot that has every reason to succeed, from a volume that has been like `before`."""
        judge, workspace = self._scenario.judge, self.workspace
        as_they_were, edited = (removed or workspace.history.removed)(workspace.template)
        before = workspace.files if before is None else before
        as_they_were = [path for path in as_they_were if _is_file(before.get(f"{CONFIGS}/{path}"))]
        seen = boot()
        judge(allowlist.alw_5_agent_owned_files_are_untouched, seen, before)
        if as_they_were:
            judge(reconcile.rec_6_a_file_removed_upstream_is_removed, seen, as_they_were)
        if edited:
            judge(reconcile.rec_6_an_edited_file_removed_upstream_is_kept_and_reported, seen, edited)
        self._runs = True
        self._damaged.clear()

    VERBS: ClassVar[Mapping[str, Verb]] = {
        "edit": Verb(_possible_edits, _edit, _EDITS),
        "damage": Verb(_possible_damage, _damage, (*_DAMAGE, *_CONFIG_DAMAGE)),
        "damage the state": Verb(_possible_state_damage, _damage_state, _STATE_DAMAGE),
        "push": Verb(_possible_pushes, _push, changes.KINDS),
        "move the branch back": Verb(_possible_moves, _move_back, after="push"),
        "rotate the secrets": Verb(_anytime, _rotate),
        "restart": Verb(_while_it_runs, _restart),
        "stop": Verb(_while_it_runs, _stop),
        "start": Verb(_while_it_is_stopped, _start, after="stop"),
        "kill the machine": Verb(_while_its_agent_serves, _kill),
        "snapshot": Verb(_anytime, _snapshot),
        "restore": Verb(_possible_restores, _restore, after="snapshot"),
        "restore onto a blank volume": Verb(_anytime, _restore_blank),
        "restart without the host": Verb(_with_an_intact_tree, _restart_without_the_host),
    }


def _is_file(entry: Entry | None) -> bool:
    """What is gone already need not be removed, nor what stands where a file was."""
    return entry is not None and entry.kind == "file"
