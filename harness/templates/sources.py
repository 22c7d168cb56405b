"""What a user gives in place of the fixtures: a template's directory or git URL, or a bare collection of skills."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

import yaml

from .git import GitFailed, GitMissing, redacted, run_git
from .model import (
    CONFIG,
    SKILLS,
    Entry,
    Template,
    TemplateFile,
    TemplateLink,
    TemplateProblem,
    TemplateSubmodule,
    is_asset,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

SKILL_FILE = "SKILL.md"

_URL = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<authority>[^/]*)(?P<path>/.*)?", re.IGNORECASE)
_SSH_SHORT = re.compile(r"(?P<host>[\w.-]+@[\w.-]+):(?P<path>[^/].*)")
_REF = re.compile(r"(?![-/.])(?!.*(\.\.|//|@\{))[^\x00-\x20\x7f~^:?*\[\\+]+(?<![/.])")


@dataclass(frozen=True)
class NamedTemplate:
    """A template and the name its repository gets: letters, digits, `.`, `_`, `-`."""

    name: str
    template: Template
    commit: str | None = None
    """Where it was read out of git."""


def load_template(spec: str) -> NamedTemplate:
    """The template at `DIR`, `DIR@ref`, `URL` or `URL@ref` (https, http, ssh, git, file, or `user@host:path`).

    A directory is taken as it lies there, uncommitted files too; with a ref, it is the git repository's tree at
    that branch, tag or commit. Links and submodules outside the asset set are kept as entries; in it they are
    refused, because no conforming implementation delivers them (ALW-3). Raises TemplateProblem.
    """
    location, ref = _parted(spec)
    shown = redacted(location)
    if ref is not None and not _REF.fullmatch(ref):
        raise TemplateProblem(
            f"template {shown}: {ref!r} is no git ref; give a branch, a tag or a commit id behind the @"
        )
    commit = None
    if _is_url(location):
        commit, template = _from_remote(location, ref or "HEAD")
    elif not Path(location).is_dir():
        raise TemplateProblem(
            f"template {location}: no such directory; give a template's directory, or a git URL such as "
            "https://host/owner/repository"
        )
    elif ref is None:
        template = _from_directory(Path(location), f"template {location}")
    else:
        commit, template = _from_work_tree(Path(location), ref)
    _check(template, shown if ref is None else f"{shown}@{ref}")
    return NamedTemplate(_name(location), template, commit)


def load_skills(directory: Path) -> NamedTemplate:
    """A bare collection of skills (every folder at any depth with a SKILL.md) as a template that enables them all.

    A skill is named as its folder, and is that folder whole: a SKILL.md further down in it is one of its files.
    Bytes and modes are kept. Raises TemplateProblem; in particular for two folders of one name.
    """
    if not directory.is_dir():
        raise TemplateProblem(
            f"skills {directory}: no such directory; give a folder with */{SKILL_FILE} in it"
        )
    found: dict[str, Path] = {}
    for folder in _skill_folders(directory.resolve()):
        # One file system in two does not tell names apart by case, so a template may not either (ALW-2).
        other = found.setdefault(folder.name.casefold(), folder)
        if other is not folder:
            raise TemplateProblem(
                f"skills {directory}: {other} and {folder} are two skills of one name; rename one of the "
                "folders, or give a directory that holds only one of them"
            )
    if not found:
        raise TemplateProblem(
            f"skills {directory}: has no skills: no folder in it holds a {SKILL_FILE}; give a directory that does"
        )
    folders = sorted(found.values(), key=lambda folder: folder.name)
    entries: dict[str, Entry] = {
        f"{SKILLS}/{folder.name}/{path}": entry
        for folder in folders
        for path, entry in _from_directory(folder, f"skills {directory}").entries.items()
    }
    name = _name(str(directory))
    config = {
        "name": name,
        "description": f"The {len(folders)} skills of {name}.",
        "version": "1.0.0",
        "tier": 2,
        "runtime": "claude-code",
        "model": "sonnet",
        "runtime_config": {"timeout": 0},
        "skills": [folder.name for folder in folders],
    }
    text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
    template = Template({CONFIG: TemplateFile(text.encode()), **entries})
    _refuse_undeliverable(template, f"skills {directory}")
    return NamedTemplate(name, template)


def _parted(spec: str) -> tuple[str, str | None]:
    """The location and the ref behind its last `@`; an `@` that belongs to a host or a directory's name is none."""
    url = _URL.fullmatch(spec)
    short = None if url else _SSH_SHORT.fullmatch(spec)
    if url is not None:
        path = url["path"] or ""
        if url["scheme"].lower() == "file" and Path(path).is_dir():
            return spec, None
    elif short is not None and not Path(spec.rpartition("@")[0]).is_dir():
        path = short["path"]
    else:
        path = spec
        if Path(spec).is_dir():
            return spec, None
    location, at, ref = path.rpartition("@")
    if not at or not location:
        return spec, None
    return spec.removesuffix(f"@{ref}"), ref


def _is_url(location: str) -> bool:
    return _URL.fullmatch(location) is not None or (
        _SSH_SHORT.fullmatch(location) is not None and not Path(location).exists()
    )


def _name(location: str) -> str:
    base = unquote(location) if _is_url(location) else str(Path(location).resolve())
    last = re.split(r"[/:]", base.rstrip("/"))[-1].removesuffix(".git")
    return re.sub(r"[^A-Za-z0-9._-]+", "-", last).strip("-._") or "template"


