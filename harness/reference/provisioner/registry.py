"""Where machines say who they are, how their boot went, and that they live."""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
from http import HTTPStatus
from time import time
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qsl

from botocore.exceptions import BotoCoreError
from sqlalchemy import delete, insert

from ..identity import Identity
from .operations import BOOT_REASON
from .problems import Fault, Problem
from .report import Verdict, judge
from .store import boots, change_workspace, finish_operation, unfinished, verify_delivery, workspace_row
from .tenants import role_name

if TYPE_CHECKING:
    from botocore.model import Shape
    from sqlalchemy import Connection

    from .cloud import Cloud
    from .health import Health
    from .operations import Engine
    from .report import BootReport
    from .store import Store, WorkspaceRow

log = logging.getLogger(__name__)

_PROOF = {
    "Action": "GetCallerIdentity",
    "Version": "2011-06-15",
    "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
    "X-Amz-Credential": None,
    "X-Amz-Date": None,
    "X-Amz-Expires": None,
    "X-Amz-SignedHeaders": "host",
    "X-Amz-Security-Token": None,
    "X-Amz-Signature": None,
}
"""The parameters of a proof, and the value of those that have only one. A role's credentials always have a token."""
_STS_SECONDS = 10
_QUERY = re.compile(r"[A-Za-z0-9._~%=&-]{1,8192}")
_ROLE_SESSION = re.compile(r"arn:aws[a-z-]*:sts::\d{12}:assumed-role/(?P<role>[^/]+)/(?P<session>[^/]+)")

_MISPLACED_FAULT = Fault("report-mismatch", "the machine's report is of another workspace or boot")
_MISPLACED = Verdict("failed", _MISPLACED_FAULT, refused=True)


