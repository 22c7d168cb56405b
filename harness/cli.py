"""`harness`: look at this computer, build images, keep a cloud up, sweep what runs left behind."""

from __future__ import annotations

import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from harness.session import Choices, UsageProblem, choose

USAGE = 4
PASSPHRASE = "HARNESS_KEY_PASSPHRASE"  # noqa: S105 - the name of a variable
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


EnginesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--engine",
        metavar="ADDRESS",
        help="A container engine (unix:///…, tcp://…) in place of the one of the environment; repeatable.",
    ),
]
EngineOption = Annotated[
    str | None,
    typer.Option(
        "--engine",
        metavar="ADDRESS",
        help="The container engine (unix:///…, tcp://…) in place of the one of the environment.",
    ),
]


@app.command()
def doctor(
    implementation: ImplementationOption = None,
    advertise_host: AdvertiseOption = None,
    engine: EnginesOption = None,
) -> None:
    """Look at all that a run needs from this computer, and say how to mend what is missing."""
    from harness.doctor import examine

    console = Console()
    choices = _choices(
        runtime="auto", implementation=implementation, advertise_host=advertise_host, engines=engine
    )
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
def image_build(implementation: ImplementationOption = None, engine: EnginesOption = None) -> None:
    """Build every image that the implementation needs, unless it is there already."""
    from harness.images import build_all
    from harness.runtime.base import RuntimeUnavailable
    from harness.runtime.image import ImageError

    choices = _choices(runtime="docker", implementation=implementation, engines=engine)
    try:
        for at in choices.engines:
            for image in build_all(choices.implementation, choices.overlay, _say, at=at):
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
    engine: EngineOption = None,
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
        engines=[engine] if engine is not None else None,
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
    engine: EnginesOption = None,
) -> None:
    """Remove machines, volumes, networks and directories that runs left behind: by default those of dead runs."""
    from harness.runtime.engine import engine_available
    from harness.runtime.sweep import sweep as sweep_away

    for at in engine or ():
        if (without := engine_available(at)) is not None:
            _refuse(f"--engine {at}: {without}")
    removed = sweep_away(_age(older_than), dry_run=dry_run, engines=engine or (None,))
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


@app.command()
def prove(
    mutants: Annotated[
        list[str] | None,
        typer.Argument(help="Names or folders of mutants, or of variants (default: all)."),
    ] = None,
    requirement: Annotated[
        list[str] | None, typer.Option(help="Only what breaks this requirement; repeatable.")
    ] = None,
    changed_since: Annotated[
        str | None,
        typer.Option(metavar="REV", help="Only mutants that a change since this git revision bears on."),
    ] = None,
    runtime: Annotated[str, typer.Option(help="process, or docker.")] = "process",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Runs side by side (default: as many as there are CPUs).")
    ] = None,
    reports: Annotated[Path, typer.Option(help="Where the proof's folder is written.")] = Path("reports"),
    matrix_only: Annotated[
        bool, typer.Option("--matrix-only", help="Run nothing; write the latest proof's matrix anew.")
    ] = False,
    floor: Annotated[
        bool, typer.Option("--floor", help="Show instead that trivial implementations pass next to nothing.")
    ] = False,
    variants: Annotated[
        bool,
        typer.Option("--variants", help="Show instead that other good implementations pass the whole suite."),
    ] = False,
) -> None:
    """Show that the harness catches what it is there for: run the scenarios against known-bad implementations.

    Exit status 0: every requirement has a mutant that its checks kill, and every mutant was killed. 1: not so. 3: the
    harness broke. 4: it cannot be done as asked.
    """
    from harness.proof.command import Asked, hear_variants, prove_as_asked, stand_on_the_floor

    if floor:
        if mutants or requirement or changed_since or matrix_only or variants or runtime != "process":
            _refuse("--floor: trivial implementations run in processes, and all of them; leave out the rest")
        raise typer.Exit(stand_on_the_floor(reports, workers, Console(), _refuse))
    if variants:
        if requirement or changed_since or matrix_only:
            _refuse("--variants: each must pass the whole suite; give names of variants, or nothing more")
        raise typer.Exit(hear_variants(mutants or (), runtime, reports, workers, Console(), _refuse))
    raise typer.Exit(
        prove_as_asked(
            Asked(
                mutants=tuple(mutants or ()),
                requirements=tuple(requirement or ()),
                changed_since=changed_since,
                runtime=runtime,
                workers=workers,
                reports=reports,
                matrix_only=matrix_only,
            ),
            Console(),
            _refuse,
        )
    )


