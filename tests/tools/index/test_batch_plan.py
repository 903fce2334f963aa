"""The reading order: everything once, hardly any padding, the same pool and sample for the same seed."""

from __future__ import annotations

import numpy as np
import pytest

from hubel.tools.corpus import SPLITS, Contexts, make_contexts
from hubel.tools.errors import UsageError
from hubel.tools.index.batch_plan import BATCH, BatchPlan, make_plan
from hubel.tools.index.shards.shard import Shard

from .conftest import small_corpus


@pytest.fixture(scope="module")
def contexts() -> Contexts:
    return make_contexts(small_corpus(120).documents, lambda text: [ord(c) for c in text], 7)


def plan_of(contexts: Contexts, seed: int = 0, pool: int = 6, sample: int = 50) -> BatchPlan:
    return make_plan(contexts, "explore", pool=pool, sample=sample, seed=seed)


def test_every_context_with_something_to_count_is_read_once(contexts: Contexts) -> None:
    plan = plan_of(contexts)
    read = np.concatenate([batch.rows for batch in plan.batches()])
    lengths = contexts.length[plan.rows]
    assert sorted(read) == np.flatnonzero(lengths > 1).tolist()
    assert sum(batch.n_tokens for batch in plan.batches()) == lengths[lengths > 1].sum()
    assert plan.n_tokens == lengths.sum()


def test_runs_are_the_lengths_and_tokens_are_the_contexts(contexts: Contexts) -> None:
    plan = plan_of(contexts)
    for batch in plan.batches():
        assert len(batch.rows) <= BATCH
        lengths = contexts.length[plan.rows[batch.rows]]
        assert (
            np.concatenate(
                [np.full(run.stop - run.start, run.length) for run in batch.groups]
            ).tolist()
            == lengths.tolist()
        )
        assert (batch.tokens == contexts.tokens[plan.rows[batch.rows], : lengths.max()]).all()


def test_pool_and_sample_meet_each_slot_once_and_count_only_what_counts(contexts: Contexts) -> None:
    plan = plan_of(contexts)
    pooled: dict[int, int] = {}
    sampled: list[int] = []
    seen: set[tuple[int, int]] = set()
    for batch in plan.batches():
        pooled |= {
            int(slot): int(batch.rows[c])
            for c, slot in zip(batch.pool.context, batch.pool.slot, strict=True)
        }
        sampled += range(batch.sample.slot, batch.sample.slot + len(batch.sample.context))
        for context, position in zip(batch.sample.context, batch.sample.position, strict=True):
            assert contexts.mask[plan.rows[batch.rows[context]], position]
            seen.add((int(batch.rows[context]), int(position)))
    assert pooled == dict(enumerate(plan.pool.tolist()))
    assert sampled == list(range(50))
    assert len(seen) == 50


def test_the_sample_is_drawn_evenly(contexts: Contexts) -> None:
    counts = np.zeros(contexts.tokens.shape[1])
    for seed in range(40):
        for batch in plan_of(contexts, seed).batches():
            np.add.at(counts, batch.sample.position, 1)
    shares = contexts.mask[plan_of(contexts).rows].sum(axis=0)
    expected = shares / shares.sum() * counts.sum()
    assert counts[0] == 0
    assert (np.abs(counts - expected)[1:] < 4 * np.sqrt(expected[1:])).all()


@pytest.mark.parametrize("count", [1, 2, 4, 7, 50])
def test_shards_share_the_batches_the_pool_and_the_sample(contexts: Contexts, count: int) -> None:
    plan = plan_of(contexts)
    shards = [plan.of(Shard(number, count)) for number in range(1, count + 1)]
    batches = [batch for shard in shards for batch in shard.batches()]
    assert sorted(batch.number for batch in batches) == list(range(plan.n_batches))
    assert sorted(np.concatenate([shard.pool for shard in shards])) == plan.pool.tolist()
    assert sorted(np.concatenate([shard.sample for shard in shards])) == plan.sample.tolist()
    for shard in shards:
        own = list(shard.batches())
        assert [batch.turn for batch in own] == list(range(shard.n_turns))
        assert [batch.number for batch in shard.batches(1)] == [batch.number for batch in own[1:]]
        assert shard.tokens_before(1) == sum(batch.n_tokens for batch in own[:1])
        for batch in own:
            assert (batch.rows[batch.pool.context] == shard.pool[batch.pool.slot]).all()
            assert batch.n_tokens == plan.batch_tokens[batch.number]
        sampled = [batch.sample.slot + i for batch in own for i in range(len(batch.sample.context))]
        assert sampled == list(range(len(shard.sample)))


@pytest.mark.parametrize("count", [2, 3, 7])
def test_the_round_of_shards_goes_on_from_split_to_split(contexts: Contexts, count: int) -> None:
    plans = [make_plan(contexts, split, pool=3, sample=3, seed=0) for split in SPLITS]
    shards = [Shard(number, count) for number in range(1, count + 1)]
    dealt: list[int] = []
    for plan in plans:
        owners = {batch.number: s.number for s in shards for batch in plan.of(s).batches()}
        dealt += [owners[number] for number in range(plan.n_batches)]
    assert dealt == [1 + i % count for i in range(sum(plan.n_batches for plan in plans))]
    assert min(plan.n_batches for plan in plans) > 0


@pytest.mark.parametrize("text", ["", "3", "0/4", "5/4", "3/0", "-1/4", "1.0/4", "a/b", "3/16/2"])
def test_what_is_no_shard_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(UsageError, match="expected") as error:
        Shard.parse(text)
    assert "\n" not in str(error.value)
    assert str(Shard.parse(" 3/16")) == "3/16"


def test_small_splits_take_what_there_is(contexts: Contexts) -> None:
    plan = plan_of(contexts, pool=10_000, sample=100_000)
    assert len(plan.pool) == len(plan.order)
    assert len(plan.sample) == contexts.mask[plan.rows].sum()
    empty = Contexts(
        contexts.tokens[:0], contexts.length[:0], contexts.document[:0], contexts.split[:0], ()
    )
    for split in SPLITS:
        assert list(make_plan(empty, split, pool=3, sample=3, seed=0).batches()) == []
