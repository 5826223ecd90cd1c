"""A file that kills whoever reads it: a ``sitecustomize`` for processes, as no input can do this to a sound reader.

It ends the process by SIGKILL when a file is opened whose name holds a word of ``POISON``: in workers, whose client, which
reads headers, is spared; or, where ``POISON_IN`` names a function, in any process that opens the file within it.
"""

CODE = """
import os, signal, sys

def within(name):
    frame = sys._getframe(2)
    while frame is not None:
        if frame.f_code.co_name == name:
            return True
        frame = frame.f_back
    return False

def look(event, arguments, names=os.environ.get("POISON", "").split(), where=os.environ.get("POISON_IN")):
    if event == "open" and names and any(name in str(arguments[0]) for name in names):
        if within(where) if where else "spawn_main" in " ".join(sys.orig_argv):
            # With the next step that the interpreter takes: the file is open then, as where a decoder dies.
            sys.setprofile(lambda *_: os.kill(os.getpid(), signal.SIGKILL))

sys.addaudithook(look)
"""


def prepare(folder):
    """Write it into a folder, which then goes first on ``PYTHONPATH``."""
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(CODE)
    return folder
