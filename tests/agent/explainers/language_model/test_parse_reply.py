"""Replies as models write them, good and bad: what can be used is used, and nothing that a model writes raises."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubel.agent.explainers.language_model import parse_reply, tools
from hubel.agent.explainers.language_model.aliases import Aliases
from hubel.agent.explainers.language_model.concept_list import HINTS, concept_list
from hubel.agent.explainers.language_model.state import InvestigationState
from hubel.agent.explainers.protocol import ExploreFit, GradedPredicate
from hubel.agent.llm.conversation import Reply, ToolCall
from hubel.agent.llm.reply_limits import bounded_json
from hubel.agent.runlog.log import canonical
from hubel.tools.dissection import Predicate
from hubel.tools.dissection.concepts import FAMILIES
from hubel.tools.errors import ArgumentError
from hubel.tools.subject.address import Unit
from tests.support.scripted_model import HYPOTHESES, experiments, reply


def known() -> InvestigationState:
    """An investigation in which one hypothesis stands."""
    state = InvestigationState(
        Aliases(Unit.parse("mlp.0.3")),
        lambda printed: ExploreFit(0.1),
        lambda concepts: GradedPredicate("faintly " + concepts[0]),
    )
    parse_reply.parse_calls(reply(("propose", {"hypotheses": HYPOTHESES[:1]})), state)
    return state


def faults(name: str, arguments: dict[str, Any]) -> str:
    return " ".join(parse_reply.parse_calls(reply((name, arguments)), known())[0].faults)


PLANNED = {"hypothesis": "h1", "text": "on a Monday", "predicts": "fires"}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"hypothesis": "h7"}, "none of that id; the last that were taken are h1"),
        ({"predicts": "explodes"}, "'within', 'raises' or 'lowers'"),
        ({"predicts": "greater"}, "needs the text that it is compared with"),
        ({"predicts": "within", "low": 3, "high": 1}, "needs numbers low <= high"),
        ({"focus": "Friday"}, "does not occur in its text"),
        ({"text": "word " * 400}, "at most 600 characters"),
        ({"quantity": "kl"}, "predict greater or within"),
        ({"predicts": "raises"}, "predict fires or silent"),
        ({"quantity": "logprob", "predicts": "raises", "token": " cat"}, "needs strength"),
        (
            {"quantity": "logit_difference", "predicts": "lowers", "token": " a"},
            "needs versus and than",
        ),
        ({"volume": 11}, "Extra inputs are not permitted"),
    ],
)
def test_a_bad_experiment_is_answered_with_how_to_repair_it(
    change: dict[str, Any], says: str
) -> None:
    assert says in faults("experiment", {"experiments": [PLANNED | change]})


@pytest.mark.parametrize(
    ("predicate", "says"),
    [
        ("strongly words('monday')", "belongs to no concept"),
        ('loudly words("monday")', "a grade is one of faintly"),
        ('strongly weekday("monday")', "no family of concepts is called 'weekday'; nearest: "),
        ('strongly words("Monday")', "bare and in lower case"),
        ('strongly wordclass("days")', "no word class 'days'; nearest: weekdays, "),
        ('kind("numbers")', "no kind 'numbers'; nearest: number, "),
        ('words("unclosed)', "is not closed"),
    ],
)
def test_an_unreadable_term_costs_neither_the_hypothesis_nor_its_experiments(
    predicate: str, says: str
) -> None:
    state = known()
    rival = {"gist": "fires on days", "predicate": predicate}
    planned = [PLANNED | {"hypothesis": "h2", "text": f"on a Monday {n}"} for n in range(8)]
    proposal, tests = parse_reply.parse_calls(
        reply(("propose", {"hypotheses": [rival]}), ("experiment", {"experiments": planned})), state
    )
    assert says in proposal.faults[0]
    assert "its experiments stay" in proposal.faults[-1]
    assert (proposal.hypotheses[0].predicate, proposal.hypotheses[0].written) == (None, predicate)
    assert len(tests.experiments) == 8


def test_of_a_formula_the_terms_that_can_be_read_are_kept() -> None:
    written = 'strongly words("a") - slightly wordclass("days") + moderately after(kind("comma"))'
    (part,) = parse_reply.parse_calls(
        reply(("propose", {"hypotheses": [{"gist": "x", "predicate": written}]})), known()
    )
    (hypothesis,) = part.hypotheses
    assert hypothesis.predicate == (
        'strongly words("a") + moderately after(kind("comma")); step 1.0, rest 0.0'
    )
    assert hypothesis.written == written
    assert part.faults[0].startswith(
        'h2 is taken without slightly wordclass("days"): no word class'
    )


def test_only_the_term_that_does_not_run_is_left_out() -> None:
    state = known()

    def grade(concepts: tuple[str, ...]) -> GradedPredicate:
        absent = next((c for c in concepts if "zzz" in c), None)
        if absent:
            return GradedPredicate(problem=f"{absent} holds nowhere in the text; leave it out")
        return GradedPredicate(" + ".join(f"faintly {c}" for c in concepts))

    state.grade = grade
    proposed = [{"gist": "x", "predicate": 'words("a") + words("zzz") - strongly words("b")'}]
    (part,) = parse_reply.parse_calls(reply(("propose", {"hypotheses": proposed})), state)
    assert part.hypotheses[0].predicate == 'faintly words("a") + faintly words("b")'
    assert part.faults[0].startswith('h2 is taken without words("zzz"): holds nowhere')
    changed = 'words("b") - strongly -> + faintly'
    assert part.faults[1].startswith(f"h2 is taken with fitted degrees instead of yours: {changed}")


@pytest.mark.parametrize(
    ("predicate", "says"),
    [
        ("nothing", "name at least one concept"),
        ('strongly words("a"); step 1e999, rest 0', "must be numbers"),
        ("strongly " + "after(" * 900 + 'words("a")' + ")" * 900, "at most 1500"),
    ],
)
def test_a_formula_with_nothing_to_keep_is_answered_with_the_language(
    predicate: str, says: str
) -> None:
    assert says in faults("propose", {"hypotheses": [{"sentence": "x", "predicate": predicate}]})


def test_the_gist_is_kept_beside_a_sentence_that_the_formula_makes() -> None:
    proposed = {"gist": "play in any form", "predicate": 'strongly words("play", "played")'}
    (part,) = parse_reply.parse_calls(reply(("propose", {"hypotheses": [proposed]})), known())
    (hypothesis,) = part.hypotheses
    assert hypothesis.gist == "play in any form"
    assert hypothesis.sentence == Predicate.parse(proposed["predicate"]).sentence()
    long = {"gist": "word " * 30}
    (part,) = parse_reply.parse_calls(reply(("propose", {"hypotheses": [long]})), known())
    assert part.hypotheses[0].gist.split() == ["word"] * 25
    assert "the first 25 words of its gist, which has 30" in part.faults[0]


def test_a_revision_may_add_concepts_and_inherits_what_still_follows() -> None:
    state = known()
    state.grade = lambda concepts: GradedPredicate(" + ".join(f"faintly {c}" for c in concepts))
    planned = [PLANNED | {"text": f"on a Monday {n}"} for n in range(4)]
    parse_reply.parse_calls(reply(("experiment", {"experiments": planned})), state)
    state.outcomes = {
        f"e{n}": {"experiment": f"e{n}", "hypothesis": "h1", "outcome": outcome}
        for n, outcome in enumerate(("for", "for", "against", "void"), 1)
    }
    state.follows = lambda printed, experiments: [e.id != "e2" for e in experiments]
    revision = {"revises": "h1", "add": 'wordclass("weekdays")'}
    (part,) = parse_reply.parse_calls(reply(("propose", {"hypotheses": [revision]})), state)
    (hypothesis,) = part.hypotheses
    assert hypothesis.predicate == 'faintly words("the") + faintly wordclass("weekdays")'
    assert (hypothesis.inherited, state.tally("h2")) == (("e1", "e3"), (1, 1))
    assert "`add` needs `revises`" in faults(
        "propose", {"hypotheses": [{"gist": "x", "add": "kind"}]}
    )


def test_every_family_of_concepts_is_in_the_instructions() -> None:
    lines = concept_list().splitlines()
    assert len(lines) == len(FAMILIES)
    for family in FAMILIES:
        assert any(line.startswith(f"{family}(") for line in lines), family
    assert set(HINTS) - set(FAMILIES) <= {"lemma"}, "a hint about a family that is not there"


def test_concepts_without_grades_get_those_that_the_program_finds() -> None:
    state = known()
    proposed = [{"sentence": "x", "predicate": 'words("a") + strongly words("b")'}]
    (part,) = parse_reply.parse_calls(reply(("propose", {"hypotheses": proposed})), state)
    assert part.hypotheses[0].predicate == 'faintly words("a")'
    assert part.hypotheses[0].written == 'words("a") + strongly words("b")'


def test_what_a_formula_had_to_lose_is_said() -> None:
    state = known()
    state.grade = lambda concepts: GradedPredicate(
        "faintly " + concepts[0], left_out='words("b"), worth least (too long)'
    )
    proposed = [{"sentence": "x", "predicate": 'words("a") + words("b")'}]
    (part,) = parse_reply.parse_calls(reply(("propose", {"hypotheses": proposed})), state)
    assert part.hypotheses[0].id == "h2"
    assert part.faults[0].startswith('h2 is taken without words("b"), worth least (too long)')


@pytest.mark.parametrize(
    "sentence", ["Like h1, and on Fridays", "The same with other words", "same as before"]
)
def test_a_sentence_that_leans_on_another_hypothesis_is_sent_back(sentence: str) -> None:
    assert "its reader sees it alone" in faults("propose", {"hypotheses": [{"sentence": sentence}]})


def test_a_sentence_may_speak_of_what_looks_like_an_id() -> None:
    assert (
        faults("propose", {"hypotheses": [{"sentence": 'Fires on "h1" in the tags of a page.'}]})
        == ""
    )


def test_no_more_hypotheses_are_taken_than_can_be_told_from_luck() -> None:
    many = [{"sentence": f"fires on word {n}"} for n in range(8)]
    state = known()
    faults = list[str]()
    for turn in range(6):
        renamed = [{"sentence": f"{one['sentence']} in turn {turn}"} for one in many]
        faults += parse_reply.parse_calls(reply(("propose", {"hypotheses": renamed})), state)[
            0
        ].faults
    assert len(state.hypotheses) == parse_reply.MAX_HYPOTHESES
    assert "no more are taken" in faults[0]


def test_what_is_not_taken_keeps_its_id_so_that_the_next_one_has_the_id_that_its_writer_expects() -> (
    None
):
    proposed = [{"sentence": "word " * 41}, {"sentence": "fires on weekdays"}]
    planned = [PLANNED | {"hypothesis": "h3"}, PLANNED | {"hypothesis": "h2"}]
    first, second = parse_reply.parse_calls(
        reply(("propose", {"hypotheses": proposed}), ("experiment", {"experiments": planned})),
        known(),
    )
    assert first.faults[0].startswith("h2 is not taken: the sentence has 41 words")
    assert [h.id for h in first.hypotheses] == ["h3"]
    assert [e.hypothesis for e in second.experiments] == ["h3"]


def test_of_a_long_list_the_first_are_read() -> None:
    many = [PLANNED | {"text": f"on a Monday {n}"} for n in range(tools.MAX_PLANNED + 2)]
    (part,) = parse_reply.parse_calls(reply(("experiment", {"experiments": many})), known())
    assert len(part.experiments) == tools.MAX_PLANNED
    assert part.faults == ("2 more of this call are not made: at most 12 at once",)


def test_a_hypothesis_may_be_said_better_by_what_revises_it() -> None:
    again = HYPOTHESES[0] | {"sentence": "Fires on the article."}
    assert "to say it better write revises 'h1'" in faults("propose", {"hypotheses": [again]})
    (part,) = parse_reply.parse_calls(
        reply(("propose", {"hypotheses": [again | {"revises": "h1"}]})), known()
    )
    assert part.hypotheses[0].parent == "h1"


def test_lists_written_as_strings_or_left_out_are_read() -> None:
    written = json.dumps([PLANNED])
    assert parse_reply.parse_calls(reply(("experiment", {"experiments": written})), known())[
        0
    ].experiments
    assert parse_reply.parse_calls(reply(("experiment", {"experiments": PLANNED})), known())[
        0
    ].experiments


def test_the_focus_is_the_last_place_where_it_stands() -> None:
    experiment = PLANNED | {"text": "Monday and Monday", "focus": "Monday"}
    (planned,) = parse_reply.parse_calls(
        reply(("experiment", {"experiments": [experiment]})), known()
    )[0].experiments
    assert planned.passage.span == (11, 17)


def test_an_experiment_is_not_made_twice() -> None:
    fault = faults("experiment", {"experiments": [PLANNED, PLANNED]})
    assert "was made before" in fault


def test_units_are_known_by_their_aliases_only() -> None:
    aliases = Aliases(Unit.parse("mlp.12.803-"), hidden=["smollm2-135m"])
    assert aliases.hide("mlp.12.803 and mlp.12.803- beside mlp.3.4-, head.5.1 (layer 3)") == (
        "U and U- beside U1-, U2 (a layer)"
    )
    assert aliases.hide("head.5.1, mlp.7, layers 0 to 29, SmolLM2-135M, resid.8@topic") == (
        "U2, S1, a layer, the model, U3"
    )
    assert aliases.reveal(["U-", "U1"]) == ["mlp.12.803-", "mlp.3.4"]
    with pytest.raises(ArgumentError, match="known are U, U1, U2"):
        aliases.reveal("mlp.1.1")


def test_no_schema_says_what_an_address_looks_like() -> None:
    schemas = canonical(
        [[t.name, t.description, t.parameters] for t in tools.schemas("propose", "experiment")]
    )
    assert "mlp." not in schemas
    assert "layer" not in schemas


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4)
    ),
    max_leaves=12,
)
_FIELDS = [
    "hypotheses",
    "experiments",
    "sentence",
    "predicate",
    "text",
    "predicts",
    "hypothesis",
    "unit",
    "k",
    "texts",
]
_OBJECTS = st.dictionaries(st.sampled_from(_FIELDS) | st.text(max_size=5), _VALUES, max_size=5)
_ARGUMENTS = st.dictionaries(
    st.sampled_from(_FIELDS), _VALUES | st.lists(_OBJECTS, max_size=3), max_size=4
)
_NAMES = st.sampled_from([*tools.OWN, *tools.instrument_tools(), "run_shell", ""])


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(
    calls=st.lists(st.tuples(_NAMES, st.none() | _ARGUMENTS), max_size=4), text=st.text(max_size=40)
)
def test_nothing_that_a_model_writes_raises(
    calls: list[tuple[str, dict[str, Any] | None]], text: str
) -> None:
    made = tuple(
        ToolCall(f"c{i}", name, arguments, "{") for i, (name, arguments) in enumerate(calls)
    )
    came = Reply.from_json(
        json.loads(canonical(bounded_json(Reply(text=text, calls=made, stop="tools").to_json())))
    )
    state = known()
    if not parse_reply.why_unusable(came):
        parts = parse_reply.parse_calls(came, state)
        assert len(parts) == len(calls)
        assert all(part.usable or part.faults for part in parts)
    assert parse_reply.parse_calls(
        reply(("experiment", {"experiments": experiments("h1", 1)})), state
    )[0].experiments


def test_what_cannot_be_written_to_a_log_is_made_plain() -> None:
    deep: Any = "end"
    for _ in range(2000):
        deep = [deep]
    value = bounded_json({"a": "\ud800", "b": float("nan"), "c": deep, "d": float("inf")})
    assert (value["a"], value["b"], value["d"]) == ("\ufffd", None, None)
    canonical(value).encode()
