"""`hubel watch`: chosen units on a stream of texts or during generation, with alarms for drift.

hubel watch --subject S --targets mlp.10.0-9 --save-baseline usual.json --corpus lee-news
hubel watch --subject S --targets mlp.10.0-9 --baseline usual.json -         a text on each line
hubel watch --subject S --run demo --text "The capital of France" --new-tokens 20
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ....tools.errors import UsageError
from ...runlog.progress import progress
from .. import options, output
from ..exit_status import DONE, FAILED
from ..watch_output import WatchOutput

if TYPE_CHECKING:
    from ....tools.monitoring.watch import Watch
    from ....tools.subject import Subject, Unit
    from ...runlog.progress import Reporter

NAME = "watch"
HELP = "watch units on a stream of texts or during generation; alarms when they drift"
STDIN = "-"
FALSE_ALARMS = 0.01


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is watched, on which texts, and against what."""
    parser.add_argument("texts", nargs="?", choices=[STDIN], help="read a text from each line")
    parser.add_argument(
        "--subject", required=True, metavar="S", help="smollm2-135m, a local folder, or a hub name"
    )
    parser.add_argument("--targets", default="", metavar="T", help="units, such as mlp.10.0-9")
    parser.add_argument(
        "--run",
        default="",
        metavar="RUN",
        help="a run whose explanations are shown; its kept targets",
    )
    parser.add_argument("--text", action="append", default=[], metavar="TEXT", help="a text")
    parser.add_argument("--corpus", default="", metavar="C", help=options.CORPORA)
    options.add_text_column(parser)
    parser.add_argument("--limit", type=int, metavar="N", help="stop after so many texts")
    parser.add_argument(
        "--max-tokens",
        type=int,
        metavar="N",
        help="read so many tokens of each text (default: all)",
    )
    parser.add_argument(
        "--new-tokens",
        type=int,
        default=0,
        metavar="N",
        help="continue each text by so many tokens and watch those (default: watch the text itself)",
    )
    parser.add_argument(
        "--temperature", type=float, default=0.0, help="0 takes the likeliest token"
    )
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn (default: 0)")
    parser.add_argument("--baseline", type=Path, metavar="FILE", help="what to compare with")
    parser.add_argument(
        "--save-baseline", type=Path, metavar="FILE", help="keep these texts as a baseline"
    )
    parser.add_argument(
        "--false-alarms",
        type=float,
        default=FALSE_ALARMS,
        metavar="P",
        help="chance of any false alarm, however long the stream is (default: 0.01)",
    )
    parser.add_argument(
        "--measure",
        action="store_true",
        help="also generate without watching, and compare the time",
    )
    parser.add_argument("--directions", type=Path, metavar="FILE", help="named directions")
    options.add_device(parser)


def run(args: argparse.Namespace) -> int:
    """Watch; status 1 if anything raised an alarm."""
    _check(args)
    with progress(quiet=args.quiet) as reporter:
        watch, out = _prepare(args, reporter)
        out.begin()
        interrupted = False
        try:
            for number, text in enumerate(_texts(args), 1):
                _watch_text(watch, out, text, args)
                reporter.update("watch", number, args.limit, unit="texts")
                sys.stdout.flush()
        except KeyboardInterrupt:
            interrupted = True
    out.end()
    if args.save_baseline:
        watch.baseline().write(args.save_baseline)
        output.note(f"{args.save_baseline}: a baseline of {watch.texts} texts")
    if interrupted:
        raise KeyboardInterrupt(
            f"stopped after {watch.texts} texts; the next watch starts from the beginning"
        )
    return FAILED if watch.alarms else DONE


def _check(args: argparse.Namespace) -> None:
    """Raise UsageError for wrong options before a model is loaded."""
    if not args.targets and not args.run:
        raise UsageError("say what to watch: --targets mlp.10.0-9, or --run RUN for what it kept")
    if sum(map(bool, (args.texts, args.text, args.corpus))) != 1:
        raise UsageError("give the texts in one way: --text TEXT, --corpus C, or - for lines")
    if args.new_tokens < 0 or not 0 <= args.temperature <= 5:
        raise UsageError(
            f"--new-tokens {args.new_tokens} and --temperature {args.temperature} given; expected "
            "0 or more, and 0 to 5"
        )
    if args.limit is not None and args.limit < 1:
        raise UsageError(f"--limit {args.limit}: give at least 1")
    if args.max_tokens is not None and args.max_tokens < 2:
        raise UsageError(f"--max-tokens {args.max_tokens}: give at least 2")
    if args.measure and not args.new_tokens:
        raise UsageError("--measure compares generations; give --new-tokens too")
    if not 0 < args.false_alarms < 1:
        raise UsageError(f"--false-alarms {args.false_alarms}: give a chance between 0 and 1")


