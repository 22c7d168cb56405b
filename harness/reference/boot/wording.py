"""Editing the text of a YAML mapping so that it says something else, with every other byte of it as it was.

What is changed is found by the marks of a parser. Whoever asks for an edit has to parse what comes out of it: some
texts (a value that is an alias, a key behind `? `) are not edited right, and no text is edited half.
"""

from __future__ import annotations

from dataclasses import dataclass

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

_DOCUMENT_END = "..."
_WIDEST = 1 << 20
_MOST_NODES = 10_000
"""That are put into words of our own: aliases of aliases stand for more than anybody could write."""

Written = tuple[str, MappingNode]
"""A text and its document."""


def reworded(text: str, document: MappingNode, wanted: MappingNode, source: Written, former: Written) -> str:
    """`text`, whose document is `document`, edited to say `wanted`.

    A node of `document` that is in `wanted` stays as it is written; one of `source` is taken over as it is written
    there. The comment above a key that goes is taken along when it is the one of `former`.
    """
    editor = _Editor(text)
    editor.mapping(_Part.whole(text, document), wanted, _Part.whole(*source), _Part.whole(*former))
    return editor.edited()


@dataclass(frozen=True, slots=True)
class _Entry:
    """A key of a block mapping with its value: whole lines of a text."""

    key: ScalarNode
    value: Node
    lead: int
    """Where the blank lines above the comment begin."""
    comment: int
    """Where the comment right above begins."""
    start: int
    end: int
    indent: int
    alias: bool
    """Whether the value is written elsewhere."""
    inline: bool
    """Whether the value is what lies between its marks, no more and no less."""


@dataclass(frozen=True, slots=True)
class _Part:
    """A node, and the lines of a text within which it is written."""

    text: str
    node: Node | None = None
    start: int = 0
    end: int = 0

    @classmethod
    def whole(cls, text: str, document: Node) -> _Part:
        return cls(text, document, 0, len(text))

    def entries(self) -> dict[str, _Entry]:
        """Of a block mapping; empty for anything else."""
        if not isinstance(self.node, MappingNode) or self.node.flow_style:
            return {}
        text, least = self.text, self.start
        entries: dict[str, _Entry] = {}
        starts = [_line_start(text, key.start_mark.index) for key, _ in self.node.value]
        for (key, value), start, stop in zip(self.node.value, starts, [*starts[1:], self.end], strict=True):
            indent = _indent(text[start:stop])
            end = _without_loose_lines(text, _line_end(text, _last(key, value)), stop, indent)
            comment = _above(text, start, least, "#")
            lead = _above(text, comment, least, "")
            alias = _is_alias(key, value)
            inline = not alias and not _is_block(value) and value.start_mark.index < value.end_mark.index
            entries[key.value] = _Entry(key, value, lead, comment, start, end, indent, alias, inline)
            least = end
        return entries

    def below(self, entry: _Entry | None) -> _Part:
        """The part of an entry's value; an empty one where that is not written there."""
        if entry is None or entry.alias:
            return _Part(self.text)
        return _Part(self.text, entry.value, _line_end(self.text, entry.start), entry.end)


