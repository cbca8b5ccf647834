"""`kimchi serve`: the HTTP API, with the booth at /demo, and the keys of its callers."""

import logging
import os
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kimchi.errors import ServeError

from .show import check_folder, finish, say

if TYPE_CHECKING:
    from fastapi import FastAPI

    from kimchi.generation.engine import Engine
    from kimchi.generation.safety import Guard
    from kimchi.serving.settings import Settings

BOOTH = "/demo"
app = typer.Typer(invoke_without_command=True, rich_markup_mode=None)
keys_app = typer.Typer(no_args_is_help=True, help="API keys: add, list, revoke.", rich_markup_mode=None)
app.add_typer(keys_app, name="keys")

ModelOption = Annotated[str, typer.Option(envvar=["KIMCHI_MODEL", "BACKEND_MODEL_PATH"], show_envvar=False, help="What `kimchi generate --model` takes.")]
KeysOption = Annotated[Path | None, typer.Option("--keys", help="File of hashed keys; keys.json in $KIMCHI_HOME if absent.")]
JsonOption = Annotated[bool, typer.Option("--json", help="End stdout with one line of JSON: the outcome.")]


def _from(variable: str, help: str) -> Any:
    return typer.Option(envvar=variable, show_envvar=False, help=help)


@app.callback()
def serve(
    context: typer.Context,
    model: ModelOption = "mini",
    host: Annotated[str | None, typer.Option(help="Address to listen on; this machine alone by default.")] = None,
    port: Annotated[int | None, typer.Option(help="Where to listen; 8000 if absent, 0 for any free one.")] = None,
    keys: KeysOption = None,
    rate: Annotated[int | None, typer.Option(help="Pictures a minute for each key or address; no limit if absent.")] = None,
    max_n: Annotated[int | None, typer.Option(help="Most pictures of one request, 1 to 10.")] = None,
    cors: Annotated[list[str] | None, typer.Option(metavar="ORIGIN", help="A site whose pages may call. Repeatable.")] = None,
    proxy: Annotated[list[str] | None, typer.Option(metavar="IP", help="A proxy whose X-Forwarded-* is believed. Repeatable.")] = None,
    behind_backendai: Annotated[bool | None, typer.Option("--behind-backendai", help="Its proxy checks tokens: refuse no Bearer here.")] = None,
    public_url: Annotated[str | None, typer.Option(help="How clients reach this server, for picture addresses.")] = None,
    queue: Annotated[int, _from("KIMCHI_QUEUE", "Requests that may wait.")] = 16,
    timeout: Annotated[float | None, typer.Option(help="Seconds from request to picture; 120 if absent.")] = None,
    device: Annotated[str, _from("KIMCHI_DEVICE", "auto, cpu, cuda or mps.")] = "auto",
    precision: Annotated[str, _from("KIMCHI_PRECISION", "auto, fp32 or bf16.")] = "auto",
    few_step: Annotated[str, _from("KIMCHI_FEW_STEP", "A few-step LoRA: 4 steps instead of 25.")] = "",
    preview_vae: Annotated[str, _from("KIMCHI_PREVIEW_VAE", "A tiny VAE for sharper previews.")] = "",
    compare: Annotated[bool | None, typer.Option("--compare/--no-compare", help="Whether the untaught base may be loaded too.")] = None,
    base: Annotated[str, _from("KIMCHI_BASE", "For comparing: the untaught base, if no card names it.")] = "",
    translator: Annotated[str, _from("KIMCHI_TRANSLATOR", "For comparing: a chat model that translates.")] = "",
    guard: Annotated[bool, typer.Option("--guard/--no-guard", help="Refuse what a public place does not draw.")] = True,
    checker: Annotated[str, _from("KIMCHI_CHECKER", "A safety checker, where the model has none.")] = "",
    demo: Annotated[bool | None, typer.Option("--demo/--no-demo", help="The booth at /demo; by default unless keys are asked for.")] = None,
    out: Annotated[Path, typer.Option(help="The booth's folder, for ratings and counts.")] = Path("runs/booth"),
    cache_dir: Annotated[Path | None, _from("KIMCHI_CACHE_DIR", "For caches, where the model's folder is read-only.")] = None,
    verbose: Annotated[bool, typer.Option("-v", help="Say more on stderr: a line for each request.")] = False,
) -> None:
    """The HTTP API, for OpenAI's image clients; the booth at /demo.

    The environment is read too: KIMCHI_PORT=8000, KIMCHI_API_KEYS=lab=KEY.
    SIGTERM or Ctrl-C ends it once accepted pictures are delivered.

    \b
    kimchi serve --model runs/food --port 8000
    kimchi serve keys add 연구실 --rate 30
    """
    if context.invoked_subcommand is not None:
        return
    _need_server()
    _use_caches(cache_dir)
    _log(verbose)
    from kimchi.serving.settings import make_settings, public_name

    settings = make_settings(
        os.environ, host=host, port=port, keys_file=keys or _named() or _default_keys(), rate_per_minute=rate, max_n=max_n, cors=tuple(cors) if cors else None,
        proxies=tuple(proxy) if proxy else None, behind_backendai=behind_backendai, public_url=public_url, timeout_s=timeout, compare=compare,
        model_id=os.environ.get("KIMCHI_MODEL_ID") or public_name(model),
    )  # fmt: skip
    from kimchi.serving.server import listen, run

    # Before anything heavy: a port that is taken is known at once.
    listening = listen(settings.host, settings.port)
    from kimchi.generation.engine import Engine
    from kimchi.serving.app import create_app

    watcher = _guard(model, checker) if guard else None
    engine = Engine.load(
        model, device=device, precision=precision, base=base, translator=translator, few_step=few_step, preview_vae=preview_vae, queue=queue,
        timeout_s=settings.timeout_s, guard=watcher, on_notice=_cut,
    )  # fmt: skip
    api = create_app(engine, settings)
    asked_for = api.state.service.keys.required
    shown = (demo or (demo is None and not asked_for)) and _mount(api, engine, watcher, out, loudly=bool(demo))
    if not run(api, engine, settings, listening, ready=_greeter(settings, listening.getsockname()[1], asked_for, shown)):
        say("Stopped at once. What was being drawn is lost.")
        # Not by returning: the engine's thread is within a step, and the interpreter cannot end beneath it.
        os._exit(0)
    say("Stopped. Accepted pictures were delivered.")


