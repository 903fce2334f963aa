"""SQL over a run log: DuckDB views, and the rows of `hubel show RUN --json`.

`hubel show`, `hubel runs`, replay, rescoring and a user's own SQL read these. The review page has its
own store (`review.store`), which stays fast over 100,000 targets. Works while the run is
writing: an unfinished last line is skipped, and of an event written twice the last counts.

    events       seq, time, writer, event, target, id, data (JSON)
    targets      target, side, layer, status (done | failed | pending), explanation, predicate,
                 hypothesis, p, ...
    hypotheses   target, id, sentence, predicate, origin, parent, round, gist
    experiments  target, id, hypothesis, relation, quantity, side, passage, other, reason, observed,
                 compared, outcome
    calls        target, key, instrument, arguments, seconds
    llm_requests one row for each request that was sent: target, key (of the answer that it is for),
                 role (explainer | simulator | judge | check), outcome, calls (0 if no server got it),
                 tokens, usd, estimated
    llm_calls    target, key, model, role (explainer | simulator | judge), prompt, input_tokens,
                 output_tokens, cache_read (tokens), seconds, attempts, waited (how many of the seconds
                 for a busy server or a rate limit), explaining, usd (null: no price known); empty for
                 explainers that call no language model
    spent        target, calls, usd, tokens, estimated: the total cost of the explainer's model
    reading      the same for simulators and judges
    scores       target, hypothesis, scorer, split, text, value, low, high, floors
    verdicts     target, verdict, reason, p, tier
    reviews      what people said, in separate segments (`agent.runlog.reviews`): time, event (review |
                 review_undone | holdout_opened | review_scored), target, id, name, verdict, text,
                 predicate, note, after_viewing
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, cast

from ...evals.score import Floors
from .chain import check_log
from .config import RunConfig
from .data_files import check_file
from .events import LEFT_OUT
from .layout import CONFIG
from .log import Event
from .reviews import Reviews
from .segments import canonical, read_segment, segments
from .subject_warning import EVENT, warning_of

if TYPE_CHECKING:
    import duckdb


class ScoreRow(TypedDict):
    """A score of the winner; `floors` maps a floor's name to its score."""

    scorer: str
    split: str
    text: str
    value: float
    low: float | None
    high: float | None
    floors: dict[str, float | None]


class TargetRow(TypedDict):
    """What a run says of one target. Dollars are None where some price is not known."""

    target: str
    side: str
    layer: int
    status: Literal["done", "failed", "pending"]
    explanation: str | None
    predicate: str | None
    gist: str | None
    """A language model's own words for it; None where there are none."""
    tier: str | None
    """How much the explanation says; None, as all parts, in runs that do not record it."""
    headline: str | None
    """A sentence of at most 12 words."""
    meaning: str | None
    """The predicate of the named concepts alone."""
    residue: str | None
    """The predicate of the listed tokens alone; "" if there are none."""
    bits: float | None
    """Length of the whole predicate."""
    artefact: str | None
    """Why the explanation rests on how the text was cut; "" if it does not."""
    verdict: str | None
    p: float | None
    seconds: float | None
    calls: int
    """Requests that were sent, with or without a reply."""
    estimated_calls: int
    """How many of these calls have a cost that no server stated."""
    usd: float | None
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    reading_calls: int
    """Of simulator and judge, as the next three."""
    estimated_reading_calls: int
    reading_usd: float | None
    reading_tokens: int
    failed_scores: int
    scores: list[ScoreRow]
    reason: str | None
    """Of the verdict."""
    r_per_bit: float | None
    """Held-out r of the predicate over its length; None without one."""
    error: str | None
    subject_warning: str | None
    """That the run's subject knows nothing of its text; the same in all rows."""
    left_out: list[str]
    """Families of concepts that the run had to do without, and why; the same in all rows."""


_ROW_KEYS = (
    "target",
    "side",
    "layer",
    "status",
    "explanation",
    "predicate",
    "gist",
    "tier",
    "headline",
    "meaning",
    "residue",
    "bits",
    "artefact",
    "verdict",
    "p",
)
COST_KEYS = (
    "seconds",
    "calls",
    "estimated_calls",
    "usd",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "reading_calls",
    "estimated_reading_calls",
    "reading_usd",
    "reading_tokens",
    "failed_scores",
)
_SCORE_KEYS = ("scorer", "split", "text", "value", "low", "high")
_NO_FLOORS = Floors().to_json()
"""A floor that an older log does not have is null."""

