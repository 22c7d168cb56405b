"""What a live credential looks like: the formats of the contract, as rules on bytes (BND-9).

A rule begins at a literal, and its pattern is tried at each place where that stands: no pattern looks further than
`REACH`, none can go back over what it took, so that no text takes longer than its length allows. What stands where a
vendor would have drawn characters by chance has to look drawn: `sk-ant-...`, `ghp_xxxx…` and `AKIAIOSFODNN7EXAMPLE`
give nothing away. Only the value itself can pass for a placeholder; nothing beside it, in its file or in any other,
switches a rule off.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

BEHIND = 512
"""Bytes before a place that decide what stands there."""
REACH = 1024
"""Bytes from the beginning of a credential that decide whether it is one."""

_ALONE = rb"(?:(?<![A-Za-z0-9])|(?<=\\[nrt]))"
"""Where a token may begin: not amid a word, but behind a line break as JSON writes it."""
_NEARBY = 400
"""Bytes between an AWS access key's id and its secret."""
_LONG_RUN = b"x" * 20
_PRINTED = bytes(ord("x") if 0x21 <= byte <= 0x7E else 0 for byte in range(256))
"""Every credential has this many printable characters in a row, and what is no text hardly ever has."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A format. The only group of its pattern is what its vendor drew by chance."""

    name: str
    title: str
    """With its article, for a sentence."""
    literals: tuple[bytes, ...]
    """One of these begins whatever the pattern matches."""
    pattern: re.Pattern[bytes]
    holds: Callable[[re.Match[bytes]], bool]
    """What else must be true of a match."""


def recognised(text: bytes, start: int, stop: int) -> Rule | None:
    """The rule of a credential that begins in `text[start:stop]`; None where there is none.

    The answer is that of the whole stream where `text` has `BEHIND` bytes of it before `start` and `REACH` behind
    `stop`, or all that there are.
    """
    if _LONG_RUN not in text.translate(_PRINTED):
        return None
    for rule in RULES:
        for literal in rule.literals:
            end = stop + len(literal) - 1
            at = text.find(literal, start, end)
            while at >= 0:
                match = rule.pattern.match(text, at)
                if match and rule.holds(match):
                    return rule
                at = text.find(literal, at + 1, end)
    return None


_SAID = re.compile(
    rb"example|sample|dummy|fake|your|placeholder|change.?me|redacted|insert|replace|secret|token|password|api.?key"
    rb"|qwerty|asdf|xxxx|\.\.\.|not.?a.?real",
    re.IGNORECASE,
)
"""In a value, these say that it is none."""
_WEAK = re.compile(
    rb"pass|pwd|pw\d|admin|root|user|guest|test|demo|local|postgres|mysql|mongo|redis|rabbit|database|here",
    re.IGNORECASE,
)
"""In a password, these say that it stands for another, or guards nothing."""


def _drawn(value: bytes) -> bool:
    """Whether it looks drawn by chance: no word of a placeholder, no series, no repetition, no few characters."""
    if _SAID.search(value):
        return False
    folded = value.lower()
    if 2 * len(set(folded)) < min(len(folded), 16):
        return False
    for distance in (1, 2):
        series = sum(-1 <= here - there <= 1 for here, there in zip(folded, folded[distance:], strict=False))
        if series > 0.45 * (len(folded) - distance):
            return False
    threes = list(zip(folded, folded[1:], folded[2:], strict=False))
    return len(set(threes)) > 0.7 * len(threes)


def _value_is_drawn(match: re.Match[bytes]) -> bool:
    return _drawn(match[1])


def _mixed(value: bytes) -> bool:
    """Letters and digits: of a password, less would be a word."""
    return any(48 <= byte <= 57 for byte in value) and any(byte > 57 for byte in value)


def _is_strong(match: re.Match[bytes]) -> bool:
    return _mixed(match[1]) and not _WEAK.search(match[1]) and _drawn(match[1])


_AWS_SECRET = re.compile(_ALONE + rb"([A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])")
_OF_AWS_SECRETS = bytes(
    ord("x") if (chr(byte).isascii() and chr(byte).isalnum()) or byte in b"/+" else 0 for byte in range(256)
)


def _has_its_secret(match: re.Match[bytes]) -> bool:
    """An access key's id is no secret by itself; what is beside it may be one."""
    text, start, end = match.string, max(0, match.start() - _NEARBY), match.end() + _NEARBY
    if b"x" * 40 not in text[start:end].translate(_OF_AWS_SECRETS) or not _drawn(match[1]):
        return False
    # One byte more, so that it shows whether what reaches to the end goes on there.
    near = _AWS_SECRET.finditer(text, start, end + 1)
    return any(_is_aws_secret(secret[1]) for secret in near if secret.end() <= end)


@lru_cache(maxsize=64)
def _is_aws_secret(text: bytes) -> bool:
    """Unless it is a hash or a path. Remembered, since where ids stand close together they share what is near them."""
    return _mixed(text) and text.lower() != text != text.upper() and _drawn(text)


def _rule(
    name: str,
    title: str,
    literals: tuple[bytes, ...],
    pattern: bytes,
    holds: Callable[[re.Match[bytes]], bool] = _value_is_drawn,
) -> Rule:
    return Rule(name, title, literals, re.compile(pattern), holds)


