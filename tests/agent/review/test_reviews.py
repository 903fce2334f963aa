"""What people say of targets: events in separate segments, which no verdict and no replay reads."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hubel.agent.rescoring.notebook import score_explanation
from hubel.agent.review.request_models import ReviewBody
from hubel.agent.review.run_catalog import StoredRun
from hubel.agent.review.score_on_other_corpus import score_edit
from hubel.agent.review.write_review import add_review, open_holdout
from hubel.agent.run.replay import replay
from hubel.agent.runlog.log import read_events
from hubel.agent.runlog.reviews import Reviews
from hubel.agent.runlog.views import connect, target_rows
from hubel.tools.errors import CorruptError, UsageError
from hubel.tools.index import Collected
from hubel.tools.subject.subject import Subject
from tests.agent.review.conftest import ReviewClient

TARGET = "/api/runs/run/targets/mlp.0.0"


def say(client: ReviewClient, **body: Any) -> Any:
    answer = client.post(f"{TARGET}/reviews", {"name": "Ada"} | body)
    assert answer.status == 200, answer
    return answer.json["reviews"]


def test_review_is_shown_and_can_be_taken_back(client: ReviewClient) -> None:
    say(client, verdict="approve")
    assert [
        review["verdict"] for review in say(client, verdict="reject", name="Bob", note="never")
    ] == [
        "approve",
        "reject",
    ]
    row = client.get(TARGET).json["row"]
    assert (row["review"]["verdict"], row["review"]["name"]) == ("reject", "Bob")
    assert client.get("/api/runs/run/targets?review=reject").json["total"] == 1
    assert [review["name"] for review in say(client, verdict="undo", name="Bob")] == ["Ada"]
    assert client.get("/api/runs/run/targets?review=reject").json["total"] == 0
    assert client.post(f"{TARGET}/reviews", {"verdict": "undo", "name": "Bob"}).status == 400


def test_reviews_can_be_queried_with_sql(client: ReviewClient, folder: Path) -> None:
    with connect(folder) as db:
        assert db.execute("select count(*) from reviews").fetchone() == (0,)
    say(client, verdict="reject", note="'; drop table reviews")
    with connect(folder) as db:
        rows = db.execute(
            "select target, name, verdict, note, after_viewing from reviews"
        ).fetchall()
    assert rows == [("mlp.0.0", "Ada", "reject", "'; drop table reviews", False)]


@pytest.mark.slow
def test_reviews_change_no_number_of_the_run(client: ReviewClient, folder: Path) -> None:
    before, events = target_rows(folder), list(read_events(folder))
    say(client, verdict="reject")
    say(client, verdict="edit", text="Fires on nothing at all.")
    client.post(f"{TARGET}/open-holdout", {"name": "Ada"})
    assert target_rows(folder) == before
    assert list(read_events(folder)) == events
    assert not replay(folder).mismatches


def test_edited_predicate_is_scored_on_select(client: ReviewClient, folder: Path) -> None:
    printed = 'strongly words("monday"); step 1.0, rest 0.0'
    (review,) = say(client, verdict="edit", predicate=printed)
    score = score_explanation(str(folder), "mlp.0.0", printed)
    assert review["score"] == score.to_json()
    assert review["score"]["split"] == "select"
    assert review["after_viewing"] is False
    assert (
        client.post(
            f"{TARGET}/reviews", {"verdict": "edit", "name": "Ada", "predicate": "strongly ("}
        ).status
        == 400
    )
    assert client.post(f"{TARGET}/reviews", {"verdict": "edit", "name": "Ada"}).status == 400
    assert (
        client.post(
            f"{TARGET}/reviews", {"verdict": "edit", "name": "Ada", "text": "word " * 41}
        ).status
        == 400
    )


def test_held_out_text_is_closed_until_opened_and_marks_later_reviews(
    client: ReviewClient,
) -> None:
    explained = next(
        r for r in client.get("/api/runs/run/targets?status=done").json["rows"] if r["predicate"]
    )
    path = f"/api/runs/run/targets/{explained['target']}"
    assert client.get(f"{path}/predicted?split=holdout").status == 403
    assert client.get(path).json["holdout_opened"] is None
    opened = client.post(f"{path}/open-holdout", {"name": "Ada"}).json["opened"]
    assert client.post(f"{path}/open-holdout", {"name": "Bob"}).json["opened"] == opened
    predicted = client.get(f"{path}/predicted?split=holdout").json
    assert {m["split"] for m in predicted["maps"]} == {"holdout"}
    assert predicted["measure"]["r"] == explained["r"]
    assert client.get(path).json["holdout_opened"]["name"] == "Ada"
    reviews = client.post(f"{path}/reviews", {"verdict": "approve", "name": "Bob"}).json["reviews"]
    assert reviews[-1]["after_viewing"] is True


def other_text(folder: Path) -> str:
    """A corpus that no run has seen."""
    path = folder / "other.txt"
    path.write_text(
        "\n\n".join(
            f"{i} the cat said on Monday that the river is red and blue " * 8 for i in range(30)
        )
    )
    return str(path)


def test_edit_after_viewing_is_scored_on_another_corpus(
    folder: Path, tmp_path: Path, tiny: Subject
) -> None:
    run, to_score = StoredRun(folder), list[str]()
    run.refresh()

    def edit(predicate: str | None) -> None:
        body = ReviewBody(
            verdict="edit", name="Ada", text="Fires on the.", predicate=predicate, note=None
        )
        add_review(run, "mlp.0.0", body, lambda _, review: to_score.append(review))

    edit('strongly words("the")')
    assert to_score == []
    open_holdout(run, "mlp.0.0", "Ada")
    edit(None)
    edit('strongly words("the")')
    (review,) = to_score
    assert run.reviews.rows("mlp.0.0")[-1]["elsewhere"] is None
    corpus = other_text(tmp_path)
    score_edit(folder, review, corpus, tiny)
    row = run.reviews.rows("mlp.0.0")[-1]
    assert row["after_viewing"] is True
    assert row["score"] is not None
    assert row["elsewhere"] is not None
    assert (row["score"]["split"], row["elsewhere"]["corpus"]) == ("select", corpus)
    score = row["elsewhere"]["score"]
    data = Collected(next((folder / "transfer").iterdir()))
    texts = "".join(tiny.token_strings()[t] for t in data.tokens[0, : data.length[0]])
    assert "the cat said on Monday" in texts
    true = data.activations("mlp.0.0")[data.mask]
    the = np.array([s.strip().lower() == "the" for s in tiny.token_strings()])[
        data.tokens[data.mask]
    ]
    assert score["value"] == pytest.approx(np.corrcoef(true, the)[0, 1], abs=1e-6)


def test_failure_to_score_on_another_corpus_is_logged(
    folder: Path, tmp_path: Path, tiny: Subject
) -> None:
    reviews = Reviews(folder)
    edit = {"verdict": "edit", "name": "Ada", "predicate": 'strongly words("the")'}
    review = str(reviews.write("review", "mlp.0.0", edit | {"after_viewing": True}).id)
    score_edit(folder, review, str(tmp_path / "nothing.txt"), tiny)
    (row,) = reviews.rows("mlp.0.0")
    assert row["elsewhere"] is not None
    assert row["elsewhere"]["score"] is None
    assert "nothing.txt" in row["elsewhere"]["error"]
    with pytest.raises(UsageError, match="not an edit"):
        score_edit(folder, "nonsense")


def test_concurrent_reviewers_lose_nothing(folder: Path) -> None:
    """Two processes' worth of writers, each with its own segment, and readers in between."""
    writers = [Reviews(folder) for _ in range(2)]
    reader = Reviews(folder)

    def write(reviews: Reviews, name: str) -> None:
        for number in range(50):
            reviews.write(
                "review", "mlp.0.0", {"verdict": "note", "name": name, "note": str(number)}
            )
            reader.events()

    threads = [
        threading.Thread(target=write, args=pair)
        for pair in zip(writers, ("Ada", "Bob"), strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    notes = [(e.data["name"], e.data["note"]) for e in reader.events()]
    assert len(set(notes)) == 100
    for name in ("Ada", "Bob"):
        assert [int(note) for who, note in notes if who == name] == list(range(50))


def test_half_written_review_is_left_out_and_a_changed_one_is_an_error(folder: Path) -> None:
    reviews = Reviews(folder)
    for name in ("Ada", "Bob", "Eve"):
        reviews.write("review", "mlp.0.0", {"verdict": "approve", "name": name})
    (segment,) = (folder / "reviews").iterdir()
    lines = segment.read_bytes().splitlines(keepends=True)
    segment.write_bytes(b"".join(lines) + b'{"seq": 1, "time"')
    assert len(Reviews(folder).events()) == 3
    segment.write_bytes(b"".join(lines).replace(b"Bob", b"Rob"))
    with pytest.raises(CorruptError, match=r"line 2 \(review\): the event was changed"):
        Reviews(folder).events()
    segment.write_bytes(lines[0] + lines[2])
    with pytest.raises(
        CorruptError, match=r"line 2 \(review .*\): .* events before it were removed"
    ):
        Reviews(folder).events()
    segment.unlink()
    os.mkfifo(segment)
    with pytest.raises(CorruptError, match="FIFO"):
        Reviews(folder).events()


def test_agreement_with_the_keep_rule(client: ReviewClient) -> None:
    rows = client.get("/api/runs/run/targets?status=done").json["rows"]
    for row in rows:
        verdict = "approve" if row["verdict"] == "kept" else "reject"
        client.post(
            f"/api/runs/run/targets/{row['target']}/reviews", {"verdict": verdict, "name": "Ada"}
        )
    agreement = client.get("/api/runs/run").json["agreement"]
    assert agreement["reviewed"] == len(rows)
    assert agreement["kept_and_rejected"] == agreement["notkept_and_approved"] == 0
    assert agreement["kappa"] == (1.0 if 0 < agreement["approve"] < len(rows) else None)