@app.command()
def mutate(
    mutants: Annotated[
        list[str] | None,
        typer.Argument(help="Ids of automatic mutants, as a survivor is told (default: those of a draw)."),
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="How many are drawn, evenly over the modules.")] = 300,
    all_of_them: Annotated[bool, typer.Option("--all", help="Take all there are: a day or more.")] = False,
    seed: Annotated[int, typer.Option(help="What decides the draw.")] = 1,
    scenarios: Annotated[
        int,
        typer.Option(
            min=1,
            help="How many scenarios a mutant has to survive, before those about its module's requirements.",
        ),
    ] = 32,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Mutants side by side (default: as many as there are CPUs).")
    ] = None,
    reports: Annotated[Path, typer.Option(help="Where the proof's folder is written.")] = Path("reports"),
) -> None:
    """Show how many small changes to the reference's source the scenarios catch, and which they do not.

    Exit status 0: at least 90 % of the mutants that count are killed. 1: not so. 3: the harness broke. 4: it cannot be
    done as asked.
    """
    from harness.proof.automatic.command import Asked, mutate_as_asked

    if mutants and all_of_them:
        _refuse("--all: takes every mutant there is; leave out the ids, or --all")
    raise typer.Exit(
        mutate_as_asked(
            Asked(
                mutants=tuple(mutants or ()),
                count=None if all_of_them else count,
                seed=seed,
                bound=scenarios,
                workers=workers or os.cpu_count() or 1,
                reports=reports,
            ),
            Console(),
            _refuse,
        )
    )


LedgerArgument = Annotated[
    Path | None, typer.Argument(help="A run's ledger.jsonl (default: that of the latest run in reports).")
]


@app.command()
def verdict(
    ledger: LedgerArgument = None,
    gate: Annotated[
        bool, typer.Option("--gate", help="Fail where anything could not run or was left out.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Fail where a SHOULD does not hold, and not only a MUST.")
    ] = False,
) -> None:
    """Say what a run came to, from its ledger alone; exits as the run did."""
    from harness.contract.requirements import load_contract
    from harness.report.conclusion import conclude
    from harness.report.ledger import BrokenLedger, Ledger, LedgerProblem

    try:
        conclusion = conclude(Ledger.read(_ledger(ledger)), load_contract(), strict=strict)
    except BrokenLedger as problem:
        _give_up(problem)
    except LedgerProblem as problem:
        _refuse(str(problem))
    for line in (
        *conclusion.notes,
        conclusion.outcome.value,
        *(f"  - {each}" for each in conclusion.reasons),
    ):
        sys.stdout.write(f"{line}\n")
    raise typer.Exit(conclusion.exit_status(gate=gate))


@app.command()
def report(
    ledger: LedgerArgument = None,
    allure: Annotated[
        bool,
        typer.Option(
            "--allure",
            help="Also make the site of Allure 3 (npm's allure), as one file, with a history over earlier runs.",
        ),
    ] = False,
) -> None:
    """Write a run's views (page, JUnit XML, Markdown, Allure results) anew, beside its ledger."""
    from harness.contract.requirements import load_contract
    from harness.report.allure.site import Allure, NoSite, write_site
    from harness.report.ledger import BrokenLedger, Ledger, LedgerProblem
    from harness.report.views import write_views

    try:
        path = _ledger(ledger)
        read = Ledger.read(path)
        found = Allure.find() if allure else None
        written = write_views(path.parent, read, load_contract())
        if found is not None:
            written.append(write_site(read.header, path.parent, found))
    except BrokenLedger as problem:
        _give_up(problem)
    except (LedgerProblem, NoSite) as problem:
        _refuse(str(problem))
    for each in written:
        sys.stdout.write(f"{each}\n")


@app.command()
def badge(
    ledger: LedgerArgument = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where to write them (default: beside the ledger).")
    ] = None,
) -> None:
    """Write badge.svg, and badge.json for shields.io: green for a whole run that conforms, and for nothing else.

    Of a ledger that is not whole it is red, and the exit status 3.
    """
    from harness.contract.requirements import load_contract
    from harness.report.badge import Badge
    from harness.report.conclusion import conclude
    from harness.report.ledger import BrokenLedger, Ledger, LedgerProblem

    broken, words = None, load_contract()
    try:
        path = _ledger(ledger)
        made = Badge.of(conclude(Ledger.read(path), words), words.revision)
    except BrokenLedger as problem:
        broken, made = problem, Badge.of_a_broken_run()
    except LedgerProblem as problem:
        _refuse(str(problem))
    out = out or path.parent
    try:
        for each in made.write(out):
            sys.stdout.write(f"{each}\n")
    except OSError as error:
        _refuse(f"{out} cannot be written: {error.strerror}; name another folder with --out")
    if broken is not None:
        _give_up(broken)