_VIEWS = {  # in this order: a view reads only those above it
    "conclusions": "select target, data from events where event = 'conclusion'",
    "hypotheses": """
        select target, id, data->>'sentence' as sentence, data->>'predicate' as predicate,
               data->>'origin' as origin, data->>'parent' as parent, (data->>'round')::int as round,
               data->>'gist' as gist, seq
        from events where event = 'hypothesis'""",
    "experiments": """
        select p.target, p.id, p.data->>'hypothesis' as hypothesis, p.data->>'relation' as relation,
               p.data->>'quantity' as quantity, p.data->>'side' as side, p.data->'passage' as passage,
               p.data->'other' as other, p.data->'bounds' as bounds, p.data->>'reason' as reason,
               (o.data->>'observed')::double as observed, o.data->'compared' as compared,
               o.data->>'outcome' as outcome, p.seq
        from events p left join events o on o.event = 'outcome' and o.target = p.target and o.id = p.id
        where p.event = 'prediction'""",
    "calls": """
        select target, id as "key", data->'request'->>'instrument' as instrument,
               data->'request'->'arguments' as arguments, (data->>'seconds')::double as seconds, seq
        from events where event = 'call'""",
    "llm_calls": """
        select target, id "key", data->>'model' as model, data->>'prompt' as prompt,
               try_cast(data->>'input_tokens' as bigint) as input_tokens,
               try_cast(data->>'output_tokens' as bigint) as output_tokens,
               try_cast(data->>'cache_read' as bigint) as cache_read,
               try_cast(data->>'usd' as double) as usd, (data->>'seconds')::double as seconds,
               coalesce((data->>'attempts')::int, 1) as attempts,
               coalesce((data->>'waited')::double, 0) as waited,
               coalesce(data->>'role', if((data->'request'->'system_and_tools') is null,
                                          'judge', 'explainer')) as role,
               (data->'request'->'system_and_tools') is not null as explaining, seq
        from events where event = 'llm_call'""",
    "llm_requests": """
        select target, data->>'key' "key", data->>'role' as role, data->>'model' as model,
               data->>'outcome' as outcome, (data->>'calls')::int as calls,
               (data->>'input_tokens')::bigint as input_tokens,
               (data->>'output_tokens')::bigint as output_tokens,
               (data->>'cache_read')::bigint as cache_read, (data->>'usd')::double as usd,
               (data->>'estimated')::boolean as estimated, (data->>'seconds')::double as seconds, seq
        from events where event = 'llm_request'""",
    # Answers without a request in the log are those of programs and of old runs.
    "paid": """
        select target, role = 'explainer' as explaining, calls, estimated, usd,
               input_tokens, output_tokens, cache_read
        from llm_requests
        union all
        select c.target, c.explaining, 1, false, c.usd, c.input_tokens, c.output_tokens, c.cache_read
        from llm_calls c anti join llm_requests r on r.target = c.target and r.key = c.key""",
    "spent": """
        select target, sum(calls)::int as calls, count(*) filter (estimated)::int as estimated,
               case when count(usd) = count(*) then sum(usd) end usd,
               sum(input_tokens)::bigint as input_tokens, sum(output_tokens)::bigint as output_tokens,
               sum(cache_read)::bigint as cached_tokens
        from paid where explaining group by target""",
    "reading": """
        select target, sum(calls)::int as calls, count(*) filter (estimated)::int as estimated,
               case when count(usd) = count(*) then sum(usd) end usd,
               sum(coalesce(input_tokens, 0) + coalesce(output_tokens, 0))::bigint as tokens
        from paid where not explaining group by target""",
    "scores": """
        select target, data->>'hypothesis' as hypothesis, data->>'scorer' as scorer,
               data->>'split' as split, data->>'text' as "text",
               (data->>'value')::double as "value", (data->>'low')::double as low,
               (data->>'high')::double as high, data->'floors' as floors, seq
        from events where event = 'score'""",
    "failures": "select target, data from events where event = 'failure' and target is not null",
    "verdicts": """
        select row.target target, row.verdict verdict, row.reason reason, row.p p, row.tier tier
        from (select unnest(from_json(data->'rows',
              '[{"target":"VARCHAR","verdict":"VARCHAR","reason":"VARCHAR","p":"DOUBLE",
                 "tier":"VARCHAR"}]')) as row
              from events where event = 'verdicts')""",
    "targets": """
        select r.position, r.target, r.side, r.layer,
               case when c.target is not null then 'done'
                    when f.target is not null then 'failed' else 'pending' end status,
               c.data->>'explanation' as explanation, c.data->>'predicate' as predicate,
               c.data->>'hypothesis' as hypothesis, h.gist gist, c.data->>'headline' as headline,
               c.data->>'meaning' as meaning, c.data->>'residue' as residue,
               (c.data->>'bits')::double as bits, c.data->>'artefact' as artefact, v.tier tier,
               coalesce(v.verdict, case when c.target is not null then 'pending' end) verdict,
               v.reason verdict_reason,
               coalesce(v.p, (c.data->>'p')::double) p, (c.data->>'seconds')::double as seconds,
               coalesce(s.calls, 0) calls, coalesce(s.estimated, 0) estimated_calls,
               case when s.calls is null then 0 else s.usd end usd,
               coalesce(s.input_tokens, 0) input_tokens, coalesce(s.output_tokens, 0) output_tokens,
               coalesce(s.cached_tokens, 0) cached_tokens,
               coalesce(g.calls, 0) reading_calls, coalesce(g.estimated, 0) estimated_reading_calls,
               case when g.calls is null then 0 else g.usd end reading_usd,
               coalesce(g.tokens, 0) reading_tokens,
               coalesce((c.data->>'failed_scores')::int, 0) failed_scores,
               case when c.target is null then f.data->>'error' end as error
        from registered r left join conclusions c using (target) left join failures f using (target)
             left join verdicts v using (target) left join spent s using (target)
             left join reading g using (target)
             left join hypotheses h on h.target = r.target and h.id = c.data->>'hypothesis'""",
}


