"""From the recorded template to a live tree that is proven to be it, or to the last one that was (FAIL-1, FAIL-2)."""

from __future__ import annotations

import logging
from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import dataclass, replace

from ..allowlist import admit
from ..artifact import Artifact
from ..errors import BootError
from ..fetch.limits import Budget
from ..fetch.transport import Transport
from ..identity import Identity
from ..index import Index
from ..inspection import secrets_to_find
from ..redact import Redactor
from .bootstrap import Bootstrap
from .damage import CONFIG
from .document import DocumentError, parse_mapping
from .legacy import LegacyConfig
from .metadata import Orders
from .reconcile import Base, Reconciled, Wanted, reconcile
from .report import PathNote
from .role import Role
from .state import State, read_state
from .store import (
    Generation,
    GenerationCorrupt,
    drop_other_generations,
    open_recorded,
    recover_generation,
    store_generation,
)
from .volume import Volume, explain, volume_errors

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Delivery:
    commit: str
    expected: Index
    delivered: Index
    notes: tuple[PathNote, ...]
    trouble: BootError | None
    """Why this is not the template's present version, where it is not."""


class Courier:
    """Delivers one template to one volume."""

    def __init__(
        self,
        volume: Volume,
        orders: Orders,
        bootstrap: Bootstrap,
        redact: Redactor,
        role: Role,
    ) -> None:
        self._volume = volume
        self._identity: Identity = orders.identity
        self._transport_name = orders.transport
        self._accept_loss = orders.accept_loss
        self._legacy: LegacyConfig | None = None
        self._secrets = secrets_to_find(bootstrap.values())
        self.budget = Budget(orders.limits)
        self._transport = (
            _published(orders.published, role, self.budget, redact)
            if orders.published is not None
            else _transport(orders, bootstrap.template_token, self.budget, redact)
        )

    def deliver(self, legacy: LegacyConfig | None = None) -> Delivery:
        """Raises BootError when neither the template's present version nor the recorded one can be live.

        `legacy` counts as the user's edit of config.yaml where the volume has none of its own.
        """
        self._legacy = legacy
        with ExitStack() as open_files:
            state = read_state(self._volume.own)
            recorded = (
                open_recorded(self._volume, state.generation, state.base)
                if state
                else recover_generation(self._volume)
            )
            if recorded:
                open_files.callback(recorded.close)
            base = Base(
                index=state.base if state else recorded.index if recorded else {},
                generation=recorded,
                seen=state.seen if state else {},
                edits=state.edits if state else {},
            )
            try:
                delivery = self._deliver_present(state, recorded, base, open_files)
                return replace(delivery, trouble=_read_only()) if self._volume.read_only else delivery
            except BootError as trouble:
                if state is None or recorded is None or state.identity != str(self._identity):
                    raise
                log.error("%s: %s; falling back on what was delivered last", trouble.code, trouble)
                return self._deliver_recorded(state, recorded, base, trouble)

    def _deliver_present(
        self, state: State | None, recorded: Generation | None, base: Base, open_files: ExitStack
    ) -> Delivery:
        commit = self._transport.resolve(self._identity.ref)
        log.info("%s is at commit %s", self._identity, commit)
        if state and recorded and (state.identity, state.commit) == (str(self._identity), commit):
            try:
                done = self._reconcile(state, base, commit, recorded)
                return Delivery(commit, recorded.index, done.delivered, done.notes, None)
            except GenerationCorrupt:
                log.warning("the copy kept on the volume is corrupt; fetching it again")
                base = replace(base, generation=None)
        new, left_out = self._fetch(commit, state, base)
        open_files.callback(new.close)
        try:
            try:
                done = self._reconcile(state, base, commit, new)
            except GenerationCorrupt:
                log.warning("the copy of the version before is corrupt; going on without it")
                done = self._reconcile(state, replace(base, generation=None), commit, new)
        except GenerationCorrupt:
            raise BootError(
                "volume-error", "the volume does not give back what was just written", "replace the volume"
            ) from None
        drop_other_generations(self._volume, new.digest)
        return Delivery(commit, new.index, done.delivered, (*done.notes, *left_out), None)

    def _deliver_recorded(
        self, state: State, recorded: Generation, base: Base, trouble: BootError
    ) -> Delivery:
        try:
            done = self._reconcile(state, base, state.commit, recorded)
        except (BootError, GenerationCorrupt):
            # What went wrong first is what the operator can act on.
            raise trouble from None
        return Delivery(state.commit, recorded.index, done.delivered, done.notes, trouble)

    def _fetch(self, commit: str, state: State | None, base: Base) -> tuple[Generation, tuple[PathNote, ...]]:
        if self._volume.read_only:
            raise _read_only()
        with self._transport.checkout(commit) as tree:
            admission = admit(tree.listing, self.budget.limits)
            size = sum(file.size for file in admission.assets.values())
            self.budget.check_expansion(
                sum({file.blob: file.size for file in admission.assets.values()}.values())
            )
            same_template = state is not None and state.identity == str(self._identity)
            _refuse_regression(
                admission.assets.keys(), base.index if same_template else {}, accepted=self._accept_loss
            )
            # Once for the copy, once for the live tree.
            self._volume.require(2 * size)
            try:
                generation = store_generation(self._volume, admission, tree, self._secrets)
            except OSError as error:
                raise explain(error) from error
        log.info("fetched %d files, %d bytes, tree digest %s", len(generation.index), size, generation.digest)
        try:
            _require_config(generation)
        except BootError:
            generation.close()
            raise
        left_out = (PathNote(each.path, each.action, each.reason) for each in admission.left_out)
        return generation, tuple(left_out)

    def _reconcile(self, state: State | None, base: Base, commit: str, generation: Generation) -> Reconciled:
        wanted = Wanted(str(self._identity), commit, self._transport_name, generation)
        with volume_errors():
            return reconcile(self._volume, base, wanted, state, self._legacy)


