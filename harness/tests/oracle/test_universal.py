"""Every check of the universal oracle passes on a good workspace, and each can fail: for its own reason, and alone."""

from __future__ import annotations

import base64
import copy
import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from urllib.parse import quote

import pytest
from werkzeug.datastructures import Headers

from harness.contract.requirements import load_contract
from harness.oracle.boundary import bnd_3_no_secret_on_any_volume, bnd_4_no_secret_in_anything_that_was_said
from harness.oracle.canaries import CREDENTIAL_FIELD, Brood
from harness.oracle.check import Judge
from harness.oracle.search import Search
from harness.oracle.seen import BOOT_REPORT, CONFIGS, Expected, Seen
from harness.oracle.universal import judge_ready
from harness.runtime.base import Entry, Process
from harness.templates import BOTTOMLESS
from harness.templates.model import Template, TemplateFile
from harness.world.aws.calls import Call
from harness.world.template_host.record import RecordedRequest

COMMIT = "c" * 40
SKILL = (
    b"---\nname: notes\ndescription: Takes notes of what was said in a meeting.\n---\n\nListen, then write.\n"
)
CONFIG = b"name: taker\ndescription: An agent that takes notes.\nskills:\n  - notes\n"
TEMPLATE = (
    Template()
    .with_file("config.yaml", CONFIG)
    .with_file("agent-skills/notes/SKILL.md", SKILL)
    .with_file("agent-skills/notes/commands/sum.md", b"# Sum up\n\nThe five things that were decided.\n")
    .with_file(
        "agent-skills/notes/scripts/run.sh", b"#!/bin/sh\necho the notes of the day, as they are\n", "755"
    )
    .with_file("README.md", b"# What people read, and machines do not need at all\n")
)
CANARIES = Brood("acme").canaries(b"a key of this test")
STRANGER = Brood("stranger").canaries(b"a key of this test")
FORMER = Brood("acme", 1).canaries(b"a key of this test")[CREDENTIAL_FIELD]
TOKEN = CANARIES[CREDENTIAL_FIELD].value
SECRET = CANARIES["db_password"].value
SECRET_CORE = CANARIES["db_password"].core


class Contents:
    """A volume whose files are given."""

    name = "vol"

    def __init__(self, files: dict[str, bytes]) -> None:
        self._files = files

    def read(self, path: str) -> bytes:
        return self._files[path]

    def entries(self) -> dict[str, Entry]:
        return {path: entry(path, content) for path, content in self._files.items()}


def entry(path: str, content: bytes, mode: int = 0o644) -> Entry:
    return Entry(path, "file", mode, len(content), 1, 1, 1, sha256(content).hexdigest(), None)


def report() -> dict[str, Any]:
    tree = {"files": len(TEMPLATE.asset_set()), "digest": TEMPLATE.digest()}
    return {
        "boot": {"sequence": 1, "reason": "provision"},
        "repository": "acme/taker",
        "ref": "main",
        "commit": COMMIT,
        "outcome": "ready",
        "error": None,
        "expected": tree,
        "delivered": tree,
        "paths": [{"path": "README.md", "action": "skipped", "reason": "not-allowlisted", "aside": None}],
        "skills": [{"name": "notes", "status": "loaded", "reason": None, "commands": ["sum.md"]}],
    }


