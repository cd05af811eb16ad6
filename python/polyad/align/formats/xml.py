"""XML for the formats that are made of it: elements as they come, text that XML can hold."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import cast
from xml.etree.ElementTree import Element, ParseError, XMLPullParser
from xml.sax.saxutils import escape

from polyad.align.formats.base import wrong
from polyad.align.streams import Source, chunks, name_of

NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def text_of(text: str) -> str:
    """Return escaped text; characters that XML 1.0 cannot hold become U+FFFD, CR a reference."""
    return escape(NOT_XML.sub("\ufffd", text), {"\r": "&#13;"})


def attribute(text: str) -> str:
    """Return a quoted value of an attribute, which keeps white space and quotes."""
    quoted = {'"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}
    return f'"{escape(NOT_XML.sub(chr(0xFFFD), text), quoted)}"'


def elements(
    source: Source, wanted: tuple[str, ...], root: str, *, whole: str, max_element: int
) -> Iterator[tuple[str, Element]]:
    """Yield ('start' or 'end', element) for the wanted tags, in memory for one whole element.

    Args:
        source: What to read; the encoding is the one it declares.
        wanted: Tags, without name spaces.
        root: The tag that the document must have.
        whole: The tag whose elements still have their children at their end; they are dropped when
            the next event is asked for.
        max_element: Bytes without the end of a wanted element: more is refused.

    Raises:
        OSError: It cannot be read.
        ValueError: Not XML, or another root.
    """
    name = name_of(source)
    parser: XMLPullParser[Element] = XMLPullParser(("start", "end"))
    path: list[Element] = []
    empty, waiting = True, 0

    def events() -> Iterator[tuple[str, Element]]:
        try:
            for event, element in cast(Iterator[tuple[str, Element]], parser.read_events()):
                tag = _tag(element)
                if event == "start":
                    if not path and tag != root:
                        raise wrong(name, 1, f"expected <{root}>, got <{tag[:40]}>")
                    path.append(element)
                else:
                    path.pop()
                if tag in wanted:
                    yield event, element
                if event == "end" and path and not any(_tag(above) == whole for above in path):
                    path[-1].remove(element)  # what is done with takes no memory
        except ParseError as error:
            line, column = error.position
            reason = str(error).partition(":")[0]
            raise ValueError(f"{name}:{line}:{column + 1}: not XML: {reason}") from error

    for chunk in chunks(source):
        empty = False
        _feed(parser, chunk, name)
        waiting += len(chunk)
        for event, element in events():
            if event == "end":
                waiting = 0
            yield event, element
        if waiting > max_element:
            raise ValueError(
                f"{name}: an element of more than {max_element:,} bytes (--max-line-bytes)"
            )
    if empty:
        raise ValueError(f"{name}: is empty; expected <{root}>")
    try:
        parser.close()
    except ParseError as error:
        line, column = error.position
        reason = str(error).partition(":")[0]
        raise ValueError(f"{name}:{line}:{column + 1}: not XML: {reason}") from error
    yield from events()


def _tag(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def _feed(parser: XMLPullParser[Element], chunk: bytes, name: str) -> None:
    try:
        parser.feed(chunk)
    except (ParseError, LookupError, ValueError) as error:
        position = getattr(error, "position", (1, 0))
        reason = str(error).partition(":")[0]
        raise ValueError(f"{name}:{position[0]}:{position[1] + 1}: not XML: {reason}") from error
