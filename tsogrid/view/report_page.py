"""The report's HTML: one page that loads nothing, from parts that are escaped here and nowhere else.

Plain strings and `string.Template` are enough: a page is a title, sections, tables, figures and preformatted text. The
policy in its head forbids the browser to load anything; pictures are data URIs.
"""

import base64
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from string import Template
from typing import Any


@dataclass(frozen=True)
class Markup:
    """Text that is HTML already."""

    text: str


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Parameters
    ----------
    name : str
        Its anchor.
    title : str
        Its heading.
    parts : tuple of Markup
        What stands in it.
    """

    name: str
    title: str
    parts: tuple[Markup, ...]


def page(title: str, lead: str, sections: Sequence[Section]) -> str:
    """Make the page.

    Parameters
    ----------
    title, lead : str
        Plain text: the heading, and a line below it.
    sections : sequence of Section
        In their order; a list of links stands before them.

    Returns
    -------
    str
        A whole HTML document.
    """
    links = " · ".join(f'<a href="#{escape(each.name)}">{escape(each.title)}</a>' for each in sections)
    body = "\n".join(
        f'<section id="{escape(each.name)}">\n<h2>{escape(each.title)}</h2>\n'
        + "\n".join(part.text for part in each.parts)
        + "\n</section>"
        for each in sections
    )
    return _PAGE.substitute(title=escape(title), lead=escape(lead), links=links, body=body)


def paragraph(text: str, kind: str = "") -> Markup:
    """Make a paragraph of plain text; ``kind`` is ``"note"`` for what is missing."""
    return Markup(f'<p class="{escape(kind)}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>")


def heading(text: str) -> Markup:
    """Make a heading inside a section."""
    return Markup(f"<h3>{escape(text)}</h3>")


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> Markup:
    """Make a table; numbers stand at the right, NaN is a dash.

    Parameters
    ----------
    head : sequence of str
        Headings, with their units.
    rows : iterable of sequences
        Texts and numbers.

    Returns
    -------
    Markup
    """
    first = "".join(f'<th scope="col">{escape(word)}</th>' for word in head)
    lines = ["<tr>" + "".join(_cell(value) for value in row) + "</tr>" for row in rows]
    return Markup(
        f'<div class="wide"><table>\n<thead><tr>{first}</tr></thead>\n<tbody>\n'
        + "\n".join(lines)
        + "\n</tbody>\n</table></div>"
    )


def facts(pairs: Iterable[tuple[str, Any]]) -> Markup:
    """Make a table of two columns: names, and what they are; what is empty is left out."""
    rows = [
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(_word(value))}</td></tr>'
        for name, value in pairs
        if value not in (None, "")
    ]
    return Markup('<div class="wide"><table class="facts"><tbody>\n' + "\n".join(rows) + "\n</tbody></table></div>")


def folded(summary: str, content: Markup, is_open: bool = False) -> Markup:
    """Put something long behind a line that opens it, without any script."""
    state = " open" if is_open else ""
    return Markup(f"<details{state}><summary>{escape(summary)}</summary>\n{content.text}\n</details>")


def code(text: str) -> Markup:
    """Show text as it is."""
    return Markup(f"<pre>{escape(text)}</pre>")


def figure(png: bytes, caption: str, wide: bool = False) -> Markup:
    """Put a picture into the page.

    Parameters
    ----------
    png : bytes
        The picture.
    caption : str
        What it shows; also for who cannot see it.
    wide : bool
        Over the whole width.

    Returns
    -------
    Markup
    """
    data = base64.b64encode(png).decode("ascii")
    width, height = (int.from_bytes(png[start : start + 4], "big") for start in (16, 20))
    size = f'width="{width}" height="{height}"'
    return Markup(
        f'<figure class="{"whole" if wide else "half"}"><img {size} src="data:image/png;base64,{data}" '
        f'alt="{escape(caption)}"><figcaption>{escape(caption)}</figcaption></figure>'
    )


def grid(parts: Iterable[Markup]) -> Markup:
    """Set pictures side by side where there is room."""
    return Markup('<div class="grid">\n' + "\n".join(part.text for part in parts) + "\n</div>")


def _cell(value: Any) -> str:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return f'<td class="number">{escape(_word(value))}</td>' if number else f"<td>{escape(_word(value))}</td>"


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return "–" if math.isnan(value) else f"{value:.4g}"
    return str(value)


_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>$title</title>
<style>
body { margin: 0 auto; max-width: 82rem; padding: 1rem 1.5rem 4rem; color: #222; background: #fff;
       font: 16px/1.45 system-ui, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 1.6rem; margin: 0.5rem 0 0; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.2rem 0 0.6rem; padding-bottom: 0.2rem; border-bottom: 1px solid #ccc; }
h3 { font-size: 1.05rem; margin: 1.2rem 0 0.4rem; }
a { color: #00558a; }
nav { margin: 0.8rem 0; }
p { max-width: 60rem; overflow-wrap: anywhere; }
.note { padding: 0.4rem 0.8rem; background: #fdf3e1; border-left: 4px solid #d55e00; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.88rem; }
th, td { padding: 0.22rem 0.7rem 0.22rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid #e4e4e4; }
thead th { border-bottom: 1px solid #888; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.facts th { font-weight: 600; white-space: nowrap; }
.facts td { overflow-wrap: anywhere; }
pre { overflow-x: auto; padding: 0.8rem; background: #f5f5f5; font-size: 0.82rem; line-height: 1.35; }
.grid { display: grid; gap: 1rem 1.5rem; align-items: start;
        grid-template-columns: repeat(auto-fit, minmax(min(30rem, 100%), 1fr)); }
figure { margin: 0; min-width: 0; }
.whole { grid-column: 1 / -1; }
figure img { max-width: 100%; height: auto; display: block; }
figcaption { font-size: 0.88rem; color: #444; overflow-wrap: anywhere; }
summary { cursor: pointer; color: #00558a; }
@media print { nav { display: none; } figure, table { break-inside: avoid; } }
</style>
</head>
<body>
<header>
<h1>$title</h1>
<p>$lead</p>
<nav>$links</nav>
</header>
<main>
$body
</main>
</body>
</html>
""")