def good(**changes: Any) -> Seen:
    """A workspace with nothing wrong but `changes`: `files` (path to content or None), `report`, fields of Seen."""
    files = {f"{CONFIGS}/{path}": file.content for path, file in TEMPLATE.asset_set().items()}
    modes = {f"{CONFIGS}/{path}": int(f"0{file.mode}", 8) for path, file in TEMPLATE.asset_set().items()}
    files[f"{CONFIGS}/.auth_token"] = CANARIES["shared_secret"].value.encode()
    document = changes.pop("report", report())
    files[BOOT_REPORT] = json.dumps(changes.pop("report_on_volume", document)).encode()
    for path, content in changes.pop("files", {}).items():
        if content is None:
            files.pop(path)
        else:
            files[path] = content
    modes.update(changes.pop("modes", {}))
    workspace = {
        "status": "online",
        "template": {"repository": "acme/taker", "ref": "main", "commit": COMMIT},
        "boot": {"sequence": 1, "reason": "provision", "report": document},
        "error": None,
        **changes.pop("workspace", {}),
    }
    seen = Seen(
        tenant="acme",
        workspace=workspace,
        card={"name": "taker", "skills": [{"id": "notes"}]},
        entries={path: entry(path, content, modes.get(path, 0o644)) for path, content in files.items()},
        volume=Contents(files),  # type: ignore[arg-type]
        console=b"fetched 4 files\n",
        processes=[Process(1, ("python3", "agent"), {"PATH": "/usr/bin"})],
        user_data=b'{"workspace": "ws-1"}',
        calls=[
            call("secretsmanager:CreateSecret", Name="molecule/tenant/acme/bootstrap", SecretString=SECRET)
        ],
        requests=[request()],
        logs={"the provisioner": b"boot 1 is online\n"},
        expected=Expected("acme/taker", "main", COMMIT, TEMPLATE, "git", "provision", private=True),
        canaries=CANARIES,
        template_tokens=[CANARIES[CREDENTIAL_FIELD]],
        search=Search([*CANARIES.values(), *STRANGER.values()]),
        schema_problems=lambda document: [],
        violations=[],
    )
    return replace(seen, **changes)


def call(action: str, **parameters: Any) -> Call:
    service, operation = action.split(":")
    return Call(
        at=datetime.now(UTC), caller=None, principal="provisioner", service=service, operation=operation,
        region="us-east-1", resources=(), request_bytes=0, parameters=parameters,
        body=json.dumps(parameters).encode(), status=200,
    )  # fmt: skip


def request(
    token: str = TOKEN, path: str = "/acme/taker.git/info/refs", query: str = "", **headers: str
) -> RecordedRequest:
    sent = Headers({"Authorization": f"token {token}", **headers})
    return RecordedRequest("acme/taker", "GET", path, query, sent, datetime.now(UTC), 200)


def changed(**changes: Any) -> dict[str, Any]:
    return {**report(), **changes}


def failing(seen: Seen) -> set[str]:
    judge = Judge(load_contract(), "test")
    judge_ready(judge, seen, None)
    return {line.check.split("_")[0] + "-" + line.check.split("_")[1] for line in judge.failures()}


def test_nothing_is_wrong_with_a_good_workspace() -> None:
    judge = Judge(load_contract(), "test")
    judge_ready(judge, good(), None)

    judge.conclude()
    assert {line.verdict for line in judge.lines} == {"pass"}


SKILL_PATH = f"{CONFIGS}/agent-skills/notes/SKILL.md"
SCRIPT_PATH = f"{CONFIGS}/agent-skills/notes/scripts/run.sh"
COMMAND_PATH = f"{CONFIGS}/agent-skills/notes/commands/sum.md"
SOME_ASSET = SKILL[20:80]

