"""`kimchi demo`: the booth, and the check before its doors open."""

import os
import sys
import webbrowser
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from kimchi.errors import RequestError

from .show import check_folder, finish, say

if TYPE_CHECKING:
    from kimchi.demo.settings import Settings
    from kimchi.generation.engine import Engine
    from kimchi.generation.safety import Guard


def demo(
    model: Annotated[str, typer.Option(help="What `kimchi generate --model` takes.")] = "mini",
    check: Annotated[bool, typer.Option("--check", help="Try everything a day needs, print a line each, and stop.")] = False,
    kiosk: Annotated[bool, typer.Option("--kiosk", help="The booth's own screen: larger, no downloads onto it, back to the start when left.")] = False,
    lang: Annotated[str, typer.Option(help="Language the page opens in: ko or en.")] = "ko",
    hall: Annotated[str, typer.Option(help="Light around the screen: bright or dark. The staff may change it.")] = "bright",
    lan: Annotated[bool, typer.Option("--lan", help="Phones of the network may come: a QR code takes pictures home.")] = False,
    lan_url: Annotated[str, typer.Option(metavar="URL", help="How phones reach it, if not at this machine's own address.")] = "",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where to listen; 0 for any free one.")] = 7860,
    compare: Annotated[bool, typer.Option("--compare/--no-compare", help="Also draw what the base makes of the words.")] = True,
    few_step: Annotated[str, typer.Option(metavar="FOLDER", help="A few-step LoRA: seconds where 25 steps take minutes.")] = "",
    base: Annotated[str, typer.Option(help="To compare with: the untaught base, if no card names it.")] = "",
    translator: Annotated[str, typer.Option(help="To compare with: a chat model that translates.")] = "",
    preview_vae: Annotated[str, typer.Option(metavar="FOLDER", help="A tiny VAE for sharper previews.")] = "",
    checker: Annotated[str, typer.Option(metavar="FOLDER", help="A safety checker, where the model has none.")] = "",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32 or bf16.")] = "auto",
    queue: Annotated[int, typer.Option(min=1, max=1000, help="Visitors who may wait.")] = 16,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds from button to picture.")] = 120.0,
    idle: Annotated[int, typer.Option(help="Seconds without a touch before the page starts anew; 0 never.")] = 90,
    culture: Annotated[str, typer.Option(help="Whose suggestions: ko, ja, or a YAML file of your own.")] = "ko",
    keep_prompts: Annotated[bool, typer.Option("--keep-prompts", help="Write down what visitors type; the page tells them.")] = False,
    out: Annotated[Path, typer.Option(help="Folder for ratings, counts and added words. Not a study's.")] = Path("runs/booth"),
    open_: Annotated[bool, typer.Option("--open", help="Also open a browser here.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --check: end stdout with one line of JSON.")] = False,
) -> None:
    """The booth: KIMCHI in front of people, offline.

    The staff page asks for a PIN: KIMCHI_BOOTH_PIN, or one by lot that is
    printed here. eval/booth.md is the operator's page.

    \b
    kimchi demo
    kimchi demo --check --model runs/food
    kimchi demo --model runs/food --kiosk --lang ko --few-step loras/lcm
    """
    _need_gradio()
    _check_words(lang=(lang, ("ko", "en")), hall=(hall, ("bright", "dark")))
    check_folder(out)
    from kimchi.demo.offline import go_offline
    from kimchi.demo.settings import Settings
    from kimchi.demo.staff import new_pin

    chosen = os.environ.get("KIMCHI_BOOTH_PIN", "")
    pin = chosen or new_pin()
    settings = Settings(
        folder=out, language=lang, culture=culture, hall=cast(Literal["bright", "dark"], hall), kiosk=kiosk, compare=compare, keep_prompts=keep_prompts,
        idle_s=idle, pin=pin, lan_url=(lan_url.rstrip("/") or _own_url(port)) if lan else "",
    )  # fmt: skip
    if lan and not port and not lan_url:
        raise RequestError("port 0: with --lan phones must know the port beforehand. Choose one: --port 7860.")
    # Before torch, diffusers and Gradio: they read it once.
    go_offline()

    # The check watches over this process's way to the network, and has to draw in it.
    apart = not check

    def make() -> "tuple[Engine, Guard]":
        from kimchi.generation.engine import BASE, KIMCHI, TRANSLATED, Engine
        from kimchi.generation.safety import Guard, checker_folder

        guard = Guard.load(model=model, own=out, checker=checker or None, device="cpu", looks=not apart)
        looks = checker_folder(model, checker or None) if apart else None
        wanted = _possible(model, base, translator) if compare else ()
        engine = Engine.load(
            model, device=device, precision=precision, base=base, translator=translator, few_step=few_step, preview_vae=preview_vae, queue=queue,
            timeout_s=timeout, guard=guard, arms=(KIMCHI, *(arm for arm in (BASE, TRANSLATED) if arm in wanted)), on_notice=_quiet, apart=apart,
            checker=str(looks or ""),
        )  # fmt: skip
        return engine, guard

    if check:
        return _check(make, settings, model, as_json)
    engine, guard = make()
    # Before the web framework is imported: the model is loaded meanwhile, by a process of its own.
    engine.start()
    from kimchi.demo.app import serve

    for missing in guard.missing:
        say(missing)
    if not chosen:
        say(f"Staff PIN, this time only: {pin}  (KIMCHI_BOOTH_PIN sets your own)")
    if kiosk:
        say(f"Screen: chromium --kiosk --incognito --lang={lang} http://127.0.0.1:{port}/")
    if open_ and port:
        webbrowser.open(f"http://127.0.0.1:{port}/")
    serve(engine, settings, host="0.0.0.0" if lan else "127.0.0.1", port=port, say=say, guard=guard)
    say("Closed. Pictures that were promised were shown.")


def _own_url(port: int) -> str:
    from kimchi.demo.app import own_address

    return f"http://{own_address()}:{port}"


def _need_gradio() -> None:
    absent = [name for name in ("gradio", "segno") if find_spec(name) is None]
    if absent:
        raise RequestError(f"{', '.join(absent)}: not installed, and the booth needs the extra `demo`. Run: pip install 'kimchi-diffusion[demo]'")


def _check_words(**given: tuple[str, tuple[str, ...]]) -> None:
    for name, (value, known) in given.items():
        if value not in known:
            raise typer.BadParameter(f"{value!r} is none of {', '.join(known)}", param_hint=f"--{name}")


def _possible(model: str, base: str, translator: str) -> tuple[str, ...]:
    """The arms beside KIMCHI that are surely there, known without loading anything: those must be warm before the doors open."""
    if model == "mini" or (base and translator):
        return ("base", "translated")
    return ("base",) if base or (Path(model).expanduser() / "card.json").is_file() else ()


def _quiet(notice: str) -> None:
    """What the encoder did not hear is told on the page; here it would be a piece of a visitor's prompt."""


def _check(make: "object", settings: "Settings", model: str, as_json: bool) -> None:
    from kimchi.demo.check import Found, check

    found: list[Found] = []
    for one in check(make, settings):  # pyright: ignore[reportArgumentType]
        print(one.line(), flush=True)
        found.append(one)
    failed = [one.name for one in found if one.state == "fail"]
    following = f"mend {', '.join(failed)}, then the same command again" if failed else f"kimchi demo --model {model} --kiosk"
    finish({"ok": not failed, "checks": [asdict(one) for one in found]}, [], following, as_json=as_json)
    if failed:
        sys.exit(1)
