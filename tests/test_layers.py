"""Imports go downwards only, and neighbours do not see each other: the house plan of CONTRIBUTING.md, held."""

import ast
from pathlib import Path

import pytest

import tsogrid

PACKAGE = Path(tsogrid.__file__).parent

# From the ground up; names on one line are neighbours. A module belongs to the longest prefix that fits.
LAYERS = [
    ["errors", "flags"],
    ["kernels"],
    ["config_file", "presets"],
    ["config"],
    ["schema", "ephemeris"],
    ["io", "field", "engine.pipeline"],
    ["engine.plan"],
    ["engine.graph", "engine.store", "engine.cluster"],
    ["engine.run", "analysis", "simulate"],
    ["compat", "survey"],
    ["export"],
    ["view"],
    ["accessor", "demo", "watch"],
    ["cli"],
]
# Rooms that share a storey with the module they serve.
SERVES = {
    "engine.recipe": "engine.pipeline",
    "engine.windows": "engine.pipeline",
    "engine.background": "engine.pipeline",
    "engine.sky_in_apertures": "engine.pipeline",
    "engine.amplifiers": "engine.pipeline",
    "engine.photometry": "engine.pipeline",
    "engine.apertures": "engine.pipeline",
    "engine.regions": "engine.pipeline",
    "engine.cutout_sky": "engine.pipeline",
    "engine.cutouts": "engine.pipeline",
    "engine.neighbourhood": "engine.pipeline",
    "engine.line_reach": "engine.pipeline",
    "engine.centering": "engine.pipeline",
    "engine.calibration": "engine.pipeline",
    "engine.registering": "engine.pipeline",
    "engine.reference": "engine.plan",
    "engine.near_windows": "engine.plan",
    "engine.correction": "engine.pipeline",
    "engine.cosmic_rays": "engine.pipeline",
    "engine.detector": "engine.pipeline",
    "engine.masters": "engine.plan",
    "engine.calibration_plan": "engine.plan",
    "engine.calibration_words": "engine.plan",
    "engine.electronics": "engine.plan",
    "engine.positions": "engine.plan",
    "engine.star_times": "engine.plan",
    "engine.plan_identity": "engine.plan",
    "engine.plan_size": "engine.plan",
    "engine.block_size": "engine.plan",
    "engine.block_measure": "engine.plan",
    "engine.allocation": "engine.plan",
    "engine.reading": "engine.plan",
    "engine.repair": "engine.plan",
    "engine.identity": "engine.store",
    "engine.extension": "engine.store",
    "engine.given_note": "engine.store",
    "engine.lock": "engine.store",
    "engine.file_lock": "engine.store",
    "engine.object_lock": "engine.store",
    "engine.place": "engine.store",
    "engine.bucket": "engine.store",
    "engine.layout": "engine.store",
    "engine.marks": "engine.store",
    "engine.ownership": "engine.store",
    "engine.status": "engine.store",
    "engine.verification": "engine.store",
    "engine.dask_settings": "engine.cluster",
    "engine.job_queues": "engine.cluster",
    "engine.kubernetes": "engine.cluster",
    "engine.queued_jobs": "engine.cluster",
    "engine.security": "engine.cluster",
    "engine.submission": "engine.cluster",
    "engine.after_death": "engine.run",
    "engine.child": "engine.run",
    "engine.errand": "engine.run",
    "engine.execute": "engine.run",
    "engine.manifests": "engine.run",
    "engine.on_cluster": "engine.run",
    "engine.shard_work": "engine.run",
    "engine.setting_aside": "engine.run",
    "engine.compiling": "engine.run",
    "engine.log": "engine.run",
    "engine.stopping": "engine.run",
    "engine.trial": "engine.run",
    "engine.performance": "engine.run",
    "engine.worker_watch": "engine.run",
    "engine.diagnostics": "engine.run",
}
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}


def room_of(module: str) -> str | None:
    """The room of a module name without the package's; None for the package itself."""
    for served, room in SERVES.items():
        if module == served or module.startswith(served + "."):
            return room
    fitting = [name for name in RANK if module == name or module.startswith(name + ".")]
    return max(fitting, key=len) if fitting else None


def imported_by(path: Path) -> set[str]:
    """Every tsogrid module that a file imports, inside functions too; type checkers' imports are left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.body = []
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith("tsogrid.")}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            if node.module == "tsogrid":
                found |= {f"tsogrid.{alias.name}" for alias in node.names}
            elif node.module and node.module.startswith("tsogrid."):
                found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.removeprefix("tsogrid.") for name in found}


MODULES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=[str(path.relative_to(PACKAGE)) for path in MODULES])
def test_imports_go_downwards(path):
    module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")
    if module == "__init__":
        return
    if module == "engine":
        assert not imported_by(path)
        return
    here = room_of(module)
    assert here is not None, f"{module} has no place in the house plan"
    for name in imported_by(path):
        there = room_of(name)
        if there is None or there == here:  # tsogrid.__version__, or the same room
            continue
        assert RANK[there] < RANK[here], f"{module} ({here}) imports {name} ({there}): not downwards"


def test_every_module_is_short_and_says_its_idea():
    for path in MODULES:
        text = path.read_text(encoding="utf-8")
        assert text.count("\n") <= 400, f"{path} has over 400 lines"
        assert ast.get_docstring(ast.parse(text)), f"{path} does not say what it is for"