class _Editor:
    def __init__(self, text: str) -> None:
        self._text = text
        self._line_break = "\r\n" if "\r\n" in text else "\n"
        self._edits: list[tuple[int, int, str]] = []
        self._left = _MOST_NODES

    def edited(self) -> str:
        done: list[str] = []
        position = 0
        for start, end, words in sorted(self._edits, key=lambda edit: edit[:2]):
            done += [self._text[position:start], words]
            position = end
        return "".join([*done, self._text[position:]])

    def mapping(self, part: _Part, wanted: MappingNode, source: _Part, former: _Part) -> None:
        here, there, before = part.entries(), source.entries(), former.entries()
        last: _Entry | None = None
        for key, value in wanted.value:
            entry, offered = here.get(key.value), there.get(key.value)
            if entry is None:
                self._insert(key, value, last, here, offered, source.text)
                continue
            last = entry
            if value is entry.value:
                continue
            if offered and value is offered.value:
                self._replace(entry, offered, source.text)
            elif entry.alias:
                continue  # what it stands for is edited where it is written
            elif isinstance(value, MappingNode) and value.value and _is_block(entry.value):
                self.mapping(
                    part.below(entry), value, source.below(offered), former.below(before.get(key.value))
                )
            elif isinstance(value, SequenceNode) and value.value and _is_block(entry.value):
                self._items(entry.value, value)
            else:
                self._rewrite(entry, value)
        kept = {key.value for key, _ in wanted.value}
        for name, entry in here.items():
            if name not in kept:
                self._remove(entry, before.get(name), former.text)

    def _insert(
        self,
        key: Node,
        value: Node,
        last: _Entry | None,
        here: dict[str, _Entry],
        offered: _Entry | None,
        source: str,
    ) -> None:
        """Behind `last`, or at the top."""
        first = last or next(iter(here.values()), None)
        indent = first.indent if first else 0
        place = last.end if last else first.comment if first else 0
        if offered is None:
            words = f"{' ' * indent}{self._flow(key)}: {self._flow(value)}\n"
        else:
            words = source[offered.lead if last else offered.comment : offered.end]
            words = _shifted(words, indent - offered.indent)
        self._change(place, place, words)

    def _replace(self, entry: _Entry, offered: _Entry, source: str) -> None:
        words = source[offered.value.start_mark.index : offered.value.end_mark.index]
        if entry.inline and offered.inline and "\n" not in words:
            # What stands behind it in its line is the user's.
            self._change(entry.value.start_mark.index, entry.value.end_mark.index, words)
        else:
            words = source[offered.start : offered.end]
            self._change(entry.start, entry.end, _shifted(words, entry.indent - offered.indent))

    def _rewrite(self, entry: _Entry, value: Node) -> None:
        if entry.inline:
            self._change(entry.value.start_mark.index, entry.value.end_mark.index, self._flow(value))
        else:
            words = f"{' ' * entry.indent}{self._flow(entry.key)}: {self._flow(value)}\n"
            self._change(entry.start, entry.end, words)

    def _items(self, list_: Node, wanted: SequenceNode) -> None:
        """Lines of a block sequence of scalars."""
        text = self._text
        kept = {id(item) for item in wanted.value}
        place = _line_start(text, list_.value[0].start_mark.index)
        prefix = text[place : list_.value[0].start_mark.index]
        lines = {
            id(item): (_line_start(text, item.start_mark.index), _line_end(text, item.end_mark.index))
            for item in list_.value
        }
        for item in wanted.value:
            if id(item) in lines:
                place = lines[id(item)][1]
            else:
                self._change(place, place, f"{prefix}{self._flow(item)}\n")
        for item, (start, end) in lines.items():
            if item not in kept:
                self._change(start, end, "")

    def _remove(self, entry: _Entry, former: _Entry | None, former_text: str) -> None:
        """With the comment above, if that is the one that was there before anybody changed anything."""
        text, start = self._text, entry.start
        if former and (
            text[entry.comment : entry.start].split() == former_text[former.comment : former.start].split()
        ):
            start = entry.comment
            if not text[entry.end : _line_end(text, entry.end)].strip():
                start = entry.lead
        self._change(start, entry.end, "")

    def _flow(self, node: Node) -> str:
        """In one line, with what aliases stand for in their place."""
        self._left -= 1
        if self._left < 0:
            return ""  # too much to say without aliases: what comes of it says something else
        if isinstance(node, MappingNode):
            pairs = (f"{self._flow(key)}: {self._flow(value)}" for key, value in node.value)
            return "{" + ", ".join(pairs) + "}"
        if isinstance(node, SequenceNode):
            return "[" + ", ".join(map(self._flow, node.value)) + "]"
        quote = node.style if isinstance(node, ScalarNode) and node.style in ("'", '"') else None
        scalar = ScalarNode(node.tag, node.value, style=quote)
        alone = SequenceNode("tag:yaml.org,2002:seq", [scalar], flow_style=True)
        text: str = yaml.serialize(alone, Dumper=yaml.SafeDumper, allow_unicode=True, width=_WIDEST)
        return text.strip().removeprefix("[").removesuffix("]")

    def _change(self, start: int, end: int, words: str) -> None:
        words = words.replace("\r\n", "\n").replace("\n", self._line_break)
        self._edits.append((start, end, words))


def _line_start(text: str, index: int) -> int:
    return text.rfind("\n", 0, index) + 1


def _line_end(text: str, index: int) -> int:
    """Behind the line's break."""
    return text.find("\n", index) + 1 or len(text)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _is_alias(before: Node, value: Node) -> bool:
    """What an alias stands for is written before that in which the alias is."""
    return bool(value.start_mark.index <= before.start_mark.index)


def _is_block(node: Node) -> bool:
    if isinstance(node, MappingNode | SequenceNode):
        return not node.flow_style
    return isinstance(node, ScalarNode) and node.style in ("|", ">")


def _last(key: Node, value: Node) -> int:
    """A place in the last line that is certainly an entry's own: the marks of blocks reach too far."""
    if _is_alias(key, value):
        return int(key.end_mark.index)
    if not _is_block(value):
        return int(value.end_mark.index)
    if isinstance(value, MappingNode) and value.value:
        return _last(*value.value[-1])
    if isinstance(value, SequenceNode):
        written = [item for item in value.value if not _is_alias(value, item)]
        if written:
            return _last(value, written[-1])
    return int(value.start_mark.index)


def _without_loose_lines(text: str, least: int, end: int, indent: int) -> int:
    """Leave out blank lines at the end, and comments that are indented no deeper than the key."""
    while end > least:
        start = _line_start(text, end - 1)
        line = text[start:end]
        words = line.strip()
        if words and words != _DOCUMENT_END and not (words.startswith("#") and _indent(line) <= indent):
            break
        end = start
    return end


def _above(text: str, start: int, least: int, mark: str) -> int:
    """Where the lines right above begin that are comments (`#`), or that are blank (no mark)."""
    while start > least:
        line = _line_start(text, start - 1)
        words = text[line:start].strip()
        if not (words.startswith(mark) if mark else not words):
            break
        start = line
    return start


def _shifted(lines: str, by: int) -> str:
    """Indented deeper, or less deep, by so many spaces."""
    shifted = []
    for line in lines.splitlines(keepends=True):
        if by > 0 and line.strip():
            shifted.append(" " * by + line)
        else:
            shifted.append(line[min(max(-by, 0), _indent(line)) :])
    return "".join(shifted)
