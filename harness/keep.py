"""The pytest plugin behind `--keep on-failure`: the cloud of a scenario that failed stays up for a person to look at.

The cloud lives in this process, so that it can wait, and nothing else: no worker of xdist, no run without a terminal.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.report.population import is_scenario

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter

    from harness.runtime.base import Runtime
    from harness.scenario.scenario import Scenario

TERMINAL = Path("/dev/tty")
"""Where the person is, whatever the standard streams are; pytest captures them."""


class KeepProblem(Exception):
    """Nothing can be kept as asked; one line that says why, and the way out."""


class Keep:
    """Stops the run at its first failure."""

    def __init__(self, config: pytest.Config) -> None:
        """Raises KeepProblem."""
        if config.getoption("tx", None):
            raise KeepProblem(
                "--keep on-failure: a worker of -n cannot be waited in; run one after the other, with -n 0"
            )
        try:
            TERMINAL.open().close()
        except OSError:
            raise KeepProblem(
                "--keep on-failure: there is no terminal, so nobody could end it; start it from one, or leave it out "
                "and read the artifacts"
            ) from None
        config.option.maxfail = 1

    def pytest_exception_interact(
        self, node: pytest.Item | pytest.Collector, call: pytest.CallInfo[Any], report: pytest.TestReport
    ) -> None:
        """As a debugger would: the scenario has failed, and nothing of it is taken down yet."""
        acted: Scenario | None = getattr(node, "funcargs", {}).get("scenario")
        if acted is None or not isinstance(node, pytest.Item) or not is_scenario(node) or call.when != "call":
            return
        capture = node.config.pluginmanager.getplugin("capturemanager")
        terminal: TerminalReporter | None = node.config.pluginmanager.getplugin("terminalreporter")
        if terminal is None:
            return
        with capture.global_and_fixture_disabled() if capture is not None else nullcontext():
            terminal.ensure_newline()
            terminal.section(f"{node.name} failed, and its cloud is kept up")
            report.toterminal(terminal._tw)  # noqa: SLF001 - what every report is written to
            for line in ways_in(acted):
                terminal.write_line(line)
            terminal.write_line("Enter or Ctrl-C here takes it all down.", bold=True)
            _await_a_person()
            terminal.write_line("taking it all down")


def ways_in(acted: Scenario) -> Iterator[str]:
    """Lines for another terminal: endpoints, what gets a person into each machine and volume, and credentials."""
    cloud, made = acted.cloud, acted.mark.made
    hypervisor, runtime = cloud.hypervisor, cloud.runtime
    keys = cloud.aws.administrator("you")
    yield f"lifecycle API    {cloud.provisioner.url()}"
    yield f"template host    {cloud.template_host.url}"
    yield f"provisioner      {runtime.way_into(cloud.provisioner)}"
    for instance in hypervisor.machines_since(made):
        yield from _machine(acted, instance, runtime)
    for name in hypervisor.volumes_since(made):
        yield f"volume           {name}: {runtime.way_to(hypervisor.volume(name))}"
    if not hypervisor.machines_since(made) and not hypervisor.volumes_since(made):
        yield "machines         none is left: it failed after they were deleted, or in an example (take --replay)"
    yield ""
    yield f"export OPERATOR_TOKEN={cloud.operator_token}"
    for tenant in acted.tenants:
        yield f"export TOKEN={tenant.token}   # of {tenant.name}; its bootstrap secret is {tenant.secret_name}"
    yield f"export AWS_ENDPOINT_URL={cloud.aws.url} AWS_REGION={cloud.aws.region}"
    yield f"export AWS_ACCESS_KEY_ID={keys.access_key_id} AWS_SECRET_ACCESS_KEY={keys.secret_access_key}"
    yield "aws ec2 describe-instances; aws secretsmanager list-secrets"
    yield ""


def _machine(acted: Scenario, instance: str, runtime: Runtime) -> Iterator[str]:
    machine = acted.cloud.hypervisor.find_machine(instance)
    if machine is None:
        yield f"machine          {instance}: it was never started"
        return
    state = "" if machine.running() else " (off)"
    yield f"machine          {instance}{state}: {runtime.way_into(machine)}"


def _await_a_person() -> None:
    try:
        with TERMINAL.open() as terminal:
            terminal.readline()
    except KeyboardInterrupt:
        return
