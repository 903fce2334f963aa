"""Numbers and quotations are traced to the evidence that holds them, and to nothing else."""

from __future__ import annotations

import pytest

from hubel.agent.explainers.language_model.trace_claims import trace_claims

EVIDENCE = {
    "r1": "Over 37,143 tokens: -1.9 to 2.58, active on 12.8% of tokens.",
    "e1": 'e1 FOR h1: fires (at least 0.216): max +1.934; strongest " Monday" +1.93 | It was on Monday',
    "e2": "e2 AGAINST h1: silent (below 0.003): max +0.52 | It was «on»7 the table",
    "r2": "+3.1 | she was play«ing»9 well",
    "h1": "7 for 2 against; 7 of 9; correlation 0.31",
}


@pytest.mark.parametrize(
    ("findings", "claim", "evidence"),
    [
        ("It reaches 1.93 on Mondays [e1].", "1.93", ("e1",)),
        ("It reaches 1.9 on Mondays. [e1]", "1.9", ("e1",)),
        ("It reaches 1.94 on Mondays [e1].", "1.94", ()),
        ("It fires on 12.8% of tokens [r1].", "12.8%", ("r1",)),
        ("It read 37143 tokens [r1].", "37143", ("r1",)),
        ("It goes down to 1.9 [r1].", "1.9", ("r1",)),
        ("It reaches 0.52 [e1].", "0.52", ("e2",)),
        ('It fires on "Monday" [e1].', "Monday", ("e1",)),
        ('It is quiet in "on the table" [e2].', "on the table", ("e2",)),
        ('It fires on "Tuesday" [e1].', "Tuesday", ()),
        ('It fires on "as" [e1].', "as", ()),
        ('It fires on the piece "ing" [r2].', "ing", ("r2",)),
        ("It kept 7 of 9 predictions [h1].", "7", ("h1",)),
        ("It fires at 2.58 [e9].", "2.58", ("r1",)),
    ],
)
def test_a_claim_has_the_evidence_in_which_it_stands(
    findings: str, claim: str, evidence: tuple[str, ...]
) -> None:
    assert [(c.text, c.evidence) for c in trace_claims(findings, EVIDENCE)][:1] == [
        (claim, evidence)
    ]


def test_findings_without_a_number_or_quotation_claim_nothing() -> None:
    assert trace_claims("It fires on weekdays in general [e1, e2].", EVIDENCE) == ()
