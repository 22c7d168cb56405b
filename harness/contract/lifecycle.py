"""The lifecycle API as a client: each answer is held against `lifecycle.yaml`."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

import httpx
import yaml
from jsonschema import Draft202012Validator, validators
from jsonschema.exceptions import ValidationError

from harness.tls import trusted

WAIT_SLICE = 10.0
"""Seconds that one waiting request asks for (RFC 7240, `Prefer: wait`)."""
IMPATIENCE = 0.05
"""Seconds between two requests to an implementation that does not honour `Prefer: wait`."""

_SLOT = re.compile(r"\{[^}]*\}")

Document = Mapping[str, Any]
UNSETTLED = frozenset(
    {"provisioning", "restarting", "starting", "restoring", "healing", "stopping", "deleting"}
)


class Refused(Exception):
    """The implementation answered with an error (RFC 9457); `code` and `detail` are its own words."""

    def __init__(self, request: str, status: int, problem: Document) -> None:
        self.status = status
        self.problem = problem
        self.code = str(problem.get("code", ""))
        self.detail = str(problem.get("detail", ""))
        super().__init__(f"{request}: {status} {self.code}: {self.detail}")


def refusal_of(act: Callable[[], object]) -> Refused | None:
    """None where it was done."""
    try:
        act()
    except Refused as refusal:
        return refusal
    return None


class NotSettled(AssertionError):
    """The workspace did not settle within the time that the implementation promises."""


class NotAsSpecified(AssertionError):
    """An answer with which nobody can go on: it is not of lifecycle.yaml's shape."""


class Tenancy(Protocol):
    """The verbs that a tenant has. An implementation with an API of its own brings an adapter with these.

    Each verb gives the workspace as a document with lifecycle.yaml's Workspace fields, and raises Refused.
    """

    def create(self, template: str, *, transport: str | None = None) -> Document: ...

    def get(self, workspace: str) -> Document: ...

    def list(self) -> list[Document]: ...

    def restart(self, workspace: str, *, template: str | None = None, accept_loss: bool = False) -> Document:
        """With no template named, the recorded one. `accept_loss` is the explicit word that REC-11 asks for."""

    def stop(self, workspace: str) -> Document: ...

    def start(self, workspace: str) -> Document: ...

    def snapshot(self, workspace: str) -> str:
        """The id of a new snapshot of its volume (capability `snapshots`)."""

    def restore(self, workspace: str, snapshot: str | None) -> Document:
        """Onto a new volume, from a snapshot or, with None, a blank one (capability `snapshots`)."""

    def delete(self, workspace: str, *, purge: bool = False) -> Document: ...

    def waited(self, workspace: str, seconds: float) -> Document:
        """One request that asks to wait so long, and what it is answered with."""

    def settled(self, workspace: str, *, within: float) -> Document:
        """Wait until nothing is under way. Raises NotSettled after `within` seconds."""


class Lifecycle(Protocol):
    """The verbs that the operator has."""

    def healthy(self) -> bool:
        """Whether it answers; never raises."""

    def move(self, base_url: str) -> None:
        """It was started again, and answers here from now on; its tenancies, too, are to be asked for here."""

    def put_tenant(self, tenant: str, bootstrap: Mapping[str, str]) -> str | None:
        """Create a tenant with these bootstrap secrets, or change them; the bearer token of a new one."""

    def delete_tenant(self, tenant: str) -> None: ...

    def tenancy(self, token: str) -> Tenancy: ...

    def asked_with(self, token: str) -> Lifecycle:
        """The same for one who has this token in place of the operator's."""

    def adopt(
        self, tenant: str, workspace: str, template: str, *, transport: str | None, volume: str | None
    ) -> Document:
        """Take over a workspace of the design before this one; it is stopped (capability `migration`)."""

    def sweep(self, *, dry_run: bool) -> Document:
        """Delete config secrets of the design before this one (capability `migration`); a Swept document."""

    def violations(self, since: int = 0) -> list[str]:
        """Answers that were not as lifecycle.yaml says, one line each, in order."""

    def close(self) -> None: ...


