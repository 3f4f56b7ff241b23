"""What pages load: libraries from installed packages, and no more than a page needs."""

import base64
import hashlib
import re
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from docutils import nodes
from fontTools import subset
from sphinx.application import Sphinx

MATHJAX = "tex-svg-full.js"
#: The theme's font of 1,400 icons, and those in use. With these in a font of their own, a browser
#: asks for the whole (156 KB) only where a page shows another.
THEME = "theme/pydata_sphinx_theme/static/vendor/fontawesome/webfonts/fa-solid-900.ttf"
ICONS = """f002 f00d f019 f03a f042 f057 f058 f05a f062 f065 f06a f071 f0c9 f0eb f104 f105 f106
           f107 f121 f15b f185 f186 f1c1"""
#: These 1.5 MB of the theme's draw the icons a second time.
SECOND_ICONS = "_static/scripts/fontawesome.js"
SOUND = re.compile(r'"data:audio/ogg;base64,([^"]+)"')
#: What Docutils and MyST-NB write -> the same for all who read with their ears.
HEARD = {
    ' aria-label="Toggle hidden content"': "",  # its text says what it does
    'role="doc-biblioentry"': 'role="listitem"',
}
#: A page of the book on one page: its anchor and its title.
CHAPTER = re.compile(
    r'<span id="(document-[^"]+)"></span>\s*<section[^>]*>\s*<h2>(.*?)<a class="headerlink"',
    re.DOTALL,
)
#: A page on disk may not read others, so search shows their titles only.
NO_EXCERPTS_FROM_DISK = (
    "if (location.protocol === 'file:') DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;"
)


def add(app: Sphinx) -> None:
    """Bring MathJax and icons from installed packages: a page asks nothing of the network."""
    folder = Path(app.srcdir) / "_build" / "assets"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy2(_package("sphinx-mathjax-offline") / "static" / "mathjax" / MATHJAX, folder)
    font = subset.load_font(_package("pydata_sphinx_theme") / THEME, subset.Options())
    chosen = subset.Subsetter()
    chosen.populate(unicodes=[int(code, 16) for code in ICONS.split()])
    chosen.subset(font)
    font.flavor = "woff"
    font.save(folder / "icons.woff")
    app.config.html_static_path.append(str(folder))
    app.config.mathjax_path = MATHJAX


def _package(name: str) -> Path:
    """The folder of an installed package."""
    spec = find_spec(name)
    assert spec and spec.origin
    return Path(spec.origin).parent


def lighten(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Load sounds when they are played, and no script that a page does not use; no network."""
    body = context.get("body", "")
    for found, better in HEARD.items():
        body = body.replace(found, better)
    if app.builder.name == "html":
        body = SOUND.sub(lambda sound: f'"{context["pathto"](_kept(app, sound[1]), 1)}"', body)
    context["body"] = _with_contents(body)
    if page == "search":
        app.add_js_file(None, body=NO_EXCERPTS_FROM_DISK)
    unused = ["thebe"]  # Jupyter Book brings it; it runs cells on a server
    if 'class="math' not in body:
        unused += [MATHJAX, "window.mathjax"]
    for script in list(context["script_files"]):
        if any(name in f"{script.filename}{script.attributes}".lower() for name in unused):
            context["script_files"].remove(script)


def _with_contents(body: str) -> str:
    """A list of contents before the first chapter, where the book is one page, as for print."""
    lines = (f'<li><a href="#{place}">{title}</a></li>' for place, title in CHAPTER.findall(body))
    listed = f'<nav class="chapters"><h2>Contents</h2><ol>{"".join(lines)}</ol></nav>'
    return CHAPTER.sub(lambda chapter: listed + chapter[0], body, count=1)


def _kept(app: Sphinx, sound: str) -> str:
    """A file of the output with a sound that came in Base64."""
    data = base64.b64decode(sound)
    path = Path(app.outdir) / "_sounds" / f"{hashlib.sha256(data).hexdigest()[:16]}.ogg"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return f"_sounds/{path.name}"


def drop_second_icons(app: Sphinx, exception: Exception | None) -> None:
    """Leave the file empty, since the theme's pages ask for it."""
    if exception is None and (icons := Path(app.outdir) / SECOND_ICONS).exists():
        icons.write_text("")
