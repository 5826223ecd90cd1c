"""The explorer's page: widgets and figures put together; a click shows a frame, a choice draws anew what follows from it."""

import io
import tempfile
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tsogrid.analysis.table import to_table
from tsogrid.errors import TsogridError
from tsogrid.export.tables import FORMATS
from tsogrid.view.explore import figures
from tsogrid.view.explore.data import SERIES, Explored
from tsogrid.view.explore.pictures import Picture, frame_number, stamp, whole_frame
from tsogrid.view.explore.settings import Settings, checked, labels_of, possible_references
from tsogrid.view.explore.thinning import band, shown
from tsogrid.view.outlines import APERTURE, SKY, STYLE, Outline, outlines
from tsogrid.view.plot import time_axis
from tsogrid.view.report_frames import Found

PPM = 1e6
LEAST_HALF = 12.0  # pixels of a stamp to each side
TALL, SHORT = 320, 170  # screen pixels of a picture
UNTOLD = {"inner_width": 900.0, "inner_height": 250.0}  # screen pixels
REACH = (24.0, 12.0)  # screen pixels that weigh as much, along time and along flux, when a click looks for its point


class Page:
    """One visitor's page.

    Parameters
    ----------
    explored : Explored
        The result.
    found : Found
        Its frames, if they are there.
    settings : Settings
        What it begins with.
    title : str
        Name of the store.
    """

    def __init__(self, explored: Explored, found: Found, settings: Settings, title: str) -> None:
        from bokeh.models import Range1d

        self.explored, self.found, self.settings, self.title = explored, found, settings, title
        result = explored.result
        self.time, label = time_axis(result["time"], result.attrs.get("time_reference"))
        margin = 0.02 * float(np.ptp(self.time)) or 0.5
        self.x_range = Range1d(float(self.time[0]) - margin, float(self.time[-1]) + margin)
        self.outlines = outlines(result, found.config) if "config" in result.attrs else []
        self.curve = figures.over_time("curve", self.x_range, label, "relative flux", figures.HEIGHT)
        self.series = {
            name: figures.over_time(name, self.x_range, "", f"{said} ({self._unit(name)})", figures.LOW)
            for name, said in SERIES
            if explored.series(settings, name) is not None
        }
        self.stamp, self.frame = figures.picture("stamp", TALL), figures.picture("frame", self._height())
        self.noise = figures.noise()
        self.scores = figures.scores(labels_of(result, "aperture"), labels_of(result, "sky"))
        self._worker = ThreadPoolExecutor(1)
        self._document: Any = None
        self._following = True
        self._make_widgets()
        self._listen()

    def _height(self) -> int:
        """Of the whole frame's picture: a long and narrow frame needs little."""
        frames = self.found.frames
        shape = 1.0 if frames is None else frames.sizes["y"] / frames.sizes["x"]
        return int(np.clip(700 * shape + 80, SHORT, TALL))

    def _unit(self, name: str) -> str:
        return str(self.explored.result[name].attrs.get("units", "1")) if name in self.explored.result else "pixel"

    def _make_widgets(self) -> None:
        import panel as pn

        result, chosen = self.explored.result, self.settings
        wide = {"sizing_mode": "stretch_width"}
        self.source = pn.widgets.Select(label="source", options=labels_of(result, "source"), value=chosen.source, **wide)
        self.aperture = pn.widgets.Select(
            label="aperture", options=labels_of(result, "aperture"), value=chosen.aperture, **wide
        )
        self.sky = pn.widgets.Select(label="sky", options=labels_of(result, "sky"), value=chosen.sky, **wide)
        self.references = pn.widgets.MultiChoice(
            label="reference stars",
            options=possible_references(result, chosen.source),
            value=list(chosen.references),
            **wide,
        )
        self.clip = pn.widgets.FloatInput(
            label="leave out beyond (σ; 0: none)", value=chosen.clip, start=0.0, end=100.0, step=1.0, **wide
        )
        self.bin = pn.widgets.IntInput(
            label="frames in a bin (0: none)", value=chosen.bin, start=0, end=max(result.sizes["time"] // 2, 1), **wide
        )
        self.number = pn.widgets.IntInput(label="frame", value=chosen.frame, start=0, end=result.sizes["time"] - 1, **wide)
        self.before = pn.widgets.Button(label="◀ frame before", **wide)
        self.after = pn.widgets.Button(label="frame after ▶", **wide)
        stem = Path(self.title).stem
        self.downloads = [
            pn.widgets.FileDownload(callback=self._as_ecsv, filename=f"{stem}.ecsv", label="light curve, ECSV", **wide),
            pn.widgets.FileDownload(callback=self._as_csv, filename=f"{stem}.csv", label="light curve, CSV", **wide),
            pn.widgets.FileDownload(callback=self._as_yaml, filename=f"{stem}-explore.yaml", label="settings, YAML", **wide),
        ]
        self.words = pn.pane.HTML("", styles={"font-size": "13px"}, name="words", **wide)
        self.trouble = pn.pane.Alert("", alert_type="danger", visible=False, **wide)

    def _listen(self) -> None:
        from bokeh.events import RangesUpdate, Tap

        for name in ("source", "aperture", "sky", "references", "clip", "bin", "number"):
            getattr(self, name).param.watch(self._chosen, "value")
        self.before.on_click(lambda _: self._step(-1))
        self.after.on_click(lambda _: self._step(1))
        for panel in (self.curve, *self.series.values()):
            panel.figure.on_event(Tap, lambda event, panel=panel: self._tapped(panel, event))
            panel.figure.on_event(RangesUpdate, lambda _, panel=panel: self._draw_points(panel))
        self.scores.figure.on_event(Tap, self._cell_tapped)

    def layout(self) -> Any:
        """Give the page to serve."""
        import panel as pn

        side = pn.Column(
            pn.pane.HTML(f"<b>{_escaped(self.title)}</b>", margin=(5, 10)),
            self.source, self.aperture, self.sky, self.references, self.clip, self.bin, self.number,
            pn.Row(self.before, self.after, sizing_mode="stretch_width"), *self.downloads,
            width=250, min_width=220,
        )  # fmt: skip
        pictures = [_wide(self.stamp), _wide(self.frame)]
        if self.found.frames is None:
            pictures = [pn.pane.Alert(f"No frames are shown: {self.found.said}.", alert_type="warning", name="no-frames")]
        main = pn.Column(
            self.trouble,
            _wide(self.curve),
            self.words,
            *pictures,
            *(_wide(panel) for panel in self.series.values()),
            _wide(self.noise),
            _wide(self.scores),
            sizing_mode="stretch_width",
            min_width=500,
        )
        self._document = pn.state.curdoc
        if self._document is not None:  # a visitor who leaves takes the thread along
            self._document.on_session_destroyed(lambda _: self._worker.shutdown(wait=False))
        self.draw_all()
        return pn.Row(side, main, sizing_mode="stretch_width")

    def _chosen(self, event: Any) -> None:
        """A widget has changed."""
        if not self._following:
            return
        before = self.settings
        changes: dict[str, Any] = {
            "source": self.source.value,
            "aperture": self.aperture.value,
            "sky": self.sky.value,
            "references": tuple(name for name in self.references.value if name != self.source.value),
            "clip": float(self.clip.value or 0.0),
            "bin": int(self.bin.value or 0),
            "frame": int(self.number.value or 0),
        }
        try:
            self.settings = checked(replace(before, **changes), self.explored.result)
            self._show_trouble("")
            if self.settings.source != before.source:
                self._set_quietly(self.references, possible_references(self.explored.result, self.settings.source))
            self._draw(before)
        except TsogridError as error:
            self._show_trouble(str(error))

    def _set_quietly(self, widget: Any, options: list[str]) -> None:
        self._following = False
        widget.param.update(options=options, value=list(self.settings.references))
        self._following = True

    def _show_trouble(self, words: str) -> None:
        self.trouble.object, self.trouble.visible = words, bool(words)

    def _step(self, by: int) -> None:
        self.number.value = int(np.clip(self.settings.frame + by, 0, self.time.size - 1))

    def _tapped(self, panel: Any, event: Any) -> None:
        """Show the frame of the point that is nearest to a click on the screen."""
        drawn = panel.columns["points"].data
        if len(drawn["time"]) == 0:
            return
        across = (np.asarray(drawn["time"]) - event.x) * _scale(panel.figure.x_range, panel.figure, "inner_width")
        up = (np.asarray(drawn["value"]) - event.y) * _scale(panel.figure.y_range, panel.figure, "inner_height")
        distance = np.hypot(across / REACH[0], up / REACH[1])
        self.number.value = int(drawn["number"][int(np.argmin(distance))])

    def _cell_tapped(self, event: Any) -> None:
        for widget, axis, at in ((self.aperture, "aperture", event.x), (self.sky, "sky", event.y)):
            labels = labels_of(self.explored.result, axis)
            place = int(np.floor(at)) if isinstance(at, int | float) else labels.index(at)
            if 0 <= place < len(labels):
                widget.value = labels[place]

    def draw_all(self) -> None:
        """Draw everything."""
        self._draw(None)

    def _draw(self, before: Settings | None) -> None:
        """Draw what has changed since other settings were drawn; all if there were none."""
        now = self.settings
        same = before is not None and replace(now, frame=0) == replace(before, frame=0)
        if not same:
            self._draw_points(self.curve)
            self._draw_bins()
            self._draw_noise()
            for panel in self.series.values():
                self._draw_points(panel)
            self._draw_scores(before)
        self._draw_here()

    def _values(self, panel: Any) -> np.ndarray:
        if panel is self.curve:
            return np.asarray(self.explored.curve(self.settings)["flux"].to_numpy())
        values = self.explored.series(self.settings, panel.figure.name)
        return np.full(self.time.size, np.nan) if values is None else values

    def _draw_points(self, panel: Any) -> None:
        values = self._values(panel)
        number = shown(self.time, values, float(self.x_range.start), float(self.x_range.end))
        before = panel.columns["points"].data.get("number")
        if before is not None and np.array_equal(before, number) and np.array_equal(
            panel.columns["points"].data["value"], values[number]
        ):  # fmt: skip
            return
        panel.columns["points"].data = {"time": self.time[number], "value": values[number], "number": number}
        panel.columns["band"].data = dict(zip(("time", "low", "high"), band(self.time, values, number), strict=True))

    def _draw_bins(self) -> None:
        binned = self.explored.binned(self.settings)
        empty: np.ndarray = np.zeros(0)
        time, value, error = empty, empty, empty
        if binned is not None:
            shift = self.explored.time[0] - self.time[0]
            time, value, error = (np.asarray(binned[name], float) for name in ("time", "flux", "flux_err"))
            time = time - shift
        self.curve.columns["bins"].data = {"time": time, "value": value, "low": value - error, "high": value + error}

    def _draw_noise(self) -> None:
        try:
            averaged = self.explored.noise(self.settings)
        except TsogridError:  # too few points
            return
        size = np.asarray(averaged["frames"], float)
        for name, column in (("measured", "rms"), ("white", "white"), ("expected", "photon")):
            value = PPM * np.asarray(averaged[column], float)
            good = np.isfinite(value) & (value > 0)
            self.noise.columns[name].data = {"size": size[good], "value": value[good]}

    def _draw_scores(self, before: Settings | None) -> None:
        now = self.settings
        self.scores.columns["here"].data = {"aperture": [now.aperture], "sky": [now.sky]}
        if before is None or (now.source, now.references) != (before.source, before.references):
            # Every aperture over every sky takes a while for long series: the page does not wait.
            future = self._worker.submit(self.explored.scores, now)
            future.add_done_callback(lambda done: self._later(lambda: self._fill_scores(now, done)))

    def _later(self, call: Any) -> None:
        if self._document is None:
            call()
        else:
            self._document.add_next_tick_callback(call)

    def _fill_scores(self, asked: Settings, done: "Future[Any]") -> None:
        if (asked.source, asked.references) != (self.settings.source, self.settings.references):
            return
        if done.exception() is not None:  # a single frame has no scatter
            self.scores.figure.visible = False
            return
        scatter = PPM * done.result()["clipped"].transpose("aperture", "sky")
        values = scatter.to_numpy()
        apertures, skies = labels_of(self.explored.result, "aperture"), labels_of(self.explored.result, "sky")
        self.scores.columns["cells"].data = {
            "aperture": np.repeat(apertures, len(skies)).tolist(),
            "sky": skies * len(apertures),
            "value": values.ravel(),
        }
        if np.isfinite(values).any():
            low = float(np.nanmin(values))
            high = float(np.nanpercentile(values, 90))
            self.scores.parts["mapper"].update(low=low, high=high if high > low else low + 1.0)

    def _draw_here(self) -> None:
        frame = self.settings.frame
        for panel in (self.curve, *self.series.values()):
            value = self._values(panel)[frame]
            panel.parts["line"].location = float(self.time[frame])
            panel.columns["here"].data = {"time": [self.time[frame]], "value": [value]}
        self.words.object = _escaped(self.explored.words(self.settings))
        if self.number.value != frame:
            self.number.value = frame
        if self.found.frames is not None:
            self._draw_pictures()

    def _draw_pictures(self) -> None:
        frames, settings = self.found.frames, self.settings
        assert frames is not None
        number = frame_number(frames, self.explored.result, settings.frame)
        if number is None:
            self._show_trouble(f"frame {settings.frame} is not among the files that were found ({self.found.said}).")
            return
        x, y = self.explored.place(settings)
        own = [each for each in self.outlines if self._is_own(each)]
        half = max(LEAST_HALF, 1.15 * max((each.reach for each in own), default=0.0))
        try:
            _fill(self.stamp, stamp(frames, number, x, y, half))
            _fill(self.frame, whole_frame(frames, number))
        except (TsogridError, OSError) as error:
            self._show_trouble(str(error))
            return
        for shape, kind in (("round", True), ("square", False)):
            wanted = [each for each in own if each.round is kind and np.isfinite(x + y)]
            self.stamp.columns[shape].data = {
                "x": [x + each.dx for each in wanted],
                "y": [y + each.dy for each in wanted],
                "width": [each.width for each in wanted],
                "height": [each.height for each in wanted],
                "color": [STYLE[each.kind]["edgecolor"] for each in wanted],
                "dash": ["solid" if each.kind == APERTURE else "dashed" for each in wanted],
            }
        known = int(np.isfinite(x + y))
        self.frame.columns["places"].data = {"x": [x] * known, "y": [y] * known, "color": [figures.MODEL] * known}

    def _is_own(self, outline: Outline) -> bool:
        """Whether an outline belongs to the chosen aperture or sky."""
        if outline.kind == APERTURE:
            return outline.label == self.settings.aperture
        return outline.kind == SKY and outline.label in self.settings.sky.split("+")

    def _table(self, form: str) -> io.BytesIO:
        curve = self.explored.curve(self.settings)
        curve = curve.assign_attrs(curve.attrs | {"explorer": self.settings.to_yaml()})
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "curve"
            FORMATS[form](to_table(curve), path)
            return io.BytesIO(path.read_bytes())

    def _as_ecsv(self) -> io.BytesIO:
        return self._table("ecsv")

    def _as_csv(self) -> io.BytesIO:
        return self._table("csv")

    def _as_yaml(self) -> io.BytesIO:
        return io.BytesIO(self.settings.to_yaml().encode())


def _scale(axis: Any, figure: Any, side: str) -> float:
    """Screen pixels in a unit of an axis; 0 as long as no browser has told them: then the axis does not count."""
    known = figure.properties_with_values(include_defaults=False)
    start, end = axis.start, axis.end
    if start is None or end is None or not np.isfinite(end - start) or end == start:
        return 0.0
    return float(known.get(side) or UNTOLD[side]) / abs(end - start)


def _fill(panel: Any, image: Picture) -> None:
    """Show a picture."""
    low, high = image.range
    panel.parts["mapper"].update(low=low, high=high)
    panel.columns["image"].data = {
        "image": [image.image], "x": [image.x], "y": [image.y], "width": [image.width], "height": [image.height],
    }  # fmt: skip


def _wide(panel: Any) -> Any:
    """A figure as wide as the page."""
    import panel as pn

    return pn.pane.Bokeh(panel.figure, sizing_mode="stretch_width")


def _escaped(text: str) -> str:
    import html

    return html.escape(text)
