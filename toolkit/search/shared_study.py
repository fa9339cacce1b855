"""A study in a PostgreSQL database, which several machines share: its URL, and what of it is shown.

A password is never shown or written: libpq also reads it from PGPASSWORD or ~/.pgpass.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

from toolkit.errors import ToolkitError

_SCHEMES = ("postgresql", "postgres")
_EXAMPLE = "postgresql://USER@HOST/DATABASE"
#: Name of a study whose URL gives none.
_DEFAULT_NAME = "kedge"
_LONGEST_NAME = 100
_HIDDEN, _PASSWORD = "***", "password"


class StudyUrlError(ToolkitError):
    """The URL of a study cannot be used: nothing was started."""


@dataclass(frozen=True)
class SharedStudy:
    """Where a shared study is."""

    url: str = field(repr=False)
    """URL of the database, with the password where the user gave one."""
    name: str
    """Name of the study in the database."""
    heartbeat_s: int = 30
    """Interval at which a worker reports that it lives, seconds."""
    patience_s: float = 600.0
    """Time for which a worker waits for a database that does not answer, seconds."""

    @property
    def grace_s(self) -> int:
        """Silence after which a worker counts as dead, seconds."""
        return 4 * self.heartbeat_s

    @property
    def public_url(self) -> str:
        """URL without the password, with the name of the study."""
        url = urlsplit(self.url)
        pairs = [pair for pair in parse_qsl(url.query) if pair[0] != _PASSWORD]
        user, at, host = url.netloc.rpartition("@")
        netloc = user.partition(":")[0] + at + host
        name = "" if self.name == _DEFAULT_NAME else f"#{quote(self.name)}"
        return _join(url._replace(netloc=netloc, query=urlencode(pairs, safe="/"))) + name

    def hide_password(self, text: str) -> str:
        """Return a text of a library without the password."""
        url = urlsplit(self.url)
        secrets = [value for key, value in parse_qsl(url.query) if key == _PASSWORD]
        secrets += [url.password, unquote(url.password)] if url.password else []
        for secret in secrets:
            text = text.replace(secret, _HIDDEN)
        return text


def parse_study_url(text: str) -> SharedStudy:
    """Return the study that a URL names.

    Args:
        text: URL, such as postgresql://user@host/database or
            postgresql://user@host/database#name.

    Raises:
        StudyUrlError: The URL is none, or not one of PostgreSQL.
    """
    try:
        url = urlsplit(text)
        _ = url.port
    except ValueError as error:
        raise StudyUrlError(
            "--study: the host or the port of this URL cannot be read",
            f"A URL looks like {_EXAMPLE}.",
        ) from error
    scheme = url.scheme.partition("+")[0]
    if scheme == "sqlite":
        raise StudyUrlError(
            "--study: SQLite is one file on one machine, and not made for several workers",
            f"Leave out --study: --out keeps the study in a file. To share it: {_EXAMPLE}",
        )
    if scheme not in _SCHEMES:
        what = f"the database {scheme}" if scheme.isalnum() and "://" in text else "this"
        raise StudyUrlError(
            f"--study: {what} is not supported; PostgreSQL is", f"A URL looks like {_EXAMPLE}."
        )
    if not url.path.strip("/"):
        raise StudyUrlError("--study: the URL names no database", f"A URL looks like {_EXAMPLE}.")
    name = unquote(url.fragment) or _DEFAULT_NAME
    if len(name) > _LONGEST_NAME or not name.isprintable():
        raise StudyUrlError(
            f"--study: a name of a study has at most {_LONGEST_NAME} printable characters",
            "Choose a shorter name behind the #.",
        )
    return SharedStudy(_join(url._replace(scheme=_SCHEMES[0])), name)


def _join(url: SplitResult) -> str:
    """A URL as text; `urlunsplit` leaves out the // of a URL without a host."""
    query = f"?{url.query}" if url.query else ""
    return f"{url.scheme}://{url.netloc}{url.path}{query}"