class Registry:
    def __init__(self, store: Store, cloud: Cloud, engine: Engine, health: Health) -> None:
        self._store = store
        self._cloud = cloud
        self._engine = engine
        self._health = health
        self._key = store.key("machine-tokens")

    def token(self, workspace: str) -> str:
        """The same at every boot of the workspace, so that the volume's copy of it stays as it is."""
        return hmac.new(self._key, workspace.encode(), hashlib.sha256).hexdigest()

    def register(
        self,
        workspace: str,
        boot_sequence: int,
        proof: str,
        report: BootReport,
        agent_card: dict[str, Any] | None,
        agent_url: str | None,
    ) -> str:
        """The workspace's status as the report makes it. Raises Problem."""
        role, session = self._prove(proof)
        with self._store.writing() as connection:
            row = self._current(connection, workspace, role, session, boot_sequence)
            belongs = (report.workspace, report.boot.sequence, report.boot.reason)
            if belongs == (row.id, row.boot_sequence, row.boot_reason):
                verdict = judge(report, Identity.parse(row.identity), agent_card, agent_url)
                self._record(connection, row, report, verdict, agent_card, agent_url)
            else:
                verdict = _MISPLACED
                self._fail(connection, row, _MISPLACED_FAULT)
        log.info("workspace %s: boot %d is %s", workspace, boot_sequence, verdict.status)
        if verdict.status != "failed":
            self._health.watch(workspace)
        self._engine.wake(workspace)
        if verdict.refused and verdict.error is not None:
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, verdict.error.code, verdict.error.message)
        return verdict.status

    def recognise(self, workspace: str, boot_sequence: int, proof: str) -> WorkspaceRow:
        """The workspace of a machine that proves to be its current one. Raises Problem."""
        role, session = self._prove(proof)
        with self._store.reading() as connection:
            return self._current(connection, workspace, role, session, boot_sequence)

    def refuse_report(self, workspace: str, boot_sequence: int, proof: str, reason: str) -> None:
        """A report that cannot be read: the boot it belongs to has failed, if it really comes from its machine."""
        role, session = self._prove(proof)
        with self._store.writing() as connection:
            row = self._current(connection, workspace, role, session, boot_sequence)
            self._fail(connection, row, Fault("report-malformed", reason))
        self._engine.wake(workspace)

    def heartbeat(self, token: str, workspace: str, boot_sequence: int) -> None:
        if not hmac.compare_digest(token.encode(), self.token(workspace).encode()):
            raise Problem(
                HTTPStatus.UNAUTHORIZED,
                "token-invalid",
                "the machine's token is not this workspace's",
                headers={"WWW-Authenticate": 'Bearer realm="registry", error="invalid_token"'},
            )
        with self._store.reading() as connection:
            row = workspace_row(connection, workspace)
        if row is None:
            raise Problem(HTTPStatus.NOT_FOUND, "workspace-unknown", f"there is no workspace {workspace!r}")
        if row.status == "deleted":
            raise Problem(HTTPStatus.GONE, "workspace-deleted", f"workspace {workspace} is deleted")
        if row.boot_sequence != boot_sequence or row.machine is None or row.registered_at is None:
            raise Problem(HTTPStatus.CONFLICT, "boot-not-current", _not_current(row, boot_sequence))
        self._health.heard(workspace)

    # the proof

    def _prove(self, query: str) -> tuple[str, str]:
        """Role and session name of whoever signed the query, by the word of AWS.

        Only the query comes from the machine. It is sent to this provisioner's own endpoint, and it can ask for
        nothing but who its signer is.
        """
        parameters = parse_qsl(query, keep_blank_values=True) if _QUERY.fullmatch(query) else []
        names = [name for name, _ in parameters]
        if sorted(names) != sorted(_PROOF) or any(
            _PROOF[name] not in {None, value} for name, value in parameters
        ):
            raise _unproven(
                "it is not a presigned query of GetCallerIdentity with the parameters of SigV4 alone"
            )
        arn = self._caller(query)
        match = _ROLE_SESSION.fullmatch(arn)
        if match is None:
            raise _unproven("its signer is not a role")
        return match["role"], match["session"]

    def _caller(self, query: str) -> str:
        # Imported here, because the first request is to be answered before boto3 is loaded.
        from botocore.awsrequest import AWSRequest
        from botocore.httpsession import URLLib3Session
        from botocore.parsers import ResponseParserError, create_parser

        sts = self._cloud.sts
        request = AWSRequest("GET", f"{sts.meta.endpoint_url.rstrip('/')}/?{query}", {"Accept": "text/xml"})
        try:
            answer = URLLib3Session(timeout=_STS_SECONDS).send(request.prepare())
        except BotoCoreError as error:
            raise Problem(
                HTTPStatus.SERVICE_UNAVAILABLE, "sts-unreachable", "AWS STS does not answer; try again"
            ) from error
        if answer.status_code == HTTPStatus.TOO_MANY_REQUESTS or answer.status_code >= 500:
            raise Problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "sts-unreachable",
                f"AWS STS answers {answer.status_code}; try again",
            )
        if answer.status_code != HTTPStatus.OK:
            raise _unproven(f"AWS STS answers {answer.status_code}")
        shape = cast("Shape", sts.meta.service_model.operation_model("GetCallerIdentity").output_shape)
        try:
            parsed = create_parser("query").parse(
                {"body": answer.content, "headers": answer.headers, "status_code": answer.status_code}, shape
            )
        except ResponseParserError as error:
            raise _unproven("the answer of AWS STS cannot be read") from error
        return str(parsed.get("Arn", ""))

    # the record

    @staticmethod
    def _current(
        connection: Connection, workspace: str, role: str, session: str, boot_sequence: int
    ) -> WorkspaceRow:
        row = workspace_row(connection, workspace, for_update=True)
        if row is None:
            raise Problem(HTTPStatus.NOT_FOUND, "workspace-unknown", f"there is no workspace {workspace!r}")
        if role != role_name(row.tenant):
            raise _unproven("its signer is not the role of this workspace's tenant")
        going = any(operation.kind == "delete" for operation in unfinished(connection, workspace))
        if row.machine != session or row.boot_sequence != boot_sequence or going:
            raise Problem(HTTPStatus.CONFLICT, "boot-not-current", _not_current(row, boot_sequence))
        return row

    def _record(
        self,
        connection: Connection,
        row: WorkspaceRow,
        report: BootReport,
        verdict: Verdict,
        agent_card: dict[str, Any] | None,
        agent_url: str | None,
    ) -> None:
        error = verdict.error.as_json() if verdict.error else None
        self._finish(connection, row, "failed" if verdict.status == "failed" else "done", error)
        connection.execute(delete(boots).where(boots.c.workspace == row.id))
        connection.execute(
            insert(boots).values(
                workspace=row.id,
                sequence=row.boot_sequence,
                report=report.model_dump(mode="json", by_alias=True),
                agent_card=agent_card,
            )
        )
        if verdict.status == "online":
            verify_delivery(connection, row.id)
        lives = verdict.status != "failed"
        change_workspace(
            connection,
            row.id,
            status=verdict.status,
            error=error,
            commit=report.commit if lives and report.commit else row.commit,
            agent_url=agent_url if lives else None,
            registered_at=time() if lives else None,
        )

    def _fail(self, connection: Connection, row: WorkspaceRow, fault: Fault) -> None:
        self._finish(connection, row, "failed", fault.as_json())
        change_workspace(
            connection, row.id, status="failed", error=fault.as_json(), agent_url=None, registered_at=None
        )

    @staticmethod
    def _finish(connection: Connection, row: WorkspaceRow, state: str, error: dict[str, Any] | None) -> None:
        """End the operation that waits for this boot, and the healing of a machine that turns out to live."""
        for operation in unfinished(connection, row.id):
            if operation.kind in BOOT_REASON and operation.boot_sequence == row.boot_sequence:
                finish_operation(connection, operation.id, state, error)
            elif operation.kind == "heal" and operation.boot_sequence is None and state == "done":
                finish_operation(connection, operation.id, "superseded")


def _unproven(why: str) -> Problem:
    return Problem(
        HTTPStatus.UNAUTHORIZED,
        "identity-unproven",
        f"the identity proof is not accepted: {why}",
        headers={"WWW-Authenticate": 'AWS-SigV4 realm="registry"'},
    )


def _not_current(row: WorkspaceRow, boot_sequence: int) -> str:
    return (
        f"boot {boot_sequence} of this machine is not the current one of workspace {row.id}; end the machine"
    )