def _ledger(named: Path | None) -> Path:
    """Raises LedgerProblem where none is named and there is none."""
    from harness.report.traceability import latest_ledger

    return _ledger_at(named) if named is not None else latest_ledger(Path("reports"))


def _give_up(broken: Exception) -> NoReturn:
    """Nothing can be said of a run that broke, and that is no fault of how it was asked for."""
    from harness.report.conclusion import EXIT_STATUS, Outcome

    sys.stderr.write(f"harness: {broken}\n")
    raise typer.Exit(EXIT_STATUS[Outcome.BROKEN])


@app.command()
def sign(
    key: Annotated[
        Path, typer.Option(metavar="KEY.pem", help="A private key of ed25519, such as harness key makes.")
    ],
    ledger: LedgerArgument = None,
    out: Annotated[
        Path | None, typer.Option(help="Where to write it (default: statement.json beside the ledger).")
    ] = None,
) -> None:
    """Sign that an implementation conforms: an in-toto statement about a whole run in which all was well.

    An encrypted key's passphrase is taken from HARNESS_KEY_PASSPHRASE, or asked for.
    """
    from harness.contract.requirements import load_contract
    from harness.report.ledger import Ledger, LedgerProblem
    from harness.report.signing import sign as sign_statement
    from harness.report.signing_keys import KeyProblem, load_private_key
    from harness.report.statement import NotSignable, ledger_sha256, statement

    try:
        ledger = _ledger(ledger)
        made = statement(Ledger.read(ledger), load_contract(), ledger_sha256(ledger))
        envelope = sign_statement(made, load_private_key(key, lambda: _passphrase(key)))
    except (LedgerProblem, KeyProblem, NotSignable) as problem:
        _refuse(str(problem))
    out = out or ledger.with_name("statement.json")
    try:
        with out.open("x") as file:
            file.write(envelope)
    except FileExistsError:
        _refuse(f"{out} is there already; remove it, or name another file with --out")
    except OSError as error:
        _refuse(f"{out} cannot be written: {error.strerror}; name another file with --out")
    sys.stdout.write(f"{out}\n")


@app.command()
def verify(
    envelope: Annotated[Path, typer.Argument(help="What harness sign wrote.")],
    key: Annotated[
        Path, typer.Option(metavar="PUB.pem", help="The public key of the one who should have signed.")
    ],
    ledger: Annotated[
        Path | None, typer.Option(help="The ledger that was signed, to hold against it.")
    ] = None,
) -> None:
    """Check a signed statement, without a network, and print what it covers. Fails where it is not what was signed."""
    from harness.contract.requirements import load_contract
    from harness.report.covered import covered
    from harness.report.signing import NotAnEnvelope, NotBelieved
    from harness.report.signing import verify as verify_envelope
    from harness.report.signing_keys import KeyProblem, load_public_key

    try:
        verified = verify_envelope(envelope, load_public_key(key), ledger)
    except (KeyProblem, NotAnEnvelope) as problem:
        _refuse(str(problem))
    except NotBelieved as problem:
        sys.stderr.write(f"harness: {problem}\n")
        raise typer.Exit(1) from None
    for line in covered(verified, load_contract(), ledger):
        sys.stdout.write(f"{line}\n")


@app.command("key")
def make_key(
    private: Annotated[
        Path, typer.Argument(metavar="NEW.pem", help="The private key; the public one is NEW.pub.")
    ],
    encrypt: Annotated[
        bool,
        typer.Option(
            "--encrypt", help="With a passphrase: HARNESS_KEY_PASSPHRASE, or one that is asked for."
        ),
    ] = False,
) -> None:
    """Make a key pair for signing (ed25519). Nothing is overwritten."""
    from harness.report.signing_keys import KeyProblem, make_key_pair

    try:
        public = make_key_pair(private, _passphrase(private, new=True) if encrypt else None)
    except KeyProblem as problem:
        _refuse(str(problem))
    sys.stdout.write(f"{private}: keep it secret\n{public}: give it to those who verify\n")


