"""A template in a repository of the template host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.templates.model import Entry, Template

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.report.clock import Clock
    from harness.world.template_host.repository import Repository


class Published:
    """A repository, with the template that each of its commits holds."""

    def __init__(self, repository: Repository, clock: Clock) -> None:
        self.repository = repository
        self._clock = clock
        self._templates: dict[str, Template] = {}

    @property
    def name(self) -> str:
        """`owner/repo`."""
        return self.repository.name

    @property
    def private(self) -> bool:
        return self.repository.private

    def publish(self, template: Template, *, branch: str = "main", tag: str | None = None) -> str:
        """A commit on top of the branch; its id."""
        with self._clock.on("world"):
            commit = self.repository.publish(template, branch=branch, tag=tag)
        self._templates[commit] = template
        return commit

    def publish_literally(self, entries: Sequence[tuple[str, Entry]]) -> str:
        """A commit on top of `main` of paths that git's own tools refuse, or of one path twice; its id."""
        with self._clock.on("world"):
            commit = self.repository.publish_literally(entries)
        self._templates[commit] = Template(dict(entries))
        return commit

    def commit(self, ref: str) -> str:
        """What a branch, a tag or a full commit id stands for now; the ref itself where it stands for nothing."""
        return self.repository.find(ref) or ref

    def template(self, ref: str) -> Template:
        """What a ref stands for now; the empty template where it stands for nothing."""
        return self._templates.get(self.commit(ref), Template())


class Nowhere:
    """A repository that the template host does not have."""

    name = "nobody/nothing"
    private = True

    def __init__(self, name: str | None = None) -> None:
        """`owner/repo`, where the name matters."""
        if name is not None:
            self.name = name

    def commit(self, ref: str) -> str:
        return ref

    def template(self, ref: str) -> Template:  # noqa: ARG002
        return Template()
