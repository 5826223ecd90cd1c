"""Jobs that a batch system does not know any more, with a cluster and a batch system that are played."""

import shutil
from types import SimpleNamespace

import pytest

from tsogrid.engine import queued_jobs
from tsogrid.engine.queued_jobs import QueuedJobs

pytest.importorskip("distributed")


class Cluster:
    """Two jobs, 11 and 12; those that are submitted in their place have the next numbers."""

    def __init__(self, submit):
        self.job_cls = SimpleNamespace(submit_command=submit)
        self.worker_spec = {0: {}, 1: {}}
        self.workers, self.next = {}, 11
        self.loop = SimpleNamespace(add_callback=lambda function, *arguments: function(*arguments))
        self.scale(2)

    def scale(self, number):
        assert number == len(self.worker_spec)
        for name in self.worker_spec.keys() - self.workers.keys():
            self.workers[name] = SimpleNamespace(job_id=str(self.next), status="running")
            self.next += 1

    @property
    def jobs(self):
        return sorted(job.job_id for job in self.workers.values())


@pytest.fixture
def queue(tmp_path, monkeypatch):
    """A batch system that tells what its file holds."""
    for name in ("squeue", "qstat"):
        program = tmp_path / name
        program.write_text(f"#!{shutil.which('sh')}\ntest -e {tmp_path}/told || exit 1\ncat {tmp_path}/told\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(queued_jobs, "ASK_EVERY", 0.0)
    return tmp_path / "told"


@pytest.mark.parametrize(("submit", "told"), [("sbatch", "{}\n"), ("qsub", "\nJob id  User\n{}.server  me\n")])
def test_jobs_that_are_gone_are_replaced(queue, submit, told):
    cluster = Cluster(submit)
    jobs = QueuedJobs.of(cluster)
    assert jobs.replace_lost([]) == 0  # the batch system does not answer
    assert jobs.replace_lost([]) == 0
    queue.write_text(told.format(12))
    assert jobs.replace_lost([]) == 0  # not known once: it may be just coming, or going
    assert jobs.replace_lost([]) == 1
    assert cluster.jobs == ["12", "13"]
    queue.write_text(told.format(99))
    for _ in range(3):
        assert jobs.replace_lost(["0", "1-3"]) == 0  # whoever has a worker is there, of one or of several
    assert jobs.replace_lost(["0"]) == 0
    assert jobs.replace_lost(["0"]) == 1
    assert cluster.jobs == ["13", "14"]
    assert jobs.lost == 2


def test_others_have_no_jobs():
    assert QueuedJobs.of(None) is None
    assert QueuedJobs.of(SimpleNamespace(workers={})) is None
    assert QueuedJobs.of(Cluster("bsub")) is None
