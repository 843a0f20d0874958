"""Keeping ultralytics offline, silent and within a folder. It reads all of this when it is first imported."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

# Nothing is looked up, fetched, installed or told to anybody.
_VARIABLES = {
    "YOLO_OFFLINE": "1",
    "YOLO_AUTOINSTALL": "0",
    "YOLO_VERBOSE": "0",
    # It plots nothing here; whatever asks matplotlib must not look for a display.
    "MPLBACKEND": "Agg",
}


def prepare(folder: Path | None = None) -> None:
    """Say where ultralytics may write its settings: in ``folder``, or in one of this user for temporary files.

    Has no effect once ultralytics is imported. The threads of OpenMP, which it would set to one, stay as they are.
    """
    if "ultralytics" in sys.modules:
        return
    os.environ.update(_VARIABLES)
    place = str(_own_folder() if folder is None else folder)
    os.environ.update({"YOLO_CONFIG_DIR": place, "MPLCONFIGDIR": place})
    os.environ.setdefault("OMP_NUM_THREADS", str(os.cpu_count() or 1))


def leave_pillow_alone() -> None:
    """Let Pillow say by itself that a file is no image, in whatever else this process does.

    ultralytics, once imported, would look for a plugin first, which is not installed, and fail for that.
    """
    from ultralytics.utils import patches

    patches._pil_plugins_registered = True


def _own_folder() -> Path:
    """A folder that nobody else can have put anything into."""
    folder = Path(tempfile.gettempdir()) / f"visionmesh-yolo-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if found.st_uid == os.getuid() and found.st_mode & 0o077 == 0 and not folder.is_symlink():
        return folder
    return Path(tempfile.mkdtemp(prefix="visionmesh-yolo-"))
