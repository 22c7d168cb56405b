"""One reconcile: look, judge, plan, apply, look again, remember."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ..errors import BootError
from ..index import Entry, Index
from .apply import Merged, apply, prune
from .damage import CONFIG, LONGEST_CONFIG, Content, damage
from .legacy import REASON as LEGACY
from .legacy import LegacyConfig, inherit
from .plan import Action, Live, mode_of_edit, plan
from .report import PathNote
from .state import NAME as STATE_NAME
from .state import Seen, State
from .store import Generation
from .survey import LiveContent, Survey, let_settle, survey
from .volume import Volume, volume_errors

if TYPE_CHECKING:
    from .merge import Merge

log = logging.getLogger(__name__)

_LONGEST_PROSE = 1 << 20
"""Bytes: a longer text is not merged by lines."""
_PASSES = 3
"""A file that is written to during a reconcile is looked at once more, but not for ever."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the volume is to hold, and where that comes from."""

    identity: str
    commit: str
    transport: str
    generation: Generation


@dataclass(frozen=True, slots=True)
class Reconciled:
    notes: tuple[PathNote, ...]
    delivered: Index
    """The assets as found afterwards; an edit that is kept counts as the template's entry."""


@dataclass(frozen=True, slots=True)
class Base:
    """What was delivered last, and what was seen on the volume then."""

    index: Index
    generation: Generation | None
    """None where the copy is lost: then damage is judged by the new version alone."""
    seen: Mapping[str, Seen]
    edits: Mapping[str, str] = field(default_factory=dict)
    """Digests of what was found to be a user's edit then, which stays one whatever the template becomes."""


def reconcile(
    volume: Volume, base: Base, wanted: Wanted, before: State | None, legacy: LegacyConfig | None = None
) -> Reconciled:
    """Bring the live tree to `wanted`, and remember it; where nothing is to be done, nothing is written.

    Raises BootError `volume-…`, `digest-mismatch`, `credential-in-legacy-config`; store.GenerationCorrupt, with the
    live tree as it was.
    """
    new = wanted.generation.index
    notes: list[PathNote] = []
    seen = base.seen
    for _ in range(_PASSES):
        with volume_errors():
            found = survey(volume.configs, base.index.keys() | new.keys(), seen)
            actions, merged = _decide(volume, base, found, wanted.generation)
            if volume.read_only and (repairs := [each.path for each in actions if each.step != "keep"]):
                raise BootError(
                    "volume-read-only",
                    f"the volume is read-only, and {len(repairs)} paths need repair, {min(repairs)!r} for one",
                    "find out why the system mounted it so (a damaged file system?), and mount it writable",
                )
            if legacy and not volume.read_only and found.live[CONFIG].sha256 != legacy.sha256:
                actions, inherited = _inherit(volume, actions, legacy, wanted.generation, merged, before)
                notes += inherited
            if not volume.read_only:
                lost = [path for path, live in found.live.items() if live.kind == "absent"]
                prune(volume.configs, set(lost) - new.keys())
            applied = apply(volume, actions, wanted.generation, merged, found.stamps)
            notes += applied.notes
            kept = {action.path for action in actions if action.step in ("keep", "merge", "lay-aside")}
            if any(action.step != "keep" for action in actions):
                let_settle(applied.changed)
                touched = {action.path for action in actions if action.step != "clear"}
                found.update(survey(volume.configs, touched, {}, applied.written))
            delivered = _delivered(new, found, kept)
            if delivered == new:
                _remember(volume, wanted, found, before)
                return Reconciled(_once(notes), delivered)
        log.warning("assets changed during the reconcile; looking again")
        legacy = None
        base = replace(base, index=new, generation=wanted.generation)
        seen = found.seen
    differing = min(path for path in new if delivered.get(path) != new[path])
    raise BootError(
        "digest-mismatch",
        f"the volume does not hold what was delivered: something keeps changing {differing!r}",
        "see what in the workspace writes to its assets",
    )


def _decide(
    volume: Volume, base: Base, found: Survey, generation: Generation
) -> tuple[tuple[Action, ...], dict[str, Merged]]:
    """The plan, with damage judged and merges tried."""
    live: dict[str, Live] = {}
    for path, state in found.live.items():
        versions = base.index.get(path), generation.index.get(path)
        known = [version.sha256 for version in versions if version] + [base.edits.get(path)]
        unknown = state.sha256 not in known
        if unknown and state.kind == "file" and not state.damage:
            live[path] = state._replace(damage=_judge(volume, path, state, _known(path, base, generation)))
        else:
            live[path] = state
    actions: list[Action] = []
    merged: dict[str, Merged] = {}
    for action in plan(base.index, live, generation.index, found.obstacles):
        if action.step == "merge":
            actions += _try_merge(volume, action, base, live[action.path], generation, merged)
        else:
            actions.append(action)
    return tuple(actions), merged


