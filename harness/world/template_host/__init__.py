"""A forge in small that holds the templates: git over HTTP and the part of Gitea's API that a boot needs."""

from __future__ import annotations

from .host import TemplateHost
from .misbehaviour import Fail, HangUp, Interception, Misbehaviour, Unreachable, with_body
from .record import RecordedRequest, RequestLog
from .repository import NoSuchRef, Repository

__all__ = [
    "Fail",
    "HangUp",
    "Interception",
    "Misbehaviour",
    "NoSuchRef",
    "RecordedRequest",
    "Repository",
    "RequestLog",
    "TemplateHost",
    "Unreachable",
    "with_body",
]
