"""A file that kills whoever reads it: a ``sitecustomize`` for worker processes, as no input can do this to a sound reader.

It ends the process by SIGKILL when a file is opened whose name holds ``POISON``; the client, which reads headers, is spared.
"""

CODE = """
import os, signal, sys

def look(event, arguments, name=os.environ.get("POISON")):
    if event == "open" and name and name in str(arguments[0]) and "spawn_main" in " ".join(sys.orig_argv):
        os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(look)
"""


def prepare(folder):
    """Write it into a folder, which then goes first on ``PYTHONPATH``."""
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(CODE)
    return folder