class HttpLifecycle:
    """lifecycle.yaml over HTTP."""

    def __init__(self, base_url: str, operator_token: str, schema: Schema | None = None) -> None:
        self._base_url = base_url
        self._schema = schema or Schema()
        self._operator = _Caller(base_url, operator_token, self._schema)
        self._callers = [self._operator]

    def healthy(self) -> bool:
        try:
            return self._operator.http.get("/healthz", timeout=2).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    def move(self, base_url: str) -> None:
        self._base_url = base_url
        for caller in self._callers:
            caller.http.base_url = base_url

    def put_tenant(self, tenant: str, bootstrap: Mapping[str, str]) -> str | None:
        __tracebackhide__ = True
        answer = self._operator.call("PUT", "/tenants/{tenant}", tenant, json={"bootstrap": dict(bootstrap)})
        return answer.get("token")

    def delete_tenant(self, tenant: str) -> None:
        self._operator.call("DELETE", "/tenants/{tenant}", tenant)

    def adopt(
        self, tenant: str, workspace: str, template: str, *, transport: str | None, volume: str | None
    ) -> Document:
        body = {"template": template, "volume": volume} | ({"transport": transport} if transport else {})
        return self._operator.call(
            "PUT", "/tenants/{tenant}/workspaces/{workspace}", tenant, workspace, json=body
        )

    def sweep(self, *, dry_run: bool) -> Document:
        return self._operator.call("POST", "/sweep", json={"dry_run": dry_run})

    def tenancy(self, token: str) -> HttpTenancy:
        caller = _Caller(self._base_url, token, self._schema)
        self._callers.append(caller)
        return HttpTenancy(caller)

    def asked_with(self, token: str) -> HttpLifecycle:
        other = HttpLifecycle(self._base_url, token, self._schema)
        self._callers += other._callers
        return other

    def violations(self, since: int = 0) -> list[str]:
        return self._schema.violations[since:]

    def close(self) -> None:
        for caller in self._callers:
            caller.http.close()


class HttpTenancy:
    """See Tenancy."""

    def __init__(self, caller: _Caller) -> None:
        self._caller = caller

    def create(self, template: str, *, transport: str | None = None) -> Document:
        body = {"template": template} | ({"transport": transport} if transport else {})
        return self._caller.call("POST", "/workspaces", json=body)

    def get(self, workspace: str) -> Document:
        return self._caller.call("GET", "/workspaces/{workspace}", workspace)

    def list(self) -> list[Document]:
        return list(self._caller.call("GET", "/workspaces")["workspaces"])

    def restart(self, workspace: str, *, template: str | None = None, accept_loss: bool = False) -> Document:
        body: dict[str, Any] = {"template": template} if template else {}
        body |= {"accept_loss": True} if accept_loss else {}
        named = {"json": body} if body else {}
        return self._caller.call("POST", "/workspaces/{workspace}/restart", workspace, **named)

    def stop(self, workspace: str) -> Document:
        return self._caller.call("POST", "/workspaces/{workspace}/stop", workspace)

    def start(self, workspace: str) -> Document:
        return self._caller.call("POST", "/workspaces/{workspace}/start", workspace)

    def snapshot(self, workspace: str) -> str:
        return str(self._caller.call("POST", "/workspaces/{workspace}/snapshots", workspace)["id"])

    def restore(self, workspace: str, snapshot: str | None) -> Document:
        return self._caller.call(
            "POST", "/workspaces/{workspace}/restore", workspace, json={"snapshot": snapshot}
        )

    def delete(self, workspace: str, *, purge: bool = False) -> Document:
        query = {"purge": "true"} if purge else {}
        return self._caller.call("DELETE", "/workspaces/{workspace}", workspace, params=query)

    def waited(self, workspace: str, seconds: float) -> Document:
        asked = {"Prefer": f"wait={seconds:.0f}"}
        return self._caller.call(
            "GET", "/workspaces/{workspace}", workspace, headers=asked, timeout=seconds + 5
        )

    def settled(self, workspace: str, *, within: float) -> Document:
        deadline = time.monotonic() + within
        while True:
            left = max(deadline - time.monotonic(), 0.0)
            started = time.monotonic()
            found = self.waited(workspace, min(left, WAIT_SLICE))
            if found["status"] not in UNSETTLED and not found.get("pending"):
                return found
            if left == 0.0:
                raise NotSettled(
                    f"workspace {workspace} is still {found['status']!r} after {within:.0f} s "
                    f"(pending: {found.get('pending')}, error: {found.get('error')})"
                )
            time.sleep(max(0.0, IMPATIENCE - (time.monotonic() - started)))


ONE_REQUEST_EACH = httpx.Limits(max_keepalive_connections=0)
"""A connection that is used again may be one that the server is about to end: after some idle seconds, or without a
word after an error. What is sent then is reset, and nobody knows whether it was heard."""


class _Caller:
    """One bearer token's way to the API."""

    def __init__(self, base_url: str, token: str, schema: Schema) -> None:
        self.http = httpx.Client(
            base_url=base_url,
            headers={"Authorization": f"Bearer {token}"},
            timeout=30,
            limits=ONE_REQUEST_EACH,
            verify=trusted(),
            trust_env=False,
        )
        self._schema = schema

    def call(self, method: str, path: str, *names: str, **request: Any) -> Document:
        """Call `path` with its placeholders filled by `names`. Raises Refused, NotAsSpecified."""
        __tracebackhide__ = True  # a traceback would show what is sent, and that may be a secret
        url = path
        for name in names:
            url = url[: url.index("{")] + name + url[url.index("}") + 1 :]
        answer = self.http.request(method, url, **request)
        document = json_object(answer.content)
        misshapen = self._schema.judge(method, path, answer, document)
        if answer.is_error:
            raise Refused(f"{method} {url}", answer.status_code, document or {})
        if misshapen:
            raise NotAsSpecified("; ".join(misshapen))
        return document or {}


