"""`harness`: look at this computer, build images, keep a cloud up, sweep what runs left behind."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from harness.session import Choices, UsageProblem, choose

USAGE = 4
FIXTURES = Path(__file__).parent.parent / "fixtures"

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="A disposable cloud whose machines really boot, and the checks that decide whether a workspace platform may "
    "ship. Scenarios are run with **pytest**; these commands are about what is around them.",
)
image_app = typer.Typer(no_args_is_help=True, help="The images that machines run from.")
app.add_typer(image_app, name="image")

ImplementationOption = Annotated[
    Path | None,
    typer.Option("--implementation", metavar="TOML", help="An implementation.toml (default: the reference)."),
]
RuntimeOption = Annotated[
    str, typer.Option("--runtime", help="docker, process, or auto: docker where an engine answers.")
]
AdvertiseOption = Annotated[
    str | None,
    typer.Option(
        "--advertise-host", help="The host by which machines of a remote engine reach this computer."
    ),
]


@app.command()
def doctor(implementation: ImplementationOption = None, advertise_host: AdvertiseOption = None) -> None:
    """Look at all that a run needs from this computer, and say how to mend what is missing."""
    from harness.doctor import examine

    console = Console()
    choices = _choices(runtime="auto", implementation=implementation, advertise_host=advertise_host)
    worst = 0
    for finding in examine(choices):
        colour = {"ok": "green", "limited": "yellow", "broken": "red"}[finding.state]
        console.print(
            f"[{colour}]{finding.state:8}[/] [bold]{finding.what:22}[/] {finding.saw}", highlight=False
        )
        if finding.mend:
            console.print(f"{'':32}→ {finding.mend}", highlight=False)
        worst = max(worst, 1 if finding.state == "broken" else 0)
    raise typer.Exit(worst)


@image_app.command("build")
def image_build(implementation: ImplementationOption = None) -> None:
    """Build every image that the implementation needs, unless it is there already."""
    from harness.images import build_all
    from harness.runtime.base import RuntimeUnavailable
    from harness.runtime.image import ImageError

    choices = _choices(runtime="docker", implementation=implementation)
    try:
        for image in build_all(choices.implementation, choices.mutant, _say):
            sys.stdout.write(f"{image}\n")
    except (ImageError, RuntimeUnavailable) as problem:
        _refuse(str(problem))


@app.command()
def up(
    template: Annotated[
        list[str] | None,
        typer.Option(help="A template's directory or git URL, with @ref if need be; repeatable."),
    ] = None,
    skills: Annotated[list[str] | None, typer.Option(help="A folder of skill folders; repeatable.")] = None,
    implementation: ImplementationOption = None,
    runtime: RuntimeOption = "auto",
    advertise_host: AdvertiseOption = None,
    aws_port: Annotated[int, typer.Option(help="Where the AWS endpoint listens; 0 takes a free port.")] = 0,
    template_port: Annotated[
        int, typer.Option(help="Where the template host listens; 0 takes a free port.")
    ] = 0,
) -> None:
    """Keep a cloud up with the implementation in it: prints its URLs and a tour, then events, until Ctrl-C."""
    from harness.runtime.base import MachineError, RuntimeUnavailable
    from harness.runtime.image import ImageError
    from harness.upkeep import keep_up
    from harness.world.cloud import CloudProblem, Ports
    from harness.world.server import PortInUse

    choices = _choices(
        runtime=runtime,
        implementation=implementation,
        advertise_host=advertise_host,
        templates=template or [],
        skills=skills or [],
    )
    try:
        keep_up(choices, Console(), _say, Ports(aws=aws_port, template_host=template_port))
    except (CloudProblem, ImageError, MachineError, PortInUse, RuntimeUnavailable) as problem:
        _refuse(str(problem))


@app.command()
def sweep(
    older_than: Annotated[
        str | None,
        typer.Option(help="Also take what live runs made, if it is older than this: 90s, 30m, 1h, 2d."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
) -> None:
    """Remove machines, volumes, networks and directories that runs left behind: by default those of dead runs."""
    from harness.runtime.sweep import sweep as sweep_away

    removed = sweep_away(_age(older_than), dry_run=dry_run)
    verb = "would remove" if dry_run else "removed"
    for each in removed:
        age = timedelta(seconds=round(each.age.total_seconds()))
        outcome = f"could not remove ({each.error})" if each.error else verb
        sys.stdout.write(f"{outcome} {each.kind} {each.name} of run {each.run}, {age} old\n")
    if not removed:
        sys.stdout.write("nothing to sweep\n")
    raise typer.Exit(1 if any(each.error for each in removed) else 0)


@app.command()
def contract(
    ledger: Annotated[
        Path | None, typer.Argument(help="A run's ledger.jsonl (default: that of the latest run in reports).")
    ] = None,
    missing: Annotated[
        bool, typer.Option("--missing", help="Name only what no check exercised; fail if any.")
    ] = False,
) -> None:
    """Print each requirement with the checks and scenarios that exercised it in a run."""
    from harness.contract.requirements import load_contract
    from harness.report.ledger import Ledger, LedgerProblem, Verdict
    from harness.report.traceability import latest_ledger, traces

    words = load_contract()
    try:
        found = traces(words, Ledger.read(ledger or latest_ledger(Path("reports"))))
    except LedgerProblem as problem:
        _refuse(str(problem))
    unexercised = [
        trace for trace in found if trace.verdict in {Verdict.NOT_EXERCISED, Verdict.COULD_NOT_RUN}
    ]
    for trace in unexercised if missing else found:
        sys.stdout.write(
            f"{trace.requirement:8} {trace.verdict:15} {words.requirements[trace.requirement].text}\n"
        )
        for check in () if missing else trace.checks:
            sys.stdout.write(f"{'':24} {check}\n")
        for scenario in () if missing else trace.scenarios:
            sys.stdout.write(f"{'':26} {scenario}\n")
    raise typer.Exit(1 if missing and unexercised else 0)


def main() -> None:
    """The console script."""
    app()


def _choices(
    *,
    runtime: str,
    implementation: Path | None,
    advertise_host: str | None = None,
    templates: list[str] | None = None,
    skills: list[str] | None = None,
) -> Choices:
    try:
        return choose(
            runtime=runtime,
            implementation=implementation,
            mutant=None,
            advertise_host=advertise_host,
            templates=templates or [],
            skills=skills or [],
            fixtures=FIXTURES,
        )
    except UsageProblem as problem:
        _refuse(str(problem))


def _age(text: str | None) -> timedelta | None:
    if text is None:
        return None
    units = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
    if text[-1:] not in units or not text[:-1].isdecimal():
        _refuse(f"--older-than {text}: no age; give a number and a unit: 90s, 30m, 1h or 2d")
    return timedelta(**{units[text[-1]]: int(text[:-1])})


def _say(words: str) -> None:
    sys.stderr.write(f"[conformance] {words}\n")


def _refuse(problem: str) -> NoReturn:
    sys.stderr.write(f"harness: {problem}\n")
    raise typer.Exit(USAGE)