def _token(name: str, title: str, literals: tuple[bytes, ...], body: bytes) -> Rule:
    """`body` is what follows the literal."""
    prefix = rb"|".join(map(re.escape, literals))
    return _rule(name, title, literals, _ALONE + rb"(?:" + prefix + rb")" + body)


RULES = (
    _token(
        "github-token",
        "a GitHub token",
        (b"ghp_", b"gho_", b"ghs_", b"ghu_", b"ghr_"),
        rb"([A-Za-z0-9]{36,255})(?![A-Za-z0-9])",
    ),
    _token(
        "github-fine-grained-token",
        "a fine-grained GitHub token",
        (b"github_pat_",),
        rb"([A-Za-z0-9]{22}_[A-Za-z0-9]{59})(?![A-Za-z0-9_])",
    ),
    _token(
        "gitlab-token",
        "a GitLab token",
        (b"glpat-",),
        rb"([A-Za-z0-9_-]{20}|[A-Za-z0-9_-]{27,300}+(?:\.[a-z0-9]{2})?\.[a-z0-9]{9})(?![A-Za-z0-9_-])",
    ),
    _token(
        "anthropic-key",
        "an Anthropic key",
        (b"sk-ant-",),
        rb"[a-z]{3,8}[0-9]{2}-([A-Za-z0-9_-]{93})AA(?![A-Za-z0-9_-])",
    ),
    _token(
        "openai-key",
        "an OpenAI key",
        (b"sk-proj-", b"sk-svcacct-"),
        rb"([A-Za-z0-9_-]{20,74}T3BlbkFJ[A-Za-z0-9_-]{20,74})(?![A-Za-z0-9_-])",
    ),
    _token(
        "slack-token",
        "a Slack token",
        (b"xoxb-", b"xoxa-", b"xoxp-", b"xoxr-", b"xoxs-"),
        rb"(?:[0-9]{1,13}-){1,4}([A-Za-z0-9]{24,64})(?![A-Za-z0-9])",
    ),
    _rule(
        "aws-access-key",
        "an AWS access key with its secret",
        (b"AKIA", b"ASIA"),
        _ALONE + rb"A[KS]IA([A-Z2-7]{16})(?![A-Za-z0-9])",
        _has_its_secret,
    ),
    _token("google-api-key", "a Google API key", (b"AIza",), rb"([A-Za-z0-9_-]{35})(?![A-Za-z0-9_-])"),
    _token("npm-token", "an npm token", (b"npm_",), rb"([A-Za-z0-9]{36})(?![A-Za-z0-9])"),
    _token(
        "pypi-token",
        "a PyPI token",
        (b"pypi-AgEIcHlwaS5vcmc", b"pypi-AgENdGVzdC5weXBpLm9yZw"),
        rb"([A-Za-z0-9_-]{70})",
    ),
    _token("huggingface-token", "a Hugging Face token", (b"hf_",), rb"([A-Za-z0-9]{34})(?![A-Za-z0-9])"),
    _token(
        "sendgrid-key",
        "a SendGrid key",
        (b"SG.",),
        rb"([A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43})(?![A-Za-z0-9_-])",
    ),
    _token(
        "vercel-token",
        "a Vercel token",
        (b"vc_", b"vca_", b"vci_", b"vck_", b"vcp_", b"vcr_"),
        rb"([A-Za-z0-9]{24}|[A-Za-z0-9]{56})(?![A-Za-z0-9])",
    ),
    _token("perplexity-key", "a Perplexity key", (b"pplx-",), rb"([A-Za-z0-9]{48})(?![A-Za-z0-9])"),
    _token(
        "stripe-key",
        "a live Stripe key",
        (b"sk_live_", b"rk_live_"),
        rb"([A-Za-z0-9]{24,247})(?![A-Za-z0-9])",
    ),
    _rule(
        "private-key",
        "a private key",
        (b"-----BEGIN ",),
        rb"-----BEGIN (?:[A-Z0-9]{1,12} ){0,2}PRIVATE KEY(?: BLOCK)?-----"
        # Line breaks and quotes as they are, or as a string in a program or in JSON has them; the headers of old
        # formats; then the first line of the key.
        rb"""(?:[\s"'+,]|\\[nrt]){1,40}+(?:[A-Za-z-]{1,20}: [^\r\n\\]{1,100}+(?:[\s"'+,]|\\[nrt]){1,40}+){0,4}+"""
        rb"([A-Za-z0-9+/=]{60})",
    ),
    _rule(
        "database-url",
        "a database URL with its password",
        (b"://",),
        rb"://(?:(?<=postgres://)|(?<=postgresql://)|(?<=mysql://)|(?<=mariadb://)|(?<=mongodb://)|(?<=\+srv://)"
        rb"|(?<=redis://)|(?<=rediss://)|(?<=amqp://)|(?<=amqps://)|(?<=\+asyncpg://)|(?<=\+psycopg://)"
        rb"|(?<=\+psycopg2://)|(?<=\+pymysql://)|(?<=mssql://)|(?<=clickhouse://))"
        rb"[A-Za-z0-9._~%-]{0,64}:([A-Za-z0-9._~%!&+=,;-]{12,128})@[A-Za-z0-9\[]",
        _is_strong,
    ),
)
