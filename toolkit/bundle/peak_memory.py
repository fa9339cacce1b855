"""Peak memory of a model, from the measurements of the project."""

from __future__ import annotations

from pathlib import Path

from targets.project_file import find_file
from toolkit.project import project_folder
from toolkit.results.database import NAME, ResultStoreError
from toolkit.results.store import open_results

#: Newest measurements of a model that are looked at.
_MOST_RESULTS = 20


def peak_memory(sha256: str) -> int:
    """Return the highest peak memory of a process that ran a model, in bytes.

    Args:
        sha256: Digest of the model.

    Returns:
        Bytes; 0 where there is no project, or no measurement of the model in it.

    Raises:
        ResultStoreError: The results of the project cannot be read.
        ToolkitError: `.kedge` is a link.
    """
    path = find_file(Path.cwd())
    if path is None or not (project_folder(path.parent) / NAME).is_file():
        return 0
    peak = 0
    with open_results(path.parent) as results:
        lines = results.list_results(limit=None).lines
        numbers = [line.id for line in lines if line.model_sha256 == sha256]
        for number in numbers[:_MOST_RESULTS]:
            try:
                runs = results.load(number).runs
            except ResultStoreError:  # one damaged result does not hide the others
                continue
            peak = max([peak, *(run.run.peak_rss_bytes for run in runs)])
    return peak
