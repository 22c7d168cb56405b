"""The checks of GEN pass where all is well, and each can fail; sources are folders doctored for the purpose."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.oracle import generality
from harness.oracle.check import NotApplicable
from harness.oracle.seen import CONFIGS, Seen

from .cases import Case, assert_fails, assert_passes, look
from .test_scenario_checks import failed
from .test_universal import SKILL_PATH, changed, good, request

NAMES = ["seo-agent", "concierge"]


def of(repository: str, **changes: Any) -> Seen:
    asked = replace(
        request(path=f"/{repository}.git/info/refs", query="service=git-upload-pack"), repository=repository
    )
    seen = good(requests=[asked], **changes)
    return replace(seen, expected=replace(seen.expected, repository=repository))


CASES: dict[str, Case] = {
    "gen_1": (
        generality.gen_1_a_template_never_seen_before_is_delivered,
        (good(),),
        [
            (good(workspace={"status": "failed"}),),
            (good(files={SKILL_PATH: None}),),
            (good(files={f"{CONFIGS}/config.yaml": b"name: x\n"}),),
            (good(card={"name": "taker", "skills": []}),),
            (good(card=None),),
        ],
    ),
    "gen_3": (
        generality.gen_3_the_concierge_comes_by_the_channel_of_any,
        (of("platform/concierge"), of("acme/agent")),
        [
            (replace(of("platform/concierge"), requests=[]), of("acme/agent")),
            (of("platform/concierge", workspace={"status": "degraded"}), of("acme/agent")),
            (of("platform/concierge", report=changed(built_in=True)), of("acme/agent")),
            (
                replace(
                    of("platform/concierge"),
                    requests=[
                        replace(request(path="/raw/platform/concierge"), repository="platform/concierge")
                    ],
                ),
                of("acme/agent"),
            ),
        ],
    ),
    "gen_4": (
        generality.gen_4_a_missing_concierge_leaves_no_agent_in_its_place,
        (failed(),),
        [
            (good(),),
            (failed(card={"name": "generic"}),),
            (failed(files={}),),
            (failed(workspace={"status": "failed", "error": {"code": "x", "message": "", "hint": "z"}}),),
            (failed(workspace={**failed().workspace, "status": "online"}),),
        ],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_it_passes_where_all_is_well(name: str) -> None:
    assert_passes(CASES[name])


@pytest.mark.parametrize("name", CASES)
def test_it_fails_for_each_thing_that_can_be_wrong(name: str) -> None:
    assert_fails(name, CASES[name])


def told(folder: Path, files: dict[str, str]) -> tuple[str, ...]:
    for path, text in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return look(generality.gen_2_the_source_knows_no_template, (folder, NAMES)).problems


@pytest.mark.parametrize(
    ("path", "text", "line"),
    [
        ("a.py", "def seo_skill_package():\n    pass\n", 1),
        ("a.py", "x = 1\nconfig.EnableSEOSkillPackage = True\n", 2),
        ("a.py", "flag = os.environ['MOLECULE_SEO_SKILL_PACKAGE']\nn = 'seo_skill_package'\n", 2),
        ("deep/a.py", "from x import conciergeIdentityFiles as y\n", 1),
        ("a.py", "if name == 'concierge':\n    pass\n", 1),
        ("a.py", "def f(x):\n    return 1 if x in ('a', 'seo-agent') else 2\n", 2),
        ("a.py", "match name:\n    case 'concierge' | 'x':\n        pass\n", 2),
        ("a.py", "PROMPTS = {'concierge': 'You show people round.'}\n", 1),
        ("a.py", "ONES = frozenset({'concierge'})\nif name in ONES:\n    pass\n", 2),
        ("a.py", "special = name.startswith('seo-agent')\n", 1),
        ("a.py", "special = repository.endswith('/seo-agent')\n", 1),
        ("a.py", "if identity == 'acme/concierge@main':\n    pass\n", 1),
        ("a.go", 'package a\nfunc f() { if name == "concierge" { g() } }\n', 2),
        ("a.go", "var conciergeSystemPromptTmpl = template.Must(nil)\n", 1),
        ("a.go", 'switch name {\n  case "seo-agent":\n}\n', 2),
        ("a.ts", "if (['seo-agent'].includes(name)) {}\n", 1),
        ("a.ts", "if (identity === 'acme/seo-agent@main') {}\n", 1),
        ("bad.py", "if name == 'concierge' {\n", 1),
        ("settings.toml", "enableSEOSkillPackage = false\n", 1),
    ],
)
def test_a_source_that_knows_a_template_is_told_by_file_and_line(
    tmp_path: Path, path: str, text: str, line: int
) -> None:
    (problem,) = told(tmp_path, {"fine.py": "x = 1\n", path: text})

    assert problem.startswith(f"{path}:{line}: ")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a.py", '"""Once there was seo_skill_package, and if name == \'concierge\'."""\n'),
        ("a.py", "# conciergeDeclaredModel was here\nx = 1\n"),
        ("a.py", "log.info('the concierge greets')\n"),
        ("a.py", "parser.add_argument('--template', help='such as', default='concierge')\n"),
        ("a.py", "if name == 'concierges':\n    pass\n"),
        ("a.py", "if path == 'docs/concierge.md':\n    pass\n"),
        ("a.go", 'log.Print("concierge")\n'),
        ("README.md", "`EnableSEOSkillPackage` is gone.\n"),
        ("tests/test_a.py", "assert deliver('x').name == 'concierge'\n"),
        (".venv/lib/a.py", "if name == 'concierge':\n    pass\n"),
    ],
)
def test_a_source_that_only_speaks_of_one_is_in_order(tmp_path: Path, path: str, text: str) -> None:
    assert told(tmp_path, {"fine.py": "x = 1\n", path: text}) == ()


def test_bytes_that_are_no_text_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"\xff\xfeseo_skill_package")

    assert told(tmp_path, {"fine.py": "x = 1\n"}) == ()


def test_an_empty_folder_proves_nothing(tmp_path: Path) -> None:
    assert told(tmp_path, {})


def test_without_a_source_it_is_not_applicable() -> None:
    with pytest.raises(NotApplicable):
        look(generality.gen_2_the_source_knows_no_template, (None, NAMES))
