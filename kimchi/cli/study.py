"""`kimchi study`: pictures rated by people, from drawing them to destroying the answers."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .show import Bars, finish, say

if TYPE_CHECKING:
    from kimchi.eval.study.schema import Instrument

app = typer.Typer(no_args_is_help=True, help="Pictures rated by people, five points each.", rich_markup_mode=None)

InstrumentArgument = Annotated[str, typer.Argument(metavar="INSTRUMENT", help="A study's YAML file, or a shipped one's name.")]
StudyArgument = Annotated[Path, typer.Argument(metavar="STUDY", help="The folder that `new` made.")]
SetOption = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one key of the instrument. Repeatable.")]
JsonOption = Annotated[bool, typer.Option("--json", help="End stdout with one line of JSON: the outcome.")]
_SEEDS = 2**32


def _now() -> int:
    return time.time_ns() // 1_000_000


def _need_database() -> None:
    """Say what is missing before anything is begun.

    Raises:
        StudyError: the extra `eval` is not installed.
    """
    from kimchi.errors import StudyError
    from kimchi.eval.study.extra import INSTALL, absent

    missing = absent()
    if missing:
        raise StudyError(f"{', '.join(missing)}: not installed, and studies need the extra `eval`. Run: {INSTALL}")


def _instrument(name: str, set_: list[str] | None) -> "Instrument":
    from kimchi.eval.study.schema import load_instrument

    return load_instrument(name, tuple(set_ or ()))


@app.command()
def draw(
    instrument: InstrumentArgument,
    out: Annotated[Path, typer.Option(help="A folder for this condition: arms/kimchi.")],
    model: Annotated[str, typer.Option(help="What `kimchi generate --model` takes.")] = "mini",
    wording: Annotated[str, typer.Option(help="noun, rich, romanised or en; by default what raters read.")] = "",
    domain: Annotated[list[str] | None, typer.Option(help="Only this domain's prompts. Repeatable.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=_SEEDS - 1, help="Of the set; each prompt draws its own from it.")] = 0,
    steps: Annotated[int | None, typer.Option(help="Denoising steps; the sampler's own number if absent.")] = None,
    guidance: Annotated[float | None, typer.Option(help="How strictly the prompt is followed; the model's own if absent.")] = None,
    set_: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """One picture a prompt, named by its id.

    Interrupted, the same command goes on.

    \b
    kimchi study draw culture_2025 --model runs/food --out arms/kimchi
    """
    from kimchi.eval.study.draw import Drawing
    from kimchi.eval.study.draw import draw as run

    settings = Drawing()
    if steps is not None:
        settings["steps"] = steps
    if guidance is not None:
        settings["guidance"] = guidance
    chosen = _instrument(instrument, set_)
    with Bars() as bars:
        outcome = run(chosen, out, model=model, wording=wording, domains=tuple(domain or ()), seed=seed, report=bars.report, **settings)
    say(f"{outcome.drawn} drawn, {outcome.found} were there.")
    finish(outcome, [str(out)], f"the other conditions, then: kimchi study new {instrument} --images {out.parent}", as_json=as_json)


@app.command()
def new(
    instrument: InstrumentArgument,
    images: Annotated[Path | None, typer.Option(help="Folder of pictures: arms/CONDITION/PROMPT.png.")] = None,
    out: Annotated[Path | None, typer.Option(help="The study's folder; runs/NAME of the instrument if absent.")] = None,
    set_: SetOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the instrument, print it with every default, and stop.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Instrument and pictures => a blinded study.

    Photographs among the pictures must be your own or openly licensed:
    AIHub's terms forbid showing its pictures to raters.

    \b
    kimchi study new culture_2025 --images arms --out runs/study
    """
    chosen = _instrument(instrument, set_)
    if dry_run:
        from kimchi.recipes import recipe_hash, to_yaml

        outcome = {"recipe": chosen.model_dump(mode="json"), "recipe_hash": recipe_hash(chosen)}
        return finish(outcome, [to_yaml(chosen).rstrip()], f"kimchi study new {instrument} --images arms", as_json=as_json)
    if images is None:
        raise typer.BadParameter("give the folder of pictures: --images arms", param_hint="--images")
    _need_database()
    from kimchi.eval.study.new import new as run

    with Bars() as bars:
        made = run(chosen, images, out or Path("runs") / chosen.name, report=bars.report)
    for notice in made.notices:
        say(notice)
    say(f"{made.pictures} pictures of {made.prompts} prompts, {made.size_px} px, {made.slots} places; {made.taps} taps a rater, about {made.minutes} min.")
    finish(made, [str(made.folder)], f"read {made.folder / 'protocol.yaml'}, then: kimchi study lock {made.folder}", as_json=as_json)


@app.command()
def lock(study: StudyArgument, as_json: JsonOption = False) -> None:
    """Seal protocol, pictures and analysis.

    Nothing is collected before, nothing changes after.

    \b
    kimchi study lock runs/study
    """
    _need_database()
    from kimchi.eval.study.lock import lock as run

    outcome = run(study, now=_now())
    say(f"Locked: {outcome.pictures} pictures, {outcome.slots} places. For a preregistration: {outcome.protocol_hash}")
    finish(outcome, [str(outcome.folder)], f"kimchi study serve {study}", as_json=as_json)


