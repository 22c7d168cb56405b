"""Bringing a template's changes of `config.yaml` into a user's version of it, key by key (EDIT-2, EDIT-3).

The documents are merged first. Then the user's text is edited where it has to say something else, and nowhere else, so
that comments, order, quoting and line ends stay the user's. It is believed only when it parses to the merged document.

A list is one value, but for `skills`: its entries are names, so that what either side added or took away is there or
gone. A key that the template adds comes with its comment, behind the neighbour that it has in the template.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from .wording import reworded

try:
    from yaml import CSafeLoader as _Loader
except ImportError:  # PyYAML built without libyaml
    from yaml import SafeLoader as _Loader  # type: ignore[assignment]

_NAMES = frozenset({"skills"})
"""Keys of the root whose lists are sets of names."""
_WIDEST = 1 << 20


@dataclass(frozen=True, slots=True)
class Merge:
    text: bytes
    conflicts: tuple[str, ...]
    """Keys (dotted) that both changed, where the user's value stands."""
    in_place: bool = True
    """False where the text could not be edited and was written anew, which costs its comments."""


def merge_config(base: bytes | None, live: bytes, new: bytes) -> Merge | None:
    """None where the texts are not mappings that can be merged.

    Without a base all that differs is the user's, but for an empty list of skills: that is what the design before this
    one left where skills did not fit its channel.
    """
    try:
        texts = tuple(_decoded(version) for version in (base or b"{}", live, new))
        before, ours, theirs = (_parsed(text) for text in texts)
        if base is None:
            dropped = [
                (key, value) for key, value in ours.value if key.value == "skills" and _is_empty(value)
            ]
            # In no text: flow style is what nothing is looked up in.
            before = MappingNode(before.tag, dropped, flow_style=True)
        merging = _Merging()
        merged = merging.mapping(before, ours, theirs, "")
        conflicts = tuple(merging.conflicts)
        if merged is ours:
            return Merge(live, conflicts)
        text = reworded(texts[1], ours, merged, (texts[2], theirs), (texts[0], before))
        if not (in_place := _says(text, merged)):
            text = yaml.serialize(merged, Dumper=yaml.SafeDumper, allow_unicode=True, width=_WIDEST)
            if not _says(text, merged):
                return None
    except (yaml.YAMLError, UnicodeError, ValueError, RecursionError):
        return None
    mark = codecs.BOM_UTF8 if live.startswith(codecs.BOM_UTF8) else b""
    return Merge(mark + text.encode(), conflicts, in_place)


def _decoded(version: bytes) -> str:
    """Ending with a line's end."""
    text = version.decode("utf-8-sig")
    return text if text.endswith("\n") else f"{text}\n"


def _parsed(text: str) -> MappingNode:
    """Raises yaml.YAMLError, for what is no mapping too."""
    root = yaml.compose(text, Loader=_Loader)
    if not isinstance(root, MappingNode):
        raise yaml.YAMLError("no mapping")
    return root


def _says(text: str, document: MappingNode) -> bool:
    try:
        return _same(_parsed(text), document)
    except (yaml.YAMLError, ValueError):
        return False


