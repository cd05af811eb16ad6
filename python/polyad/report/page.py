"""One HTML page that needs no other file; readable in light, in dark and on a phone."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from polyad._files import written_whole
from polyad._version import __version__
from polyad.run import PICTURE_DPI, Run

_SCREEN_DPI = 96
_WIDE = 850
_STYLE = """
:root { color-scheme: light dark; --paper: #fbfbfa; --card: #fff; --ink: #1f2933; --soft: #52606d;
  --rule: #dde2e7; --accent: #0067a3; }
@media (prefers-color-scheme: dark) { :root { --paper: #14181d; --card: #1c2229; --ink: #e6eaee;
  --soft: #a3afba; --rule: #343d47; --accent: #6cbcee; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 17px/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 56rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .6rem; letter-spacing: -.01em; }
h2 { font-size: 1.25rem; line-height: 1.3; margin: 3rem 0 .5rem; }
p { margin: .6rem 0; max-width: 44rem; }
.lead { font-size: 1.08rem; color: var(--soft); }
.note { border-left: 3px solid var(--accent); padding: .1rem 0 .1rem 1rem; color: var(--soft); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(10.5rem, 1fr)); gap: .8rem;
  margin: 1.6rem 0; padding: 0; list-style: none; }
.tiles li { background: var(--card); border: 1px solid var(--rule); border-radius: .6rem;
  padding: .8rem 1rem; }
.tiles b { display: block; font-size: 1.55rem; line-height: 1.25;
  font-variant-numeric: tabular-nums; }
.tiles span { color: var(--soft); font-size: .87rem; line-height: 1.35; display: block; }
figure { margin: 1.2rem 0; }
figure img { display: block; max-width: 100%; height: auto; margin: 0 auto; }
.frame { background: #fff; border: 1px solid var(--rule); border-radius: .6rem; padding: .8rem;
  overflow-x: auto; }
.wide img { min-width: 38rem; }
figcaption { color: var(--soft); font-size: .9rem; line-height: 1.5; margin-top: .55rem;
  max-width: 44rem; }
.scroll { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .93rem; }
th, td { padding: .32rem .9rem .32rem 0; border-bottom: 1px solid var(--rule); text-align: right;
  vertical-align: top; }
th { color: var(--soft); font-weight: 600; }
th:first-child, td:first-child, .words { text-align: left; }
code { font: .9em ui-monospace, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
pre { background: var(--card); border: 1px solid var(--rule); border-radius: .6rem;
  padding: .7rem 1rem; overflow-x: auto; }
details { margin: 1rem 0; }
summary { cursor: pointer; color: var(--soft); }
footer { margin-top: 3.5rem; padding-top: .8rem; border-top: 1px solid var(--rule);
  color: var(--soft); font-size: .85rem; }
"""


class Picture(NamedTuple):
    """A picture of a run, and what the page says about it.

    Attributes:
        name: Of the file.
        title: Of its section.
        alternative: What it shows, for those who cannot see it.
        caption: How to read it.
    """

    name: str
    title: str
    alternative: str
    caption: str


def flat(settings: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Return names and values of nested settings, names joined with dots."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", str(value)


class Page:
    """A page that is put together from top to bottom; all text is escaped.

    >>> page = Page("A title", "What it is about.")
    >>> page.text("a < b")
    >>> "a &lt; b" in page.html()
    True
    """

    def __init__(self, title: str, lead: str) -> None:
        self.title = title
        self._styles = [_STYLE]
        self._scripts: list[str] = []
        self._parts = [f"<h1>{escape(title)}</h1>", f'<p class="lead">{escape(lead)}</p>']

    def heading(self, text: str) -> None:
        """Begin a section."""
        self._parts.append(f"<h2>{escape(text)}</h2>")

    def text(self, text: str) -> None:
        """Add a paragraph."""
        self._parts.append(f"<p>{escape(text)}</p>")

    def note(self, text: str) -> None:
        """Add a paragraph that must not be overlooked."""
        self._parts.append(f'<p class="note">{escape(text)}</p>')

    def command(self, text: str) -> None:
        """Add lines to type at a shell."""
        self._parts.append(f"<pre><code>{escape(text)}</code></pre>")

    def tiles(self, figures: Sequence[tuple[str, str]]) -> None:
        """Add the figures that matter most.

        Args:
            figures: (value, what it is).
        """
        items = "".join(f"<li><b>{escape(v)}</b><span>{escape(t)}</span></li>" for v, t in figures)
        self._parts.append(f'<ul class="tiles">{items}</ul>')

    def picture(self, path: Path, alternative: str, caption: str) -> None:
        """Add a PNG.

        Args:
            path: The file; the page holds a copy of it.
            alternative: What the picture shows, for those who cannot see it.
            caption: How to read it.
        """
        content = path.read_bytes()
        data = base64.b64encode(content).decode()
        width = int.from_bytes(content[16:20], "big") * _SCREEN_DPI // PICTURE_DPI
        kind = "frame wide" if width > _WIDE else "frame"  # on a phone a wide picture scrolls
        self._parts.append(
            f'<figure><div class="{kind}"><img src="data:image/png;base64,{data}" width="{width}" '
            f'alt="{escape(alternative)}"></div><figcaption>{escape(caption)}</figcaption></figure>'
        )

    def section(self, run: Run, picture: Picture) -> None:
        """Begin a section with a picture of a run; nothing where there is no such file."""
        path = run.picture(picture.name)
        if path.is_file():
            self.heading(picture.title)
            self.picture(path, picture.alternative, picture.caption)

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]], *, texts: int = 1) -> None:
        """Add a table; the first ``texts`` columns are text, the others are numbers."""

        def line(cells: Sequence[str], tag: str) -> str:
            kinds = [' class="words"' if 0 < i < texts else "" for i in range(len(cells))]
            return "".join(
                f"<{tag}{kind}>{escape(cell)}</{tag}>"
                for kind, cell in zip(kinds, cells, strict=True)
            )

        top = line(head, "th")
        body = "".join(f"<tr>{line(row, 'td')}</tr>" for row in rows)
        self._parts.append(
            f'<div class="scroll"><table><thead><tr>{top}</tr></thead>'
            f"<tbody>{body}</tbody></table></div>"
        )

    def folded(self, summary: str, rows: Sequence[tuple[str, str]]) -> None:
        """Add a table of names and values that opens on a click."""
        body = "".join(
            f"<tr><td>{escape(name)}</td><td><code>{escape(value)}</code></td></tr>"
            for name, value in rows
        )
        self._parts.append(
            f"<details><summary>{escape(summary)}</summary>"
            f'<div class="scroll"><table><tbody>{body}</tbody></table></div></details>'
        )

    def interactive(self, body: str, style: str, script: str) -> None:
        """Add a part that moves.

        Args:
            body: HTML, as it is: nothing is escaped here.
            style: CSS.
            script: JavaScript that runs when the page is there; it may not contain "</".
        """
        if "</" in script:
            raise ValueError("script: '</' would end it")
        self._parts.append(body)
        self._styles.append(style)
        self._scripts.append(script)

    def html(self) -> str:
        """Return the page."""
        body = "\n".join(self._parts)
        styles = "\n".join(self._styles)
        scripts = "".join(f"<script>\n{script}\n</script>\n" for script in self._scripts)
        return (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            '<link rel="icon" href="data:,">\n'
            f"<title>{escape(self.title)}</title>\n<style>{styles}</style>\n</head>\n<body>\n<main>\n"
            f"{body}\n<footer>Made by polyad {escape(__version__)}.</footer>\n"
            f"</main>\n{scripts}</body>\n</html>\n"
        )

    def save(self, path: Path) -> None:
        """Write the page to ``path``."""
        with written_whole(path) as temporary:
            temporary.write_text(self.html(), encoding="utf-8")