DEFECTS: dict[str, tuple[Callable[[], Seen], set[str]]] = {
    "a config secret is written": (
        lambda: good(
            calls=[
                call("secretsmanager:CreateSecret", Name="molecule/workspace/ws-1/config", SecretString="x")
            ]
        ),
        {"bnd-1", "mig-2"},
    ),
    "a config secret is updated by its ARN": (
        lambda: good(
            calls=[
                call(
                    "secretsmanager:PutSecretValue",
                    SecretId="arn:aws:secretsmanager:us-east-1:123456789012:secret:molecule/workspace/ws-1/config-AbCdEf",
                    SecretString="x",
                )
            ]
        ),
        {"bnd-1", "mig-2"},
    ),
    "another secret is written": (
        lambda: good(calls=[call("secretsmanager:CreateSecret", Name="molecule/copy", SecretString="x")]),
        {"bnd-1"},
    ),
    "a config secret is brought back": (
        lambda: good(calls=[call("secretsmanager:RestoreSecret", SecretId="molecule/workspace/ws-1/config")]),
        {"mig-2"},
    ),
    "user-data carries a skill": (lambda: good(user_data=b"x" + SKILL), {"bnd-2"}),
    "user-data carries a skill, packed": (
        lambda: good(user_data=base64.b64encode(gzip.compress(SKILL + bytes(range(200))))),
        {"bnd-2"},
    ),
    "a tag carries the config": (
        lambda: good(
            calls=[
                call("ec2:CreateTags", Tags=[{"Key": "config", "Value": base64.b64encode(CONFIG).decode()}])
            ]
        ),
        {"bnd-2"},
    ),
    "the environment carries the config": (
        lambda: good(processes=[Process(7, ("agent",), {"CONFIG": CONFIG.decode()})]),
        {"bnd-2"},
    ),
    "a secret is in a state file": (lambda: good(files={".boot/cache": SECRET.encode()}), {"bnd-3"}),
    "a secret is in a kept-aside file, encoded": (
        lambda: good(files={".boot/aside/x": base64.b64encode(b"ab" + SECRET.encode())}),
        {"bnd-3"},
    ),
    "another tenant's secret is in the agent's credential file": (
        lambda: good(files={f"{CONFIGS}/.auth_token": STRANGER["shared_secret"].value.encode()}),
        {"bnd-3"},
    ),
    "a secret is in the name of a path": (lambda: good(files={f"work/{SECRET_CORE}": b""}), {"bnd-3"}),
    "another tenant's secret is on the console": (
        lambda: good(console=STRANGER["db_password"].value.encode()),
        {"bnd-4"},
    ),
    "another tenant's secret is in the agent's environment": (
        lambda: good(processes=[Process(7, ("agent",), {"SECRET": STRANGER["shared_secret"].value})]),
        {"bnd-4"},
    ),
    "a secret is on the console": (lambda: good(console=b"password " + SECRET.encode()), {"bnd-4"}),
    "a secret is in an error": (
        lambda: good(workspace={"error": {"message": f"cannot connect with {SECRET}"}}),
        {"bnd-4"},
    ),
    "a secret is in the provisioner's log": (
        lambda: good(logs={"the provisioner": SECRET.encode()}),
        {"bnd-4"},
    ),
    "a secret is in a tag": (
        lambda: good(
            calls=[call("ec2:CreateTags", Tags=[{"Key": "k", "Value": CANARIES["shared_secret"].value}])]
        ),
        {"bnd-4"},
    ),
    "a secret is in the notes of an object": (
        lambda: good(
            calls=[replace(call("s3:PutObject", Key="k"), head=f"PUT /b/k\nx-amz-meta-by: {TOKEN}".encode())]
        ),
        {"bnd-4"},
    ),
    "a secret is in a form, packed": (
        lambda: good(
            calls=[
                replace(
                    call("ec2:RunInstances"),
                    body=b"UserData=" + quote(base64.b64encode(gzip.compress(SECRET.encode()))).encode(),
                )
            ]
        ),
        {"bnd-4"},
    ),
    "a secret is in the description of a secret": (
        lambda: good(
            calls=[
                call(
                    "secretsmanager:CreateSecret",
                    Name="molecule/tenant/acme/bootstrap",
                    SecretString=SECRET,
                    Description=f"{SECRET_CORE} and more",
                )
            ]
        ),
        {"bnd-4"},
    ),
    "another tenant's secret is in the bootstrap secret": (
        lambda: good(
            calls=[
                call(
                    "secretsmanager:PutSecretValue",
                    SecretId="molecule/tenant/acme/bootstrap",
                    SecretString=STRANGER["shared_secret"].value,
                )
            ]
        ),
        {"bnd-4"},
    ),
    "a secret other than the template token is shown to the template host": (
        lambda: good(
            requests=[request(), replace(request(CANARIES["shared_secret"].value), repository="acme/other")]
        ),
        {"bnd-4"},
    ),
    "a secret is in a header to the template host": (
        lambda: good(requests=[request(**{"X-Debug": CANARIES["admin_token"].value})]),
        {"bnd-4"},
    ),
    "the token is in a URL": (lambda: good(requests=[request(query=f"token={TOKEN}")]), {"bnd-4", "bnd-5"}),
    "the token is in the environment": (
        lambda: good(processes=[Process(7, ("agent",), {"TEMPLATE_REPO_TOKEN": TOKEN})]),
        {"bnd-5"},
    ),
    "a former token is in a command line": (
        lambda: good(
            search=Search([*CANARIES.values(), FORMER]), processes=[Process(7, ("git", FORMER.value), {})]
        ),
        {"bnd-5"},
    ),
    "the token is in a command line": (
        lambda: good(
            processes=[Process(7, ("git", "-c", f"http.extraHeader=Authorization: token {TOKEN}"), {})]
        ),
        {"bnd-5"},
    ),
    "a .git is left": (lambda: good(files={f"{CONFIGS}/.git": b"gitdir: /elsewhere"}), {"bnd-5"}),
    "the fetch uses another credential": (
        lambda: good(requests=[request(), request(token="somebody-elses-token")]),
        {"bnd-5"},
    ),
    "no process was seen": (lambda: good(processes=[]), {"bnd-5"}),
    "the status shows another commit": (
        lambda: good(workspace={"template": {"repository": "acme/taker", "ref": "main", "commit": "d" * 40}}),
        {"chn-1"},
    ),
    "the report shows another ref": (lambda: good(report=changed(ref="master")), {"chn-1"}),
    "a prompt file's bytes are changed": (
        lambda: good(files={f"{CONFIGS}/config.yaml": CONFIG.replace(b"\n", b"\r\n")}),
        {"chn-5"},
    ),
    "the executable bit is lost": (lambda: good(modes={SCRIPT_PATH: 0o644}), {"chn-6"}),
    "a file is executable that is not": (lambda: good(modes={SKILL_PATH: 0o755}), {"chn-6"}),
    "the README is delivered": (
        lambda: good(files={f"{CONFIGS}/README.md": TEMPLATE.files["README.md"].content}),
        {"alw-1"},
    ),
    "the README is delivered elsewhere": (
        lambda: good(files={"workspace/about": TEMPLATE.files["README.md"].content}),
        {"alw-1"},
    ),
    "a skill's file is missing": (lambda: good(files={SCRIPT_PATH: None}), {"skl-1", "chn-5", "chn-6"}),
    "a skill's file is cut": (lambda: good(files={SKILL_PATH: SKILL[:40]}), {"skl-1", "chn-5"}),
    "a command is missing": (lambda: good(files={COMMAND_PATH: None}), {"skl-1", "chn-5", "skl-9"}),
    "a named skill is not in the card": (lambda: good(card={"name": "taker", "skills": []}), {"skl-2"}),
    "the card lists skills by name alone": (lambda: good(card={"skills": ["notes"]}), {"skl-2"}),
    "the card's skills are no list": (lambda: good(card={"skills": {"notes": {}}}), {"skl-2"}),
    "the card has no skills": (lambda: good(card={"skills": None}), {"skl-2"}),
    "no agent answers": (lambda: good(card=None), {"skl-2", "rec-5"}),
    "a skipped path is not reported": (lambda: good(report=changed(paths=[])), {"skl-3"}),
    "a path is reported without a reason": (
        lambda: good(report=changed(paths=[{**report()["paths"][0], "reason": ""}])),
        {"skl-3"},
    ),
    "the delivered digest is not the template's": (
        lambda: good(report=changed(delivered={"files": 4, "digest": "0" * 64})),
        {"skl-7"},
    ),
    "the count is not the template's": (
        lambda: good(report=changed(expected={"files": 3, "digest": TEMPLATE.digest()})),
        {"skl-7"},
    ),
    "a command is not reported": (
        lambda: good(report=changed(skills=[{**report()["skills"][0], "commands": []}])),
        {"skl-9"},
    ),
    "the report is of another reason": (
        lambda: good(report=changed(boot={"sequence": 1, "reason": "restart"})),
        {"rec-1"},
    ),
    "the status is degraded": (lambda: good(workspace={"status": "degraded"}), {"rec-5"}),
    "what is degraded does not run": (
        lambda: good(workspace={"status": "degraded"}, card=None),
        {"skl-2", "rec-5", "obs-2"},
    ),
    "the report on the volume differs": (
        lambda: good(report_on_volume=changed(commit="d" * 40)),
        {"obs-1"},
    ),
    "there is no report on the volume": (lambda: good(files={BOOT_REPORT: None}), {"obs-1"}),
    "the report on the volume is no JSON": (lambda: good(files={BOOT_REPORT: b"{"}), {"obs-1"}),
    "the report on the volume is a list": (lambda: good(files={BOOT_REPORT: b"[]"}), {"obs-1"}),
    "the report on the volume has no bottom": (lambda: good(files={BOOT_REPORT: BOTTOMLESS}), {"obs-1"}),
    "the report breaks its schema": (lambda: good(schema_problems=lambda _: ["$: no outcome"]), {"obs-1"}),
    "an answer was not foreseen": (lambda: good(violations=["GET / answered 418"]), {"obs-2"}),
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_each_defect_fails_its_own_requirement_and_no_other(defect: str) -> None:
    make, requirements = DEFECTS[defect]

    assert failing(make()) == requirements


def test_every_check_of_the_universal_oracle_was_seen_to_fail() -> None:
    judge = Judge(load_contract(), "test")
    judge_ready(judge, good(), None)
    made = {line.requirement.lower() for line in judge.lines}

    assert made == {requirement for _, failed in DEFECTS.values() for requirement in failed}


def test_an_old_report_is_not_taken_for_this_boots() -> None:
    judge = Judge(load_contract(), "test")
    judge_ready(judge, good(), {"boot": {"sequence": 1}})

    assert "rec_1_the_boot_reconciled" in {line.check for line in judge.failures()}


def test_a_volume_that_is_not_there_was_not_reconciled() -> None:
    invented = replace(good(), volume=None, entries={})

    assert "rec-1" in failing(invented)


def test_a_user_edit_is_expected_in_place_of_the_templates_file() -> None:
    mine = CONFIG + b"mine: true\n"
    row = {"path": "config.yaml", "action": "preserved", "reason": "user-edit", "aside": None}
    kept = good(
        files={f"{CONFIGS}/config.yaml": mine},
        report=changed(paths=[*report()["paths"], row]),
        expected=replace(good().expected, edits={"config.yaml": mine}),
    )
    healed_away = replace(copy.copy(kept), entries=good().entries, volume=good().volume)

    assert failing(kept) == set()
    assert "edit-1" in failing(healed_away)


def test_a_report_is_not_looked_for_on_a_volume_that_cannot_be_written() -> None:
    unwritable = replace(good().expected, writable=False)

    assert failing(good(files={BOOT_REPORT: None}, expected=unwritable)) == set()
    assert "obs-1" in failing(good(files={BOOT_REPORT: None}))
    assert "obs-1" in failing(good(workspace={"boot": None}, expected=unwritable))


def test_a_secret_behind_noise_of_the_template_is_found() -> None:
    noise = TemplateFile(bytes(range(256)) * 4, noise=True)
    template = TEMPLATE.with_entries({"prompts/noise.bin": noise})
    files = {f"{CONFIGS}/prompts/noise.bin": noise.content + SECRET.encode()}
    expected = Expected("acme/taker", "main", COMMIT, template, "git", "provision", private=True)

    assert list(good(expected=expected, files=files).sightings[f"{CONFIGS}/prompts/noise.bin"]) != []


def test_a_bare_hash_of_a_secret_is_told() -> None:
    judge = Judge(load_contract(), "test")
    judge_ready(judge, good(console=b"token " + sha256(TOKEN.encode()).hexdigest().encode()), None)

    judge.conclude()
    (line,) = (line for line in judge.lines if line.check == "bnd_4_no_secret_in_what_is_said")
    assert line.saw.endswith("; <canary acme/template_repo_token> (sha256) in the console")


@pytest.mark.parametrize("path", ["notes/key.txt", ".boot/aside/x"])
def test_a_secret_on_a_volume_that_nobody_uses_is_found(path: str) -> None:
    content = base64.b64encode(b"ab" + SECRET.encode())
    volumes: dict[str, Any] = {"vol-1": Contents({}), "snap-1": Contents({path: content})}

    problem, *_ = bnd_3_no_secret_on_any_volume.look(Search(CANARIES.values()), volumes).problems
    assert problem == f"<canary acme/db_password> (base64) in {path} of snap-1"


def test_the_credential_file_may_hold_what_it_is_for() -> None:
    volumes: dict[str, Any] = {"vol-1": Contents({f"{CONFIGS}/.auth_token": SECRET.encode()})}

    assert bnd_3_no_secret_on_any_volume.look(Search(CANARIES.values()), volumes).problems == ()


def test_what_a_machine_said_that_is_gone_is_searched() -> None:
    look = bnd_4_no_secret_in_anything_that_was_said.look
    said = {"the console of i-1": b"fetched", "the console of i-2": SECRET.encode()}

    (problem,) = look(Search(CANARIES.values()), said, [request()], []).problems
    assert problem.endswith("in the console of i-2")
