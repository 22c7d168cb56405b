"""The boot report as a machine sends it, and the judgement that readiness depends on (REC-5, SKL-2, SKL-7)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from ..identity import Identity
from .problems import Fault

Outcome = Literal["ready", "degraded", "failed"]
Reason = Literal["provision", "restart", "restore", "heal", "resume"]
Transport = Literal["git", "archive", "object"]
Timestamp = Annotated[
    str, StringConstraints(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|\+00:00)$")
]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Commit = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")]
Count = Annotated[int, Field(ge=0)]


class Strict(BaseModel):
    """Takes exactly what is declared; nothing is converted, nothing unknown is ignored."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Boot(Strict):
    sequence: Annotated[int, Field(ge=1)]
    reason: Reason


class ReportError(Strict):
    code: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+([_-][a-z0-9]+)*$", max_length=80)]
    message: str
    hint: str | None


class Tree(Strict):
    files: Count
    digest: Digest

    def __str__(self) -> str:
        return f"{self.files} files of digest {self.digest}"


class PathNote(Strict):
    path: Annotated[str, StringConstraints(min_length=1)]
    action: Literal[
        "delivered",
        "updated",
        "repaired",
        "preserved",
        "merged",
        "removed",
        "rejected",
        "skipped",
        "laid-aside",
    ]
    reason: Annotated[str, StringConstraints(min_length=1)]
    aside: str | None


class SkillNote(Strict):
    name: Annotated[str, StringConstraints(min_length=1)]
    status: Literal["loaded", "failed", "not-enabled"]
    reason: str | None
    commands: list[str]


class Fetched(Strict):
    bytes: Count
    requests: Count


class BootReport(Strict):
    version: Annotated[Literal[1], Field(alias="schema")]
    workspace: str
    boot: Boot
    started_at: Timestamp
    finished_at: Timestamp
    identity: str
    repository: str
    ref: str
    commit: Commit | None
    transport: Transport
    outcome: Outcome
    error: ReportError | None
    expected: Tree | None
    delivered: Tree | None
    paths: list[PathNote]
    skills: list[SkillNote]
    fetched: Fetched

    @model_validator(mode="after")
    def _bears_its_outcome(self) -> Self:
        if self.outcome == "ready":
            if self.commit is None or self.expected is None or self.delivered is None:
                raise ValueError("a ready boot has a commit, an expected and a delivered tree")
        elif self.error is None:
            raise ValueError(f"a {self.outcome} boot has an error")
        return self


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a report makes of its workspace."""

    status: Literal["online", "degraded", "failed"]
    error: Fault | None
    refused: bool = False
    """The machine claimed more than its own report bears out."""


def judge(
    report: BootReport, identity: Identity, agent_card: dict[str, Any] | None, agent_url: str | None
) -> Verdict:
    """Whether the workspace that records `identity` is ready. What the machine says of itself is not enough."""
    error = Fault(report.error.code, report.error.message, report.error.hint) if report.error else None
    if report.outcome == "failed":
        return Verdict("failed", error)
    if report.identity != str(identity):
        return _refused(
            "identity-mismatch",
            f"the machine booted {report.identity!r}, but the workspace records {str(identity)!r}",
        )
    if identity.pinned and report.commit != identity.ref:
        return _refused(
            "commit-mismatch", f"the machine delivered commit {report.commit}, but {identity.ref} is pinned"
        )
    if report.outcome == "degraded":
        return Verdict("degraded", error)
    return _judge_ready(report, agent_card, agent_url)


def _judge_ready(report: BootReport, agent_card: dict[str, Any] | None, agent_url: str | None) -> Verdict:
    if report.expected != report.delivered:
        return _refused(
            "digest-mismatch",
            f"the volume holds {report.delivered}, but the template has {report.expected}",
        )
    # One that did not load is no breach of readiness: nobody may have asked for it (a folder that the user began).
    if agent_card is None or agent_url is None:
        return _refused("agent-missing", "the machine is ready, but registered no agent card or URL")
    carried = {skill.get("id") for skill in _skills(agent_card)}
    for skill in report.skills:
        if skill.status == "loaded" and skill.name not in carried:
            return _refused("skill-missing", f"skill {skill.name!r} is loaded, but is not in the agent card")
    return Verdict("online", None)


def _skills(agent_card: dict[str, Any]) -> list[dict[str, Any]]:
    skills = agent_card.get("skills")
    return [skill for skill in skills if isinstance(skill, dict)] if isinstance(skills, list) else []


def _refused(code: str, message: str) -> Verdict:
    return Verdict(
        "failed", Fault(code, message, "restart the workspace; it delivers its template anew"), refused=True
    )