@app.command("merge")
def merge_shards(
    ledgers: Annotated[
        list[Path], typer.Argument(metavar="LEDGER…", help="The ledger.jsonl of every shard.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the ledger of the whole run is written.")],
    gate: Annotated[
        bool, typer.Option("--gate", help="Fail where anything could not run or was left out.")
    ] = False,
) -> None:
    """Join the ledgers of a run's shards (pytest --shard I/N). Its exit status is that of the run, made at once."""
    from dataclasses import replace

    from harness.contract.requirements import load_contract
    from harness.report.artifacts import bring_artifacts
    from harness.report.conclusion import conclude
    from harness.report.ledger import Ledger, LedgerProblem
    from harness.report.merge import MergeProblem, merge
    from harness.report.views import write_views

    try:
        merged = merge([Ledger.read(each) for each in ledgers])
        conclusion = conclude(merged, load_contract())
        status = conclusion.exit_status(gate=gate)
        replace(merged, footer=replace(merged.footer, exit_status=status)).write(out / "ledger.jsonl")
        bring_artifacts([each.parent for each in ledgers], out)
        write_views(out, merged, load_contract())
    except (LedgerProblem, MergeProblem) as problem:
        _refuse(str(problem))
    except FileExistsError:
        _refuse(f"{out} holds a ledger already; name another folder with --out")
    except OSError as error:
        _refuse(f"{out} cannot be written: {error.strerror}; name another folder with --out")
    counts = ", ".join(f"{count} {each}" for each, count in sorted(merged.footer.scenarios.items()))
    sys.stdout.write(
        f"run {merged.header.run}, of {len(ledgers)} shards: {conclusion.outcome.value}; {counts}\n"
    )
    for line in (*conclusion.notes, *(f"  - {each}" for each in conclusion.reasons)):
        sys.stdout.write(f"{line}\n")
    sys.stdout.write(f"{out / 'ledger.jsonl'}\n")
    raise typer.Exit(status)


@app.command("matrix")
def show_matrix(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN…", help="Ledgers, or the folders of runs.")],
) -> None:
    """Lay several runs side by side: what each requirement came to in each of them."""
    from harness.contract.requirements import load_contract
    from harness.report.ledger import Ledger, LedgerProblem
    from harness.report.matrix import matrix

    try:
        read = [Ledger.read(_ledger_at(each)) for each in runs]
    except LedgerProblem as problem:
        _refuse(str(problem))
    Console().print(matrix(read, list(load_contract().requirements)))


@app.command()
def diff(
    old: Annotated[Path, typer.Argument(help="A run's folder, or its ledger.jsonl.")],
    new: Annotated[Path, typer.Argument(help="The same of a later run.")],
) -> None:
    """Print what turned worse or better from one run to another; exit 1 if anything turned worse."""
    from harness.report.difference import difference
    from harness.report.ledger import Ledger, LedgerProblem

    try:
        found = difference(Ledger.read(_ledger_at(old)), Ledger.read(_ledger_at(new)))
    except LedgerProblem as problem:
        _refuse(str(problem))
    for condition in found.conditions:
        sys.stdout.write(f"{condition.name} differs: {condition.before!r}, now {condition.after!r}\n")
    for change in (*found.requirements, *found.scenarios):
        sys.stdout.write(f"{change.turn:16} {change.name}: {change.before} → {change.after}\n")
    if not found.requirements and not found.scenarios:
        sys.stdout.write("no verdict changed\n")
    raise typer.Exit(1 if found.worse else 0)


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
    engines: list[str] | None = None,
) -> Choices:
    try:
        return choose(
            runtime=runtime,
            implementation=implementation,
            mutant=None,
            advertise_host=advertise_host,
            templates=templates or [],
            skills=skills or [],
            engines=engines or [],
            fixtures=FIXTURES,
        )
    except UsageProblem as problem:
        _refuse(str(problem))


def _ledger_at(path: Path) -> Path:
    return path / "ledger.jsonl" if path.is_dir() else path


def _age(text: str | None) -> timedelta | None:
    if text is None:
        return None
    units = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
    if text[-1:] not in units or not text[:-1].isdecimal():
        _refuse(f"--older-than {text}: no age; give a number and a unit: 90s, 30m, 1h or 2d")
    return timedelta(**{units[text[-1]]: int(text[:-1])})


def _passphrase(key: Path, *, new: bool = False) -> str:
    """Of the environment, else asked for where somebody can answer."""
    if (given := os.environ.get(PASSPHRASE)) is not None:
        return given
    if not sys.stdin.isatty():
        _refuse(f"{key}: it takes a passphrase, and nobody is there to ask; set {PASSPHRASE}")
    answer: str = typer.prompt(f"passphrase of {key}", hide_input=True, confirmation_prompt=new, err=True)
    return answer


def _say(words: str) -> None:
    sys.stderr.write(f"[conformance] {words}\n")


def _refuse(problem: str) -> NoReturn:
    sys.stderr.write(f"harness: {problem}\n")
    raise typer.Exit(USAGE)
