"""Backups of the journal, and the way back from one."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from device_agent.contract.codes import IntegrityError
from toolkit.fleet.acts import OBSERVE
from toolkit.fleet.journal import Journal, open_journal
from toolkit.fleet.journal_file import JournalError, transaction, translate_journal_errors
from toolkit.fleet.journal_reader import FINISHED, STOPPED, JournalReader
from toolkit.fleet.lease import hold_lease
from toolkit.fleet.states import PROBED, STAGED

#: Distance by which a restored journal raises the epoch: more than the controllers that can have
#: begun since the backup, whose epochs the boards remember.
EPOCHS_AHEAD = 1_000_000

_OTHER_BACKUP = "Restore another file that `kedge fleet journal backup` wrote."


def backup_journal(journal: JournalReader, path: Path) -> None:
    """Write all of a journal into one new file, also while a controller runs.

    Args:
        journal: Open journal.
        path: File of the backup, which does not exist yet.

    Raises:
        JournalError: The file is there already, or cannot be written; nothing is left then.
    """
    if path.exists() or path.is_symlink():
        raise JournalError(f"{path} exists already", "Name a new file for the backup.")
    with _temporary_beside(path) as temporary, translate_journal_errors(path):
        with closing(sqlite3.connect(temporary)) as copy:
            journal.database.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, without a log beside it
        _sync(temporary)
        temporary.rename(path)
        _sync(path.parent)


def restore_journal(backup: Path, path: Path, who: str) -> tuple[int, Path | None]:
    """Put a backup in the place of the journal; the journal that was there stays beside it.

    What boards did since the backup is not in it: boards of open rollouts are observed before
    anything is done with them, and the epoch rises above every one that they may remember.

    Args:
        backup: File that `backup_journal` wrote.
        path: File of the journal.
        who: Person and program.

    Returns:
        Number of the last row of the backup, and the file of the journal that was there before;
        `None` where there was none.

    Raises:
        IntegrityError: The backup was changed or is damaged.
        JournalError: It is no backup, a controller runs, or a file cannot be written.
    """
    if not backup.is_file():
        raise JournalError(f"there is no backup {backup}", "Name the file of a backup.")
    with hold_lease(path, who), _temporary_beside(path) as temporary:
        with translate_journal_errors(path):
            shutil.copyfile(backup, temporary)
        with _open_backup(temporary, backup) as journal:
            problems = journal.verify_chain()
            if problems:
                raise IntegrityError(
                    f"the backup {backup} is damaged: {problems[0]}", _OTHER_BACKUP
                )
            last = _prepare(journal, who)
            with translate_journal_errors(path):
                journal.database.execute("PRAGMA journal_mode = DELETE")
        with translate_journal_errors(path):
            _sync(temporary)
            aside = _move_aside(path)
            temporary.rename(path)
            _sync(path.parent)
    return last, aside


@contextmanager
def _open_backup(copy: Path, backup: Path) -> Iterator[Journal]:
    """Open the copy of a backup; its errors name the backup.

    Raises:
        JournalError: It is no backup, or one of a newer kedge.
    """
    with ExitStack() as stack:
        try:
            journal = stack.enter_context(open_journal(copy))
        except JournalError as error:
            reason = str(error).replace(str(copy), str(backup))
            raise JournalError(f"{backup} cannot be restored: {reason}", _OTHER_BACKUP) from error
        yield journal


def _prepare(journal: Journal, who: str) -> int:
    """Raise the epoch of a restored journal, and let its boards be observed."""
    with transaction(journal.database, journal.path):
        last, epoch = journal.database.execute("SELECT number, epoch FROM head").fetchone()
        journal.database.execute(
            "UPDATE board SET step = ? WHERE state IN (?, ?) AND rollout IN "
            "(SELECT number FROM rollout WHERE status NOT IN (?, ?))",
            (OBSERVE, STAGED, PROBED, FINISHED, STOPPED),
        )
    journal.take_lease(who, int(epoch) + EPOCHS_AHEAD)
    journal.note("restore", {"rows": last})
    return int(last)


def _move_aside(path: Path) -> Path | None:
    if not path.exists():
        return None
    number = 1
    while path.with_name(f"{path.name}.before-restore-{number}").exists():
        number += 1
    aside = path.with_name(f"{path.name}.before-restore-{number}")
    log = path.with_name(f"{path.name}-wal")
    if log.exists():  # rows that are not yet in the file itself
        log.rename(aside.with_name(f"{aside.name}-wal"))
    path.with_name(f"{path.name}-shm").unlink(missing_ok=True)
    path.rename(aside)
    return aside


@contextmanager
def _temporary_beside(path: Path) -> Iterator[Path]:
    """Give the path of a file in a new folder beside another file."""
    with translate_journal_errors(path):
        path.parent.mkdir(exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=path.parent, prefix=".journal-"))
    try:
        yield folder / path.name
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
