"""The sample data that may lie beside the project; tests that need them are skipped where they do not."""

import os
from pathlib import Path

SHARED = Path(os.environ.get("TSOGRID_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