def json_object(raw: bytes) -> Document | None:
    """None where it is anything else, or too deep to be read."""
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


class Schema:
    """`lifecycle.yaml` as a judge of answers. An OpenAPI 3.1 schema is JSON Schema 2020-12."""

    def __init__(self, path: Path | None = None) -> None:
        self.document: dict[str, Any] = yaml.load(
            (path or Path(__file__).with_name("lifecycle.yaml")).read_bytes(), yaml.CSafeLoader
        )
        self._operations = {_SLOT.sub("{}", path): item for path, item in self.document["paths"].items()}
        self.violations: list[str] = []
        self._validator = _remembering()({"components": self.document["components"]})

    def judge(self, method: str, path: str, answer: httpx.Response, document: Document | None) -> list[str]:
        """Remember what is wrong with this answer, if anything is; and what of it is of another shape.

        `document` is its body, None where that is no JSON object.
        """
        found = list(self._wrong(method, path, answer, document))
        self.violations += [problem for problem, _ in found]
        return [problem for problem, of_shape in found if of_shape]

    def _wrong(
        self, method: str, path: str, answer: httpx.Response, document: Document | None
    ) -> Iterator[tuple[str, bool]]:
        """Each problem, and whether it is one of shape: with that, nobody can go on."""
        where = f"{method} {path} answered {answer.status_code}"
        operations = self._operations.get(_SLOT.sub("{}", path), {})
        foreseen = operations.get(method.lower(), {}).get("responses", {})
        response = foreseen.get(str(answer.status_code)) or foreseen.get(f"{answer.status_code // 100}XX")
        if response is None:
            yield f"{where}, which lifecycle.yaml does not foresee", False
            return
        if "$ref" in response:
            response = self.document["components"]["responses"][response["$ref"].rsplit("/", 1)[1]]
        content: dict[str, Any] = response.get("content", {})
        if not content:
            if answer.content:
                yield f"{where} with a body, where none belongs", False
            return
        media_type = answer.headers.get("content-type", "").split(";")[0].strip()
        if media_type not in content:
            yield f"{where} as {media_type or 'no type'}, not as {' or '.join(content)}", False
        if document is None:
            yield f"{where} with a body that is no JSON object", True
            return
        schema = content.get(media_type, next(iter(content.values())))["schema"]
        for error in self._errors(schema, document):
            yield f"{where}: {_worded(error)}", _is_of_shape(error)

    def problems(self, schema: Mapping[str, Any], document: Any) -> list[str]:
        """What is wrong with a document, one line each; empty where it is as the schema says."""
        return [_worded(error) for error in self._errors(schema, document)]

    def _errors(self, schema: Mapping[str, Any], document: Any) -> Iterator[ValidationError]:
        return chain.from_iterable(map(_neither, self._validator.evolve(schema=schema).iter_errors(document)))

    def report_problems(self, report: Any) -> list[str]:
        """The same for a boot report."""
        return self.problems({"$ref": "#/components/schemas/BootReport"}, report)


def _neither(error: ValidationError) -> Iterator[ValidationError]:
    """In place of "it is neither this nor null": what keeps it from being this."""
    if error.validator != "oneOf":
        yield error
    elif error.context:
        of_this = [each for each in error.context if each.validator_value != "null"]
        yield from chain.from_iterable(map(_neither, of_this))


def _is_of_shape(error: ValidationError) -> bool:
    """Whether something is missing or of another type, whatever else the document says."""
    return error.validator in {"required", "type"} and "then" not in error.absolute_schema_path


def _worded(error: ValidationError) -> str:
    return f"{error.json_path}: {error.message[:300]}"


def _remembering() -> Any:
    """A validator that looks once at what a `$ref` stands for: most of an answer was in the answer before."""
    sound: set[bytes] = set()
    look = Draft202012Validator.VALIDATORS["$ref"]

    def ref(validator: Any, name: str, instance: Any, schema: Any) -> Iterator[Any]:
        what = sha256(f"{name} {json.dumps(instance)}".encode()).digest()
        if what in sound:
            return
        errors = list(look(validator, name, instance, schema))
        if not errors:
            sound.add(what)
        yield from errors

    return validators.extend(Draft202012Validator, {"$ref": ref})  # type: ignore[no-untyped-call] # so are the stubs
