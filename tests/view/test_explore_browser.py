"""The explorer in a real browser: it loads, a click changes the frame, a choice the curve, exports come down, no error."""

import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

import tsogrid
from tsogrid.config import Config

sync_api = pytest.importorskip("playwright.sync_api")
pytest.importorskip("panel")
pytestmark = pytest.mark.slow

WAIT = 90_000  # milliseconds: a busy machine is slow, and nothing here is timed


@pytest.fixture(scope="module")
def chromium():
    found = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("there is no chromium")
    with sync_api.sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=found, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def store(exposure):
    path = Path(exposure.files[0]).with_name("explored.zarr")
    config = {
        "input": {"files": exposure.files},
        "sources": [{"name": "target", "x": float(np.median(exposure.x)), "y": float(np.median(exposure.y))}],
        "apertures": [{"shape": "circle", "radius": [3, 5]}],
        "output": {"store": str(path)},
        "cluster": {"kind": "none"},
    }
    tsogrid.run(Config.model_validate(config))
    return str(path)


@contextmanager
def served(store, *options):
    """The command's address, as a user reads it."""
    command = [sys.executable, "-m", "tsogrid.cli.main", "explore", store, "--no-browser", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()
        assert line, process.stderr.read()
        yield re.search(r"http://127\.0\.0\.1:\d+/", line)[0]
    finally:
        process.terminate()
        process.communicate(timeout=60)


@contextmanager
def opened(chromium, address, width):
    """The page, once it is idle; no console error may come, and nothing from elsewhere."""
    page = chromium.new_page(viewport={"width": width, "height": 1000}, accept_downloads=True)
    errors, hosts = [], set()
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: hosts.add(request.url.split("/")[2]) if request.url.startswith("http") else None)
    page.set_default_timeout(WAIT)
    page.goto(address)
    page.wait_for_function("window.Bokeh && Bokeh.documents.length > 0 && Bokeh.documents[0].is_idle")
    page.wait_for_function(f"{COLUMN.format('curve')} && {COLUMN.format('curve')}.length > 0")
    yield page
    assert errors == []
    assert hosts == {address.split("/")[2]}
    page.close()


# Values of the points that a figure shows, and the pixels of a picture.
COLUMN = "Bokeh.documents[0].get_model_by_name('{0}').renderers[1].data_source.data.value"
IMAGE = "Array.from(Bokeh.documents[0].get_model_by_name('stamp').renderers[0].data_source.data.image[0])"
LIGHT = f"{IMAGE}.filter(Number.isFinite).reduce((sum, each) => sum + each, 0)"


@pytest.mark.parametrize("width", [1400, pytest.param(800, marks=pytest.mark.long)])
def test_clicks_and_choices(chromium, store, exposure, width, tmp_path):
    with served(store) as address, opened(chromium, address, width) as page:
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        words = page.locator("text=/frame \\d+ of/").first
        assert words.inner_text().startswith("frame 0 of 30")
        before = page.evaluate(LIGHT)
        figure = page.locator(".bk-Figure").first.bounding_box()
        page.mouse.click(figure["x"] + 0.7 * figure["width"], figure["y"] + 0.4 * figure["height"])
        sync_api.expect(words).not_to_contain_text("frame 0 of", timeout=WAIT)
        number = int(re.match(r"frame (\d+) of 30", words.inner_text())[1])
        assert 12 < number < 29
        file, row = divmod(number, 15)
        data = fits.getdata(exposure.files[file], "SCI")[row]
        page.wait_for_function(f"{LIGHT} != {before!r}")
        shown = np.array(page.evaluate(IMAGE), float)
        assert np.isin(shown[np.isfinite(shown)], data).all()

        curve = page.evaluate(f"Array.from({COLUMN.format('curve')})")
        page.locator("select").nth(1).select_option("r3")
        page.wait_for_function(f"{COLUMN.format('curve')}[0] != {curve[0]!r}")
        with page.expect_download() as download:
            page.get_by_text("light curve, ECSV").click()
        path = tmp_path / "curve.ecsv"
        download.value.save_as(path)
        flux = np.asarray(Table.read(path)["flux"])
        expected = tsogrid.open_result(store).tso.lightcurve(aperture="r3", normalise=True)["flux"].to_numpy()
        np.testing.assert_array_equal(flux, expected)
        with page.expect_download() as download:
            page.get_by_text("settings, YAML").click()
        settings = tmp_path / "settings.yaml"
        download.value.save_as(settings)
    with served(store, "--settings", str(settings)) as address, opened(chromium, address, width) as page:
        assert page.locator("text=/frame \\d+ of/").first.inner_text().startswith(f"frame {number} of 30")
