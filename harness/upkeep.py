"""A cloud that stays up for a person: its URLs, a tour of commands, and what happens in it, as it happens."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event
from types import FrameType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from harness.oracle.canaries import bootstrap_canaries
from harness.runtime.ownership import Owner
from harness.runtime.sweep import sweep
from harness.standing import standing_cloud

if TYPE_CHECKING:
    from harness.session import Choices
    from harness.world.cloud import Cloud, Mark, Ports

TENANT = "demo"
LOOK = 0.3
"""Seconds between two looks at what was recorded meanwhile."""


def keep_up(choices: Choices, console: Console, say: Callable[[str], None], ports: Ports) -> None:
    """Returns after Ctrl-C or SIGTERM, with everything taken down. Raises what standing_cloud does."""
    sweep(engines=choices.engines)
    with (
        _told_to_end() as ended,
        standing_cloud(choices, Owner.current(), progress=say, ports=ports) as cloud,
    ):
        names = _publish(cloud, choices)
        token = _make_tenant(cloud, names)
        _show_tour(cloud, console, names, token)
        mark = cloud.mark()
        while not ended.wait(LOOK):
            mark = _show_events(cloud, console, mark)
        say("taking it all down")
    say("nothing is left")


@contextmanager
def _told_to_end() -> Iterator[Event]:
    """Set by Ctrl-C or SIGTERM while the block runs, so that nothing is torn down half way."""
    ended = Event()

    def end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        if ended.is_set():
            raise KeyboardInterrupt
        ended.set()

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield ended
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _publish(cloud: Cloud, choices: Choices) -> list[str]:
    names = []
    for each in choices.templates:
        repository = cloud.template_host.create_repository(f"templates/{each.name}")
        repository.publish(each.template)
        names.append(repository.name)
    return names


def _make_tenant(cloud: Cloud, repositories: list[str]) -> str:
    bootstrap = {
        field: canary.value for field, canary in bootstrap_canaries(cloud.canary_key, TENANT).items()
    }
    bootstrap["template_repo_token"] = cloud.template_host.issue_token(*repositories)
    token = cloud.lifecycle.put_tenant(TENANT, bootstrap)
    if token is None:
        raise AssertionError(f"the platform gave no token for the new tenant {TENANT}")
    return token


def _show_tour(cloud: Cloud, console: Console, names: list[str], token: str) -> None:
    api = cloud.provisioner.url()
    keys = cloud.aws.administrator("you")
    lines = f"""
[bold]The cloud is up.[/] Ctrl-C takes it down and leaves nothing behind.

  lifecycle API    {api}
  AWS endpoint     {cloud.aws.url}
  template host    {cloud.template_host.url}   ({", ".join(names)})

[bold]A tour[/], for another terminal:

  export API={api} TOKEN={token}
  [dim]# a workspace of the first template[/]
  curl -s -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" \\
       -d '{{"template": "{names[0]}@main"}}' $API/workspaces
  [dim]# what became of it (waits until it has settled)[/]
  curl -s -H "Authorization: Bearer $TOKEN" $API/workspaces
  curl -s -H "Authorization: Bearer $TOKEN" -H "Prefer: wait=30" $API/workspaces/WORKSPACE
  [dim]# restart it, naming no template; delete it with its volume[/]
  curl -s -X POST   -H "Authorization: Bearer $TOKEN" $API/workspaces/WORKSPACE/restart
  curl -s -X DELETE -H "Authorization: Bearer $TOKEN" "$API/workspaces/WORKSPACE?purge=true"
  [dim]# the account it all happens in[/]
  export AWS_ENDPOINT_URL={cloud.aws.url} AWS_REGION={cloud.aws.region}
  export AWS_ACCESS_KEY_ID={keys.access_key_id} AWS_SECRET_ACCESS_KEY={keys.secret_access_key}
  aws ec2 describe-instances; aws secretsmanager list-secrets

[bold]What happens:[/]"""
    console.print(lines, highlight=False, soft_wrap=True)


def _show_events(cloud: Cloud, console: Console, since: Mark) -> Mark:
    """One line each, oldest first; the moment to go on from."""
    now = cloud.mark()
    calls = [
        (call.at, "aws", f"{call.principal}: {call.action} {call.error_code or call.status}")
        for call in cloud.calls_since(since)
        if not call.operation.startswith("Describe")
    ]
    requests = [
        (request.received_at, "template host", f"{request.method} {request.path} {request.status}")
        for request in cloud.template_requests_since(since)
    ]
    for at, where, words in sorted([*calls, *requests]):
        console.print(
            f"  [dim]{at:%H:%M:%S}[/] [cyan]{where:13}[/] {escape(words)}", highlight=False, soft_wrap=True
        )
    for line in cloud.provisioner_log_since(since).decode(errors="replace").splitlines():
        console.print(
            f"           [magenta]{'provisioner':13}[/] {escape(line)}", highlight=False, soft_wrap=True
        )
    return now