@app.command()
def serve(
    study: StudyArgument,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where to listen; 0 for any free one.")] = 8080,
    kiosk: Annotated[bool, typer.Option("--kiosk", help="A booth: one rater after the other at this screen.")] = False,
    lan: Annotated[bool, typer.Option("--lan", help="Other machines of the network may come; without it, only this one.")] = False,
) -> None:
    """The pages that raters use.

    \b
    kimchi study serve runs/study --port 8080
    """
    _need_database()
    from kimchi.eval.study.web import serve as run

    run(study, port=port, kiosk=kiosk, lan=lan, say=say)
    say(f"Next: kimchi study status {study}")


@app.command()
def status(study: StudyArgument, as_json: JsonOption = False) -> None:
    """Raters, coverage, quality, time left.

    The vault stays shut: nobody who collects may see who is ahead.

    \b
    kimchi study status runs/study
    """
    _need_database()
    from kimchi.eval.study.status import describe
    from kimchi.eval.study.status import status as run

    found = run(study, now=_now())
    following = "analyse" if found.done >= found.target else "serve" if found.locked else "lock"
    finish(found, describe(found), f"kimchi study {following} {study}", as_json=as_json)


@app.command()
def analyse(
    study: StudyArgument,
    scores: Annotated[Path | None, typer.Option(help="A folder that `kimchi score` wrote about these pictures.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Answers => report, results, figures, tables.

    Opens the vault, and notes that in the study.

    \b
    kimchi study analyse runs/study
    """
    _need_database()
    from kimchi.eval.study.analyse import analyse as run

    with Bars() as bars:
        outcome = run(study, now=_now(), scores=scores, report=bars.report)
    say(f"{outcome.raters} raters, {outcome.excluded} left out, {outcome.answers} answers, {outcome.seconds:.0f} s.")
    for domain, inference in outcome.inference.items():
        say(f"{domain}: holds for {inference}.")
    if not outcome.chain_ok:
        say("The hash chain is BROKEN: something that was collected has been changed. `kimchi study status` says what.")
    first = outcome.reports[0] if outcome.reports else outcome.folder
    finish(outcome, [str(one) for one in outcome.reports], f"open {first} in a browser", as_json=as_json)


@app.command()
def power(
    raters: Annotated[int, typer.Option(min=2, help="How many raters.")] = 53,
    prompts: Annotated[int, typer.Option(min=2, help="How many prompts there are.")] = 60,
    per_rater: Annotated[int, typer.Option(min=1, help="How many of them each rater sees.")] = 20,
    points: Annotated[float, typer.Option(min=0.01, max=3, help="The true difference of two models, points.")] = 0.3,
    studies: Annotated[int, typer.Option(min=10, help="How many are simulated.")] = 500,
    as_json: JsonOption = False,
) -> None:
    """What a design can find, by simulation.

    \b
    kimchi study power --raters 53 --prompts 60 --per-rater 20
    """
    from kimchi.eval.statistics.power import power as run
    from kimchi.eval.statistics.simulate import Design

    found = run(Design(raters=raters, prompts=prompts, per_rater=per_rater), points, studies=studies)
    least = f"; 80 % of studies find {found.detectable:.2f}" if found.detectable is not None else ""
    lines = [f"A difference of {points:g} points is found by {found.power.share:.0%} of such studies{least}. False alarms: {found.false_alarms.share:.1%}."]
    if found.withheld:
        lines.append(f"{found.withheld} of {2 * studies} studies may claim nothing about other prompts: too few prompts or raters.")
    finish(found, lines, "kimchi study new INSTRUMENT --images arms", as_json=as_json)


@app.command()
def purge(
    study: StudyArgument,
    code: Annotated[str, typer.Option(help="Erase only the rater of this personal code, who withdraws.")] = "",
    early: Annotated[str, typer.Option(metavar="REASON", help="Before the retention is over; the reason is kept.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Destroy the answers when their time is over.

    Protocol, lock and analysis stay. With --code, one rater's answers
    only, at any time; the hash chain still holds.

    \b
    kimchi study purge runs/study
    kimchi study purge runs/study --code "4821 0937 5562 1184 7736"
    """
    _need_database()
    from kimchi.eval.study.purge import purge as run
    from kimchi.eval.study.purge import withdraw

    if code:
        erased = withdraw(study, code, now=_now())
        say(f"Erased: {erased.ratings} answers and {erased.comments} comments.")
        return finish(erased, [str(study)], f"kimchi study status {study}; if it was analysed, analyse it again", as_json=as_json)
    outcome = run(study, now=_now(), early=early)
    say(f"{len(outcome.files)} files destroyed; kept: {', '.join(outcome.kept)}.")
    finish(outcome, [str(study / "purged.json")], "delete what was copied elsewhere", as_json=as_json)