def _read_only() -> BootError:
    return BootError(
        "volume-read-only",
        "the volume is read-only: it can be verified, and nothing can be delivered or healed",
        "find out why the system mounted it so (a damaged file system?), and mount it writable",
    )


def _transport(orders: Orders, token: str | None, budget: Budget, redact: Redactor) -> Transport:
    """To the template host. Each transport brings libraries that the others do not need."""
    if orders.transport == "archive":
        from ..fetch.archive import ArchiveTransport

        return ArchiveTransport(orders.template_host, orders.identity.repository, token, budget, redact)
    from ..fetch.git import GitTransport

    return GitTransport(orders.template_host, orders.identity.repository, token, budget, redact)


def _published(published: Artifact | BootError, role: Role, budget: Budget, redact: Redactor) -> Transport:
    from ..fetch.object import ObjectTransport

    return ObjectTransport(published, role.session, role.region, budget, redact)


def _refuse_regression(paths: Collection[str], before: Index, *, accepted: bool) -> None:
    """A template that suddenly lacks what every agent needs wipes no working volume, unless the caller said that the
    loss is meant (REC-11).

    No word of his makes an agent that runs without a config: a template that has none would only turn a workspace
    that works into one that fails, so it is refused all the same, and the tree stays.
    """
    if CONFIG not in paths:
        raise BootError(
            "config-missing",
            "the template has no config.yaml, and no agent runs without one",
            "add one at the template's root, or name another template or ref for the workspace",
        )
    had_skills = any(path.startswith("agent-skills/") for path in before)
    if had_skills and not accepted and not any(path.startswith("agent-skills/") for path in paths):
        raise BootError(
            "skill-missing",
            "the template suddenly has no skills at all, and the volume has some: not wiped",
            "restore them in the template, name another template or ref for the workspace, or restart it with "
            "accept_loss if the loss is meant",
        )


def _require_config(generation: Generation) -> None:
    try:
        parse_mapping(generation.read(CONFIG))
    except DocumentError as error:
        raise BootError(
            "config-unparsable",
            f"the template's config.yaml {error}",
            "mend it in the template; the next restart takes it in",
        ) from None
    except GenerationCorrupt:
        raise BootError(
            "volume-error", "the volume does not give back what was written", "replace the volume"
        ) from None