class _Merging:
    def __init__(self) -> None:
        self.conflicts: list[str] = []
        self._done: dict[tuple[int, int, int], MappingNode] = {}
        """What an alias stands for is merged once."""

    def mapping(self, base: Node | None, ours: MappingNode, theirs: MappingNode, prefix: str) -> MappingNode:
        """The merged node; the very one of `ours` where nothing changes. Raises ValueError."""
        known = (id(base), id(ours), id(theirs))
        if known not in self._done:
            self._done[known] = self._mapping(base, ours, theirs, prefix)
        return self._done[known]

    def _mapping(self, base: Node | None, ours: MappingNode, theirs: MappingNode, prefix: str) -> MappingNode:
        before, here, there = _values(base), _values(ours), _values(theirs)
        merged: dict[str, Node] = dict(here)
        for key in [*there, *(key for key in before if key not in there)]:
            old, mine, new = before.get(key), here.get(key), there.get(key)
            if _same(new, old) or _same(new, mine):
                continue
            if isinstance(mine, MappingNode) and isinstance(new, MappingNode):
                merged[key] = self.mapping(old, mine, new, f"{prefix}{key}.")
            elif _same(mine, old):
                if new is None:
                    del merged[key]
                else:
                    merged[key] = new
            elif not prefix and key in _NAMES and (names := _merged_names(old, mine, new)):
                merged[key] = names
            else:
                self.conflicts.append(f"{prefix}{key}")
        if merged.keys() == here.keys() and all(merged[key] is here[key] for key in here):
            return ours
        keys = {key.value: key for node in (theirs, ours) for key, _ in node.value}
        order = _arranged([key for key in here if key in merged], there, merged)
        return MappingNode(ours.tag, [(keys[key], merged[key]) for key in order], flow_style=ours.flow_style)


def _merged_names(old: Node | None, mine: Node | None, new: Node | None) -> SequenceNode | None:
    """The user's names, with what the template added and without what it dropped; None where one is no list of names.

    The node itself where nothing changes.
    """
    before, here, there = _names(old), _names(mine), _names(new)
    if before is None or here is None or there is None or not isinstance(mine, SequenceNode):
        return None
    kept = [name for name in here if name in there or name not in before]
    order = _arranged(kept, there, [name for name in there if name not in before])
    if order == list(here):
        return mine
    return SequenceNode(
        mine.tag, [here.get(name) or there[name] for name in order], flow_style=mine.flow_style
    )


def _arranged(here: Sequence[str], there: Iterable[str], added: Iterable[str]) -> list[str]:
    """`here`, and each of `added` behind the neighbour that it has in `there`."""
    present, wanted = set(here), set(added)
    behind: dict[str | None, list[str]] = {}
    neighbour = None
    for name in there:
        if name in present:
            neighbour = name
        elif name in wanted:
            behind.setdefault(neighbour, []).append(name)
    return [*behind.get(None, ()), *(each for name in here for each in (name, *behind.get(name, ())))]


def _values(node: Node | None) -> Mapping[str, Node]:
    """Of a mapping, by key; empty for anything else. Raises ValueError for keys that are no text, or there twice."""
    if not isinstance(node, MappingNode):
        return {}
    values = {key.value: value for key, value in node.value if isinstance(key, ScalarNode)}
    if len(values) != len(node.value):
        raise ValueError("a key that is no text, or is there twice")
    return values


def _is_empty(node: Node) -> bool:
    """Whether it is a list of nothing, or null."""
    return node.value == [] or node.tag == "tag:yaml.org,2002:null"


def _names(node: Node | None) -> Mapping[str, ScalarNode] | None:
    """The entries of a list of names; None for anything else."""
    if not isinstance(node, SequenceNode):
        return None
    names = {item.value: item for item in node.value if isinstance(item, ScalarNode)}
    return names if len(names) == len(node.value) else None


def _same(one: Node | None, other: Node | None) -> bool:
    """Whether they say the same, however they are written."""
    if one is None or other is None or one is other:
        return one is other
    return _digest(one, {}) == _digest(other, {})


def _digest(node: Node, known: dict[int, str]) -> str:
    """Of what a node says; what an alias stands for is read once. Raises ValueError."""
    if id(node) not in known:
        known[id(node)] = ""
        if isinstance(node, MappingNode):
            said: object = sorted((key, _digest(value, known)) for key, value in _values(node).items())
        elif isinstance(node, SequenceNode):
            said = [_digest(item, known) for item in node.value]
        else:
            said = node.value
        known[id(node)] = sha256(repr((node.tag, said)).encode()).hexdigest()
    if not known[id(node)]:
        raise ValueError("a value that holds itself")
    return known[id(node)]