def connect(folder: Path) -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB with the views above over one run.

    Raises:
        CorruptError: the log or the configuration was changed or is damaged.
    """
    import duckdb

    from ...tools.subject.address import Unit

    config = RunConfig.load(folder)
    check_file(folder, CONFIG)
    db = duckdb.connect()
    db.execute(f"create view events as {_events(db, folder)}")
    db.execute("create table registered (position int, target varchar, side varchar, layer int)")
    units = [(i, t, Unit.parse(t)) for i, t in enumerate(config.targets)]
    if units:
        db.executemany(
            "insert into registered values (?, ?, ?, ?)",
            [(i, t, u.side, config.layer_of(u)) for i, t, u in units],
        )
    for name, query in _VIEWS.items():
        db.execute(f"create view {name} as {query}")
    db.execute(f"create view reviews as {_reviews(db, folder)}")
    return db


def _reviews(db: duckdb.DuckDBPyConnection, folder: Path) -> str:
    """One select over the reviews, in the order of time."""
    _register(db, "review_lines", (_row(event) for event in Reviews(folder).events()))
    fields = ", ".join(
        f"data->>'{name}' as {name}" for name in ("name", "verdict", "text", "predicate", "note")
    )
    return (
        f"select time, event, target, id, {fields}, (data->>'after_viewing')::boolean after_viewing "
        "from (select * replace (data::json as data) from review_lines) order by time"
    )


def _events(db: duckdb.DuckDBPyConnection, folder: Path) -> str:
    """A select over all segments, with one row per (event, target, id): the one written last.

    Segments that are not sealed yet are read by `segments`, as for all other readers. Which rows are
    the last, and their order over all writers, is found once and from the names alone: with the data,
    which may be gigabytes, each view would sort it all again.
    """
    check_log(folder)
    paths = segments(folder).values()
    open_segments = [path for path in paths if path.suffix == ".jsonl"]
    lines = (e._asdict() | {"writer": p.stem} for p in open_segments for e in read_segment(p))
    _register(db, "open_lines", lines)
    parts = ["select seq, time, event, target, id, data, writer from open_lines"]
    if sealed := [str(path) for path in paths if path.suffix == ".parquet"]:
        listed = ", ".join("'" + path.replace("'", "''") + "'" for path in sealed)
        parts.append(
            "select seq, time, event, target, id, data, parse_filename(filename, true) writer "
            f"from read_parquet([{listed}], filename=true, union_by_name=true)"
        )
    all_rows = " union all ".join(parts)
    latest_first = "partition by event, target, id order by writer desc, seq desc"
    # Each writer counts its events from 1, so `seq` is numbered again over all of them.
    db.execute(
        f"""create temp table last_rows as
            select writer, seq written, row_number() over (order by writer, seq) seq
            from (select writer, seq from ({all_rows})
                  qualify row_number() over ({latest_first}) = 1)"""
    )
    return f"""select last_rows.seq, time, event, target, id, data::json data, lines.writer
               from ({all_rows}) lines join last_rows
               on lines.writer = last_rows.writer and lines.seq = last_rows.written"""


def _row(event: Event) -> dict[str, Any]:
    return event._asdict() | {"raw": canonical(event.data), "writer": ""}


def _register(db: duckdb.DuckDBPyConnection, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """Make events a table for SQL, with `data` as text."""
    import pyarrow as pa

    columns = ("time", "event", "target", "id", "raw", "writer")
    schema = pa.schema([("seq", pa.int64()), *((column, pa.string()) for column in columns)])
    kept = [{column: row[column] for column in schema.names} for row in rows]
    table = pa.Table.from_pylist(kept, schema=schema)
    db.register(name, table.rename_columns([n if n != "raw" else "data" for n in schema.names]))


def target_rows(folder: Path, target: str | None = None) -> list[TargetRow]:
    """One row per registered target, in the contract's form (`hubel show RUN --json`)."""
    with connect(folder) as db:
        where, values = ("where target = ?", [target]) if target else ("", [])
        targets = _dicts(db.execute(f"select * from targets {where} order by position", values))
        # Ordered by name, not by time: a run that was killed in between wrote them in another order.
        concluded = "select s.* from scores s semi join conclusions c on c.target = s.target"
        scores = _dicts(db.execute(f"{concluded} order by scorer, split desc, text"))
        run_wide = _run_wide(db, RunConfig.load(folder))
    by_target: dict[str, list[dict[str, Any]]] = {}
    for score in scores:
        by_target.setdefault(score["target"], []).append(score)
    return [_target_row(row, by_target.get(row["target"], []), run_wide) for row in targets]


