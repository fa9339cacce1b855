"""The few lines by which an application opens the active release, and sees that it changed."""

from __future__ import annotations

from pathlib import Path

from device_agent.contract.names import require_app
from device_agent.contract.records import RecordError
from toolkit.errors import ToolkitError

#: Language to the file with the lines.
LANGUAGES = {"python": "consumer_python.txt", "cpp": "consumer_cpp.txt"}

_FOLDER = "@FOLDER@"


def consumer_lines(app: str, root: str, language: str) -> str:
    """Return the lines for an application.

    Args:
        app: Name of the application.
        root: kedge's folder on the board; an absolute path.
        language: Key of `LANGUAGES`.

    Raises:
        ToolkitError: The name or the folder cannot stand in a program.
    """
    try:
        require_app(app)
    except RecordError as error:
        raise ToolkitError(str(error), "Give the name of `bundle build --name`.") from error
    if not root.startswith("/") or not root.isprintable() or set(root) & set("\"'\\"):
        raise ToolkitError(
            f"the folder of kedge on the board: expected an absolute path, found {root!r}",
            "Give the `root` of the target, such as /home/pi/.local/share/kedge.",
        )
    text = Path(__file__).with_name(LANGUAGES[language]).read_text(encoding="utf-8")
    return text.replace(_FOLDER, f"{root.rstrip('/')}/store/apps/{app}")
