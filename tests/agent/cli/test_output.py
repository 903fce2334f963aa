"""Tables, JSON lines and progress as a terminal, a pipe and a log file see them."""

from __future__ import annotations

import io
import json

import pytest

from hubel.agent.cli import output
from hubel.agent.runlog.progress import (
    LineReporter,
    Reporter,
    StepProgress,
    duration,
    progress,
    progress_line,
)
from hubel.tools.files.sizes import readable_size
from hubel.tools.files.untrusted_text import escape_control


def test_a_row_stays_one_line_in_a_pipe_and_markup_is_text(capsys) -> None:
    long = "fires on [bold]brackets[/x] " * 20
    output.table(
        ["target", "explanation"],
        [["mlp.1.2", long], ["mlp.1.3", None]],
        title="[red]t",
        right=["target"],
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("[red]t")
    assert sum(long.strip() in row for row in lines) == 1
    assert any(row.split() == ["mlp.1.3", "-"] for row in lines)


@pytest.mark.parametrize("hostile", ["\x1b[2J", "\x9b2J", "\x07", "\u202eabc", "a\nb"])
def test_control_characters_of_a_corpus_never_reach_the_terminal(hostile: str, capsys) -> None:
    output.table(["token"], [[hostile]])
    assert escape_control(hostile) in capsys.readouterr().out
    assert not set(escape_control(hostile)) & set("\x1b\x9b\x07\u202e\n")


@pytest.mark.parametrize("hostile", ["\x1b[2J", "\x9b2J", "\x07", "\u202eabc", "\ud800", "\u061c"])
def test_nothing_that_is_printed_is_obeyed(hostile: str, capsys) -> None:
    output.line(f"two\n{hostile}")
    output.note(hostile)
    output.json_line({hostile: hostile})
    out, err = capsys.readouterr()
    assert hostile[0] not in out + err
    assert out.startswith("two\n")
    assert json.loads(out.splitlines()[-1]) == {hostile: hostile}


def test_secrets_are_not_printed(capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_9hQ2LsZr7TgXvB4n")
    for write in (output.line, output.note, lambda text: output.json_line({"text": text})):
        write("the token hf_9hQ2LsZr7TgXvB4n")
    output.table(["token"], [["hf_9hQ2LsZr7TgXvB4n"]])
    assert "9hQ2" not in "".join(capsys.readouterr())


def test_json_is_one_object_a_line_and_refuses_nan(capsys) -> None:
    output.json_line({"text": "a\nb", "value": None})
    assert json.loads(capsys.readouterr().out) == {"text": "a\nb", "value": None}
    with pytest.raises(ValueError, match="not JSON compliant"):
        output.json_line({"value": float("nan")})


def test_sizes_and_durations_as_a_person_reads_them() -> None:
    assert [readable_size(n) for n in (0, 999, 5_200, 538_000_000, 1_100_000_000_000)] == [
        "0 B", "999 B", "5.2 kB", "538 MB", "1.1 TB",
    ]  # fmt: skip
    assert [duration(s) for s in (7, 760, 3723)] == ["0:07", "12:40", "1:02:03"]


def test_one_is_not_plural() -> None:
    assert [output.count(n, "target") for n in (0, 1, 2)] == ["0 targets", "1 target", "2 targets"]


def test_lines_come_first_every_few_seconds_and_last() -> None:
    now, stream = [0.0], io.StringIO()
    report = LineReporter(stream, every=5, clock=lambda: now[0])
    for second in range(13):
        now[0] = float(second)
        report.update("index", 100 + second * 50, 700, unit="tokens", note="forward 96 %")
    assert stream.getvalue().splitlines() == [
        "index: 100/700 tokens, forward 96 %",
        "index: 350/700 tokens, 50/s, 0:07 left, forward 96 %",
        "index: 600/700 tokens, 50/s, 0:02 left, forward 96 %",
        "index: 700/700 tokens, 50/s, forward 96 %",
    ]


def test_a_total_that_is_not_known_promises_no_end() -> None:
    line = progress_line(StepProgress("read", 3, None, "documents"), 1.5, None)
    assert line == "read: 3 documents, 1.5/s"


def test_progress_is_lines_in_a_pipe_and_silence_when_quiet() -> None:
    stream = io.StringIO()
    with progress(stream=stream) as report:
        report.say("hello\x1b[2J")
    assert stream.getvalue() == "hello\\x1b[2J\n"
    with progress(stream=stream, quiet=True) as report:
        assert type(report) is Reporter
        report.update("index", 1, 2)
    assert stream.getvalue() == "hello\\x1b[2J\n"


def test_a_bar_on_a_terminal_shows_count_and_note() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    with progress(stream=stream) as report:
        report.update("explain", 1, 4, unit="targets", note="2 failed")
        report.update("explain", 4, 4, unit="targets", note="2 failed")
    assert "4/4 targets" in stream.getvalue()
    assert "2 failed" in stream.getvalue()


def test_row_in_a_pipe_is_as_long_as_its_own_text(capsys: pytest.CaptureFixture[str]) -> None:
    output.table(("name", "text"), [("a", "x" * 300), ("b", "short")])
    lines = capsys.readouterr().out.splitlines()
    assert [len(line.strip()) for line in lines if "x" * 300 in line] == [max(map(len, lines)) - 1]
    assert max(len(line) for line in lines if "x" * 300 not in line) <= output.RULE