def _run_wide(db: duckdb.DuckDBPyConnection, config: RunConfig) -> dict[str, Any]:
    """What all rows of a run say alike: what a reader has to know of it as a whole."""
    query = f"select event, data from events where event in ('{EVENT}', '{LEFT_OUT}')"
    found = {event: json.loads(data) for event, data in db.execute(query).fetchall()}
    names = (record.get("name", "?") for record in (config.subject, config.corpus))
    return {
        "subject_warning": warning_of(found.get(EVENT), *names),
        "left_out": found.get(LEFT_OUT, {}).get("reasons") or [],
    }


def calls_before_run(folder: Path) -> int:
    """Requests that checked the run's language models before it began."""
    with connect(folder) as db:
        query = "select coalesce(sum(calls), 0)::int from llm_requests where target is null"
        return int((db.execute(query).fetchone() or (0,))[0])


def _target_row(
    row: dict[str, Any], scores: list[dict[str, Any]], run_wide: dict[str, Any]
) -> TargetRow:
    scores_of_winner = [
        {name: score[name] for name in _SCORE_KEYS}
        | {"floors": _NO_FLOORS | json.loads(score["floors"])}
        for score in scores
        if score["hypothesis"] == row["hypothesis"] and score["value"] is not None
    ]
    columns = {name: row[name] for name in (*_ROW_KEYS, *COST_KEYS)}
    outcome = {
        "scores": scores_of_winner,
        "reason": row["verdict_reason"],
        "error": row["error"],
        "r_per_bit": r_per_bit(row["bits"], scores_of_winner),
    }
    return cast("TargetRow", columns | outcome | run_wide)


def r_per_bit(bits: float | None, scores: Iterable[Mapping[str, Any]]) -> float | None:
    """Held-out simulation r of a formula over its length."""
    names = ("scorer", "split", "text")
    for score in scores:
        if tuple(score[name] for name in names) == ("simulation", "holdout", "random") and bits:
            return score["value"] / bits
    return None


def _dicts(result: Any) -> list[dict[str, Any]]:
    names = [column[0] for column in result.description]
    return [dict(zip(names, values, strict=True)) for values in result.fetchall()]