def _from_directory(directory: Path, subject: str) -> Template:
    try:
        return Template.from_directory(directory)
    except OSError as error:
        raise TemplateProblem(f"{subject}: cannot be read: {error}; make all of it readable") from error


def _from_work_tree(directory: Path, ref: str) -> tuple[str, Template]:
    """The commit that `ref` is, and its tree."""
    try:
        run_git("rev-parse", "--git-dir", directory=directory)
    except GitMissing as missing:
        raise TemplateProblem(f"template {directory}@{ref}: {missing}") from missing
    except GitFailed as failed:
        raise TemplateProblem(
            f"template {directory}@{ref}: {directory} is no git repository, so it has no refs; leave @{ref} out"
        ) from failed
    try:
        found = run_git(
            "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}", directory=directory
        )
        subtree = run_git("rev-parse", "--show-prefix", directory=directory).decode().rstrip("\n")
    except GitFailed as failed:
        raise _unknown_ref(str(directory), ref) from failed
    commit = found.decode().strip()
    return commit, _from_tree(directory, f"{commit}:{subtree}")


def _from_remote(url: str, ref: str) -> tuple[str, Template]:
    """The commit and tree at `ref`, fetched with a history of one and read without a checkout, so byte for byte."""
    shown = redacted(url)
    with tempfile.TemporaryDirectory(prefix="template-") as scratch:
        repository = Path(scratch)
        try:
            run_git("init", "--quiet", "--bare", "--template=", directory=repository)
            run_git("fetch", "--quiet", "--no-tags", "--depth=1", "--", url, ref, directory=repository)
        except GitMissing as missing:
            raise TemplateProblem(f"template {shown}: {missing}, or give a directory") from missing
        except GitFailed as failed:
            if "couldn't find remote ref" in failed.stderr or "not our ref" in failed.stderr:
                raise _unknown_ref(shown, ref) from failed
            raise TemplateProblem(
                f"template {shown}: git could not fetch {ref}: {failed.stderr}; check the URL, and that "
                "it can be read without being asked for a password (a token in the URL is never shown)"
            ) from failed
        found = run_git("rev-parse", "--verify", "FETCH_HEAD^{commit}", directory=repository)
        commit = found.decode().strip()
        return commit, _from_tree(repository, f"{commit}:")


def _from_tree(repository: Path, tree: str) -> Template:
    """A git tree as a template: the blobs' own bytes, with no filter or line-ending rule applied."""
    listing = run_git("ls-tree", "-r", "-z", "--full-tree", tree, directory=repository)
    lines = [line.partition(b"\t") for line in listing.split(b"\0") if line]
    named = [(*meta.decode().split(), path.decode("utf-8", "surrogateescape")) for meta, _, path in lines]
    blobs = [sha for _, kind, sha, _ in named if kind == "blob"]
    output = memoryview(run_git("cat-file", "--batch", directory=repository, given="\n".join(blobs).encode()))
    entries: dict[str, Entry] = {}
    for mode, kind, sha, path in named:
        if kind == "commit":
            entries[path] = TemplateSubmodule(sha)
            continue
        header_end = bytes(output[:128]).index(b"\n")  # "<id> blob <size>", far below 128 bytes
        size = int(bytes(output[:header_end]).split()[2])
        content = bytes(output[header_end + 1 : header_end + 1 + size])
        output = output[header_end + 2 + size :]
        if mode == "120000":
            entries[path] = TemplateLink(content.decode("utf-8", "surrogateescape"))
        else:
            entries[path] = TemplateFile(content, "755" if mode == "100755" else "644")
    return Template(entries)


def _check(template: Template, shown: str) -> None:
    """A user's own template is sound, or what it breaks would be blamed on the implementation under test."""
    if CONFIG not in template.entries:
        raise TemplateProblem(
            f"template {shown}: is no template: it has no {CONFIG} at its root; "
            "for a bare collection of skill folders use --skills"
        )
    sound = [name for name in template.skills() if f"{SKILLS}/{name}/{SKILL_FILE}" in template.files]
    if not sound:
        raise TemplateProblem(
            f"template {shown}: has no skills; it needs at least one {SKILLS}/<name>/{SKILL_FILE}"
        )
    try:
        named = template.named_skills()
    except TemplateProblem as problem:
        raise TemplateProblem(f"template {shown}: {problem}") from problem
    missing = [name for name in named if name not in sound]
    if missing:
        raise TemplateProblem(
            f"template {shown}: {CONFIG} enables {', '.join(missing)}, but there is no "
            f"{SKILLS}/{missing[0]}/{SKILL_FILE}; add it, or take the name out of `skills`"
        )
    _refuse_undeliverable(template, f"template {shown}")


def _refuse_undeliverable(template: Template, subject: str) -> None:
    for path, entry in template.entries.items():
        if is_asset(path) and not isinstance(entry, TemplateFile):
            kind = "link" if isinstance(entry, TemplateLink) else "submodule"
            raise TemplateProblem(
                f"{subject}: {path} is a {kind}, which is never delivered (ALW-3); put the files there themselves"
            )


def _skill_folders(directory: Path) -> Iterator[Path]:
    if (directory / SKILL_FILE).is_file():
        yield directory
        return
    for child in sorted(directory.iterdir()):
        if child.is_dir() and not child.is_symlink() and child.name != ".git":
            yield from _skill_folders(child)


def _unknown_ref(shown: str, ref: str) -> TemplateProblem:
    return TemplateProblem(
        f"template {shown}: has no branch, tag or commit {ref}; name one that it has, and a commit by its whole id"
    )
