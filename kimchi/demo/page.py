"""The visitor's page as a Gradio application: our own markup in one gr.HTML, and one named endpoint that draws."""

import hashlib
from collections.abc import AsyncGenerator
from importlib import resources
from typing import Any

import gradio as gr

from .desk import Desk
from .drawing import Asked, draw
from .pages import visit_markup

STATIC = resources.files("kimchi.demo") / "static"
_CACHE_S = 300
"""Gradio looks for files older than this, and deletes them; a booth writes none."""


def make_blocks(desk: Desk, base: str) -> gr.Blocks:
    """The application to mount.

    Args:
        base: the path under which it will lie, "" for the root.
    """
    version = _version()

    async def generate(
        prompt: str, style: str = "", seed: str = "", visitor: str = "", language: str = "", request: gr.Request | None = None
    ) -> AsyncGenerator[dict[str, Any]]:
        """Draw a prompt: previews as they form, then the pictures.

        Args:
            prompt: Korean or English, at most 300 characters.
            style: one of the culture's styles, or empty.
            seed: 0 to 2**32 - 1, or empty for one by lot.
            visitor: whose picture it is, one at a time; empty: the session's.
            language: of messages, ko or en.
        """
        whose = visitor[:64] or str(getattr(request, "session_hash", ""))
        wanted = int(seed) if seed.strip().isdecimal() else None
        if seed.strip() and wanted is None:
            wanted = -1  # out of range on purpose: the engine's refusal reaches the visitor
        async for event in draw(desk, Asked(prompt=prompt, style=style, seed=wanted, visitor=whose, language=language)):
            yield event

    with gr.Blocks(analytics_enabled=False, title="KIMCHI", fill_width=True, delete_cache=(_CACHE_S, _CACHE_S)) as blocks:
        gr.HTML(
            html_template=visit_markup(desk, base),
            js_on_load=f"import('{base}/booth/static/booth.js?v={version}').then((booth) => booth.start(element))",
            apply_default_css=False,
            padding=False,
            container=False,
        )
        gr.api(generate, api_name="generate", concurrency_limit=None)
    return blocks


def head(base: str, hall: str) -> str:
    """What stands in the page's head: the style before anything is drawn, so that nothing flashes."""
    version = _version()
    ground = "#12110e" if hall == "dark" else "#faf7f0"
    return (
        f"<style>html,body{{background:{ground}!important}}</style>"
        f'<link rel="stylesheet" href="{base}/booth/static/booth.css?v={version}">'
        f'<link rel="preload" as="font" type="font/woff2" crossorigin href="{base}/booth/static/font/KimchiKR-Regular.woff2">'
        f'<link rel="modulepreload" href="{base}/booth/static/booth.js?v={version}">'
        '<meta name="robots" content="noindex"><meta name="referrer" content="same-origin">'
    )


def theme() -> gr.themes.Base:
    """Fonts by name only: ours comes with our style, and nothing is fetched."""
    return gr.themes.Base(font=["KimchiKR", "sans-serif"], font_mono=["monospace"])


def _version() -> str:
    content = b"".join((STATIC / name).read_bytes() for name in ("booth.css", "booth.js", "calls.js", "stage.js", "words.js"))
    return hashlib.sha256(content).hexdigest()[:10]