def _need_server() -> None:
    absent = [name for name in ("fastapi", "uvicorn", "httptools", "prometheus_client") if find_spec(name) is None]
    if absent:
        raise ServeError(f"{', '.join(absent)}: not installed, and serving needs the extra `serve`. Run: pip install 'kimchi-diffusion[serve]'")


def _use_caches(folder: Path | None) -> None:
    """Point every cache at one folder, before the libraries read where theirs is."""
    if folder is None:
        return
    check_folder(folder)
    for name in ("KIMCHI_HOME", "HF_HOME", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "XDG_CACHE_HOME", "MPLCONFIGDIR"):
        os.environ.setdefault(name, str(folder.absolute() / name.lower()))


def _log(verbose: bool) -> None:
    level = logging.DEBUG if verbose else logging.WARNING
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("kimchi").setLevel(level)


def _cut(notice: str) -> None:
    """What the encoder did not hear is told in the answer; in the log it would be a piece of somebody's prompt."""


def _guard(model: str, checker: str) -> "Guard":
    from kimchi.generation.safety import Guard

    guard = Guard.load(model=model, checker=checker or None, device="cpu")
    for missing in guard.missing:
        say(missing)
    return guard


def _mount(api: "FastAPI", engine: "Engine", guard: "Guard | None", folder: Path, *, loudly: bool) -> bool:
    """Put the booth at /demo, where it is installed."""
    absent = [name for name in ("gradio", "segno") if find_spec(name) is None]
    if absent and loudly:
        raise ServeError(f"{', '.join(absent)}: not installed, and the booth needs the extra `demo`. Run: pip install 'kimchi-diffusion[demo]'")
    if absent:
        return False
    from kimchi.demo.app import mount
    from kimchi.demo.settings import Settings as Booth

    check_folder(folder)
    mount(api, engine, Booth(folder=folder, pin=os.environ.get("KIMCHI_BOOTH_PIN", "")), BOOTH, guard)
    return True


def _greeter(settings: "Settings", port: int, asked_for: bool, shown: bool) -> Callable[[], None]:
    """What is said once pictures can be asked for."""
    name = f"[{settings.host}]" if ":" in settings.host else settings.host
    address = f"http://{'127.0.0.1' if settings.host in ('0.0.0.0', '::') else name}:{port}"

    def greet() -> None:
        say(f"Ready: {settings.model_id} at {address}/v1, described at {address}/docs" + (f", the booth at {address}/demo" if shown else ""))
        if asked_for and not settings.behind_backendai:
            say("Keys are asked for.")
        elif settings.host not in ("127.0.0.1", "::1", "localhost"):
            say("Whoever reaches this port can draw. `kimchi serve keys add NAME` makes a key, and from then on keys are asked for.")
        say(f"Next: curl {address}/v1/images/generations -H 'Content-Type: application/json' -d '{{\"prompt\": \"한국의 라면을 그려줘\"}}'")

    return greet


def _named() -> Path | None:
    named = os.environ.get("KIMCHI_KEYS_FILE", "")
    return Path(named).expanduser() if named else None


def _default_keys() -> Path:
    from kimchi.data.home import home

    return home() / "keys.json"


@keys_app.command("add")
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose key it is.")],
    rate: Annotated[int | None, typer.Option(min=1, help="Pictures a minute; the server's own limit if absent.")] = None,
    keys: KeysOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a key and print it once; only its hash is stored.

    A running server asks for keys from the first one on.

    \b
    kimchi serve keys add 연구실 --rate 30
    """
    from kimchi.serving.keys import add_key

    path = keys or _named() or _default_keys()
    made = add_key(path, name, rate)
    say("This is the only time it is shown:")
    finish({"name": name, "key": made, "file": path}, [made], f"kimchi serve --keys {path}", as_json=as_json)


@keys_app.command("list")
def list_(keys: KeysOption = None, as_json: JsonOption = False) -> None:
    """Whose keys there are. The keys themselves are nowhere.

    \b
    kimchi serve keys list
    """
    from kimchi.serving.keys import read_keys

    path = keys or _named() or _default_keys()
    found = [{"name": key.name, "created": key.created, "rate_per_minute": key.rate_per_minute} for key in read_keys(path)]
    lines = [f"{one['name']}  since {one['created']}  {one['rate_per_minute'] or 'any number of'} pictures a minute" for one in found]
    finish({"keys": found}, lines, "kimchi serve keys add NAME, or revoke NAME", as_json=as_json)


@keys_app.command("revoke")
def revoke(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose key.")],
    keys: KeysOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a key away. A running server refuses it at once.

    \b
    kimchi serve keys revoke 연구실
    """
    from kimchi.serving.keys import revoke_key

    path = keys or _named() or _default_keys()
    revoke_key(path, name)
    finish({"name": name, "file": path}, [name], "kimchi serve keys list", as_json=as_json)
