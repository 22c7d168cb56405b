"""The run as JUnit XML, which CI systems show: a test case for each scenario, and one for what the run comes to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from xml.etree import ElementTree as ET

from harness.contract.requirements import Contract

from .conclusion import Conclusion, Outcome, conclude
from .ledger import CheckLine, Ledger, ScenarioLine, Verdict

VERDICT = "the verdict"
"""The name of the test case for the whole run."""
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that no XML may hold, however they are escaped."""


def junit(ledger: Ledger, contract: Contract) -> str:
    """Raises LedgerProblem where the run was judged by another contract."""
    header, conclusion = ledger.header, conclude(ledger, contract)
    suite = ET.Element("testsuite", name="conformance", timestamp=header.started)
    _properties(
        suite,
        {
            "run": [header.run],
            "implementation": [f"{header.implementation} {header.implementation_version}"],
            "contract": [header.contract],
            "runtime": [header.runtime],
            "selection": [header.selection] if header.selection else [],
            "outcome": [conclusion.outcome.value],
        },
    )
    checks: dict[str, list[CheckLine]] = {}
    for check in ledger.checks:
        checks.setdefault(check.scenario, []).append(check)
    for line in ledger.scenarios:
        _scenario(suite, line, checks.get(line.scenario, []))
    _verdict(suite, conclusion)
    for kind, attribute in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        suite.set(attribute, str(len(suite.findall(f"testcase/{kind}"))))
    suite.set("tests", str(len(suite.findall("testcase"))))
    suite.set("time", f"{sum(line.seconds['total'] for line in ledger.scenarios):.3f}")
    suites = ET.Element("testsuites")
    suites.append(suite)
    ET.indent(suites)
    return ET.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _scenario(suite: ET.Element, line: ScenarioLine, checks: Iterable[CheckLine]) -> None:
    path, _, name = line.scenario.partition("::")
    case = ET.SubElement(
        suite,
        "testcase",
        classname=_text(path.removesuffix(".py").replace("/", ".")),
        name=_text(name),
        time=f"{line.seconds['total']:.3f}",
    )
    requirements = dict.fromkeys(check.requirement for check in checks)
    _properties(case, {"requirement": requirements, "reproduce": [line.reproduce]})
    match line.verdict:
        case Verdict.FAIL:
            _ending(case, "failure", line.reason)
        case Verdict.COULD_NOT_RUN if line.blame:
            _ending(case, "error", line.reason)
        case Verdict.COULD_NOT_RUN | Verdict.NOT_APPLICABLE:
            _ending(case, "skipped", line.reason)
    told = [
        f"{check.verdict}: {check.requirement} {check.check}: {problem}"
        for check in checks
        if check.verdict in {Verdict.FAIL, Verdict.WAIVED}
        for problem in check.problems
    ]
    if told:
        ET.SubElement(case, "system-out").text = _text("\n".join(told))


def _verdict(suite: ET.Element, conclusion: Conclusion) -> None:
    """So that a run of which every scenario passed does not look green where it is not."""
    case = ET.SubElement(suite, "testcase", classname="conformance", name=VERDICT, time="0")
    kind = {
        Outcome.FAILS: "failure",
        Outcome.BROKEN: "error",
        Outcome.NOTHING_RAN: "error",
        Outcome.INCOMPLETE: "skipped",
    }
    if conclusion.outcome in kind:
        words = "\n".join(conclusion.reasons)
        _ending(case, kind[conclusion.outcome], f"{conclusion.outcome.value}\n{words}")
    if conclusion.notes:
        ET.SubElement(case, "system-out").text = _text("\n".join(conclusion.notes))


def _ending(case: ET.Element, kind: str, reason: str) -> None:
    """The first line for lists, the whole of it for whoever looks closer."""
    ET.SubElement(case, kind, message=_text(reason.partition("\n")[0])).text = _text(reason)


def _properties(parent: ET.Element, values: Mapping[str, Iterable[str]]) -> None:
    properties = ET.SubElement(parent, "properties")
    for name, several in values.items():
        for value in several:
            ET.SubElement(properties, "property", name=name, value=_text(value))


def _text(text: str) -> str:
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