def _prepare(args: argparse.Namespace, reporter: Reporter) -> tuple[Watch, WatchOutput]:
    """The watch, with what is known of its units; everything small is read before the subject."""
    from ....tools.monitoring.baseline import Baseline, WatchSettings
    from ....tools.monitoring.channels import channel_names

    baseline = Baseline.read(args.baseline) if args.baseline else None
    explained = _explained(args)
    subject = _load(args, reporter)
    from ....tools.monitoring.reader import UnitReader
    from ....tools.monitoring.watch import Watch

    units = _units(args, subject, explained)
    channels = tuple(channel_names(units, subject.shape.n_layers))
    settings = WatchSettings(channels, args.max_tokens, args.new_tokens, args.temperature)
    watch = Watch(UnitReader(subject, units), settings)
    if baseline:
        watch.against(baseline, args.false_alarms, args.seed)
        if baseline.revision != subject.revision:
            output.note(
                f"the baseline is of {baseline.subject} with the weights {baseline.revision}; "
                f"watched is {subject.name} with {subject.revision}"
            )
    known = {str(unit): explained[str(unit)] for unit in units if str(unit) in explained}
    return watch, WatchOutput(watch, units, known, args.json)


def _load(args: argparse.Namespace, reporter: Reporter) -> Subject:
    from ....tools.subject import load_subject

    return load_subject(
        args.subject,
        device=args.device,
        dtype=args.dtype,
        directions=args.directions,
        progress=reporter.say,
    )


def _units(args: argparse.Namespace, subject: Subject, explained: dict[str, str]) -> list[Unit]:
    """The targets that were given, or those that the run kept."""
    from ....tools.subject import parse_targets

    spec = args.targets or ",".join(explained)
    if not spec:
        raise UsageError(f"the run {args.run!r} kept no explanation; name units with --targets")
    return parse_targets(spec, subject.shape)


def _explained(args: argparse.Namespace) -> dict[str, str]:
    """The headline, or the sentence, of each target that the run kept."""
    if not args.run:
        return {}
    from ...runlog.config import find_run
    from ...runlog.views import target_rows
    from ..readable_run import readable_run

    folder = find_run(args.run, args.runs)
    with readable_run(folder):
        rows = [row for row in target_rows(folder) if row["verdict"] == "kept"]
    return {row["target"]: row["headline"] or row["explanation"] or "" for row in rows}


def _texts(args: argparse.Namespace) -> Iterator[str]:
    """The texts, one at a time; standard input is read as it comes."""
    from itertools import islice

    return islice(_all_texts(args), args.limit)


def _all_texts(args: argparse.Namespace) -> Iterator[str]:
    if args.corpus:
        from ....tools.corpus import read_corpus

        yield from (document.text for document in read_corpus(options.corpus(args)).documents)
    elif args.text:
        yield from args.text
    elif sys.stdin is not None:
        for line in sys.stdin.buffer:
            yield line.decode("utf-8", errors="replace").rstrip("\r\n")


def _watch_text(watch: Watch, out: WatchOutput, text: str, args: argparse.Namespace) -> None:
    ids = watch.ids_of(text)
    if ids is None:
        return
    if not args.new_tokens:
        reading = watch.reader.read(ids)
    else:
        if args.measure:
            _measure(watch, out, ids, args)
        steps = []
        for number, step in enumerate(watch.steps(ids, args.seed), 1):
            out.step(number, step)
            steps.append(step)
        reading = watch.reader.reading_of(steps)
    out.text(reading, watch.take(reading))


def _measure(watch: Watch, out: WatchOutput, ids: list[int], args: argparse.Namespace) -> None:
    """The same generation without a hook, in the same process and just before."""
    from ....tools.instruments.continuation import Sampling
    from ....tools.monitoring.reader import seconds_of_plain_steps

    sampling = Sampling(args.new_tokens, args.temperature, args.seed + watch.texts)
    seconds = seconds_of_plain_steps(watch.reader.subject, ids, sampling)
    out.plain_ms += [1000 * second for second in seconds]