def _known(path: str, base: Base, generation: Generation) -> tuple[Content, ...]:
    """What a template delivered at this path and is still to be had, the base first.

    Nothing where the base has nothing: what stands there is the user's own, however the new version goes on.
    """
    if base.index and path not in base.index:
        return ()
    holders = dict.fromkeys(
        holder for holder in (base.generation, generation) if holder and path in holder.index
    )
    return tuple(holder.content(path) for holder in holders)


def _judge(volume: Volume, path: str, live: Live, contents: tuple[Content, ...]) -> str | None:
    try:
        return damage(path, LiveContent(volume.configs, path, live.size), contents)
    except OSError:
        return "unreadable"


def _try_merge(
    volume: Volume,
    action: Action,
    base: Base,
    live: Live,
    generation: Generation,
    merged: dict[str, Merged],
) -> list[Action]:
    """The merge, and with it the template's version laid aside where both changed the same thing (EDIT-3)."""
    path = action.path
    aside = replace(action, step="lay-aside", verb="laid-aside")
    sizes = (live.size, *(index[path].size for index in (base.index, generation.index) if path in index))
    if max(sizes) > (LONGEST_CONFIG if path == CONFIG else _LONGEST_PROSE):
        return [aside]
    ours = b"".join(LiveContent(volume.configs, path, live.size).pieces())
    old = base.generation.read(path) if base.generation and path in base.generation.index else None
    result = _merge(path, old, ours, generation.read(path))
    if result is None:
        return [aside]
    actions = []
    if result.text != ours:
        mode = mode_of_edit(base.index.get(path), live, generation.index[path])
        merged[path] = Merged(result.text, mode)
        anew = "" if result.in_place else ": written anew, without its comments"
        actions.append(replace(action, reason=action.reason + anew))
    elif not result.conflicts:
        actions.append(replace(action, step="keep", verb="preserved"))
    if result.conflicts:
        actions.append(replace(aside, reason=f"{aside.reason}: {', '.join(result.conflicts)}"))
    return actions


def _inherit(
    volume: Volume,
    actions: tuple[Action, ...],
    legacy: LegacyConfig,
    generation: Generation,
    merged: dict[str, Merged],
    before: State | None,
) -> tuple[tuple[Action, ...], list[PathNote]]:
    """The actions with what the user edited in the config of old in place of what the template alone would give.

    What is not taken over is kept aside, since the sweep deletes where it came from.
    """
    placed = next(
        (action for action in actions if action.path == CONFIG and action.verb in ("delivered", "repaired")),
        None,
    )
    if placed is None or placed.step not in ("place", "replace"):
        # The volume has a config that counts. It is said once: by the next boot the two have nothing in common.
        if before is not None:
            return actions, []
        return actions, [legacy.lay_aside(volume, "skipped", "the volume has a config.yaml of its own")]
    template = generation.read(CONFIG)
    result = inherit(legacy, template)
    if isinstance(result, str):
        return actions, [legacy.lay_aside(volume, "rejected", result)]
    if result.text == template:
        return actions, []
    merged[CONFIG] = Merged(result.text, generation.index[CONFIG].mode)
    why = LEGACY if placed.reason in ("new", "absent") else f"{LEGACY}: replaces {placed.reason}"
    instead = [replace(placed, step="merge", verb="merged", reason=why)]
    if result.conflicts:
        ours = f"{LEGACY}: {', '.join(result.conflicts)}"
        instead.insert(0, Action(CONFIG, "lay-aside", "laid-aside", ours))
    at = actions.index(placed)
    return (*actions[:at], *instead, *actions[at + 1 :]), []


def _merge(path: str, old: bytes | None, ours: bytes, new: bytes) -> Merge | None:
    # Loaded only now: few boots have anything to merge.
    from .merge import Merge, merge_config

    if path == CONFIG:
        return merge_config(old, ours, new)
    from .lines import merge_lines

    text = merge_lines(old, ours, new) if old is not None else None
    return None if text is None else Merge(text, ())


def _delivered(new: Index, found: Survey, kept: set[str]) -> dict[str, Entry]:
    delivered: dict[str, Entry] = {}
    for path, entry in new.items():
        live = found.live[path]
        if live.kind != "file" or not live.sha256:
            continue
        as_wanted = path in kept or (live.mode, live.size, live.sha256) == entry
        delivered[path] = entry if as_wanted else Entry(live.mode, live.size, live.sha256)
    return delivered


def _remember(volume: Volume, wanted: Wanted, found: Survey, before: State | None) -> None:
    index = wanted.generation.index
    after = State(
        identity=wanted.identity,
        commit=wanted.commit,
        transport=wanted.transport,
        generation=wanted.generation.digest,
        base=index,
        seen={path: seen for path, seen in found.seen.items() if path in index},
    )
    if after != before and not volume.read_only:
        volume.write(volume.own, STATE_NAME, after.to_json(), 0o600)


def _once(notes: list[PathNote]) -> tuple[PathNote, ...]:
    """Without what a second pass says again."""
    return tuple(dict.fromkeys(notes))
