"""The documents keep up with the code: made pages, configurations, commands, Python, links and dependencies."""

import ast
import importlib.util
import re
import shlex
import sys
import tomllib
import warnings
from pathlib import Path

import pytest
import typer

import tsogrid
from tsogrid.cli.main import DEBUG, app
from tsogrid.compat.tshirt import convert, is_tshirt
from tsogrid.config_file import parse
from tsogrid.errors import TsogridWarning

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page, *languages):
    return [body for language, body in FENCE.findall(page.read_text(encoding="utf-8")) if language in languages]


def commands(page):
    """Every `tsogrid …` of a page as words: in blocks of shell, and inside backquotes."""
    text = page.read_text(encoding="utf-8")
    lines = [line for body in blocks(page, "", "sh", "bash", "console") for line in body.splitlines()]
    lines += re.findall(r"(?<!`)`([^`\n]+)`(?!`)", FENCE.sub("", text))
    found = []
    for line in lines:
        for part in re.split(r"&&|;|\|", line.partition(" # ")[0]):
            part = part.strip().removeprefix("$ ")
            if re.match(r"tsogrid(\s|$)", part):
                found.append(shlex.split(part)[1:])
    return found


def test_there_are_documents():
    assert {"README.md", "CHANGES.md", "CONTRIBUTING.md", "docs/numbers.md", "docs/configuration.md"} <= set(NAMES)
    assert commands(ROOT / "README.md")
    assert any(blocks(page, "yaml") for page in PAGES)


def test_made_pages_are_up_to_date():
    spec = importlib.util.spec_from_file_location("make_reference", ROOT / "docs" / "make_reference.py")
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    for name, make in maker.PAGES.items():
        found = (ROOT / "docs" / name).read_text(encoding="utf-8")
        assert found == make(), f"docs/{name} is out of date: python docs/make_reference.py"


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_yaml_is_a_configuration(page):
    for body in blocks(page, "yaml", "yml"):
        content = parse(body, page.name)
        if is_tshirt(content):
            convert(content, page.name)
        else:
            tsogrid.Config.from_mapping(content, where=page.name)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_command_and_option_exists(page):
    root = typer.main.get_command(app)
    for words in commands(page):
        if words and not words[0].startswith("-"):
            assert words[0] in root.commands, f"{page.name}: tsogrid has no command {words[0]}"
            command, words = root.commands[words[0]], words[1:]
        else:
            command = root
        known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
        known |= {DEBUG, "--help", "-h"}
        for word in words:
            if word.startswith("-"):
                assert word.partition("=")[0] in known, f"{page.name}: tsogrid {command.name} has no option {word}"


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_python_block_names_what_is_there(page):
    for body in blocks(page, "python"):
        for node in ast.walk(ast.parse(body)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "tsogrid":
                assert hasattr(tsogrid, node.attr), f"{page.name}: tsogrid has no {node.attr}"


def test_the_example_from_numpy_runs():
    (body,) = [each for each in blocks(ROOT / "README.md", "python") if "np.random" in each]
    names = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TsogridWarning)  # of errors, which need a gain
        exec(compile(body, "README.md", "exec"), names)
    assert names["flux"].shape == (50, 1, 1)
    assert names["flux"].mean() == pytest.approx(9 * 500, rel=0.1)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_link_and_image_is_there(page):
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name}: no {target}"


def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def names(requirements):
    return {re.match(r"[\w.-]+", each).group() for each in requirements} - {"tsogrid"}


def test_every_dependency_has_its_reason():
    needed, _, extra = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8").partition("## Extras")
    explained = set(re.findall(r"^\| `([^`]+)`", needed, re.MULTILINE))
    assert explained == names(project()["dependencies"])
    for name, requirements in project()["optional-dependencies"].items():
        cells = re.findall(rf"^\| `{name}` \|([^|]+)\|", extra, re.MULTILINE)
        assert {word for cell in cells for word in re.findall(r"`([^`]+)`", cell)} == names(requirements), name


def modules(requirements):
    """What is imported of packages."""
    unlike = {"pyyaml": {"yaml"}, "gwcs": {"gwcs", "asdf"}}
    found = (name.lower().replace("-", "_") for name in names(requirements))
    return {module for name in found for module in unlike.get(name, {name})}


def imports(path):
    """Names of the packages that a file imports, each with whether it does so when loaded."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name.partition(".")[0], node in tree.body) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").partition(".")[0], node in tree.body


@pytest.mark.parametrize("folder", ["tsogrid", "tests"])
def test_every_import_is_declared(folder):
    needed, extras = modules(project()["dependencies"]), project()["optional-dependencies"]
    optional = needed | modules(each for requirements in extras.values() for each in requirements)
    loaded = (
        needed
        if folder == "tsogrid"
        else needed | modules(extras["test"]) | modules(extras["gwcs"]) | modules(extras["hdf5"])
    )
    paths = list((ROOT / folder).rglob("*.py"))
    own = {"tsogrid", "tests", "benchmarks", *(path.stem for path in paths)}
    for path in paths:
        for name, when_loaded in imports(path):
            if name not in sys.stdlib_module_names and name not in own:
                known = loaded if when_loaded else optional
                assert name in known, f"{path.relative_to(ROOT)} imports {name}, which pyproject.toml does not name for it"
