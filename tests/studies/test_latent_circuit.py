"""Latent circuits: a run that replays, random dictionaries, and dictionaries that cannot be used."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hubel.agent.cli.main import run_command_line
from hubel.agent.studies.run import replay_study
from hubel.bench.studies.checks.latent_circuit import planted_subject, study_of, write_pairs
from hubel.bench.tiny_subject import word_tokenizer
from hubel.studies import StudyContext, find_study
from hubel.studies.representation.latent_circuit import further_draw
from hubel.tools.dictionaries.dictionary import Dictionary
from hubel.tools.dictionaries.fold import rotated
from hubel.tools.dictionaries.write import write_dictionary
from hubel.tools.errors import UsageError
from tests.support.dictionaries import ActivationName, random_dictionary
from tests.support.tiny import tiny_subject


def random_directions(dictionary: Dictionary, seed: int) -> Dictionary:
    generator = torch.Generator().manual_seed(seed)
    basis = torch.linalg.qr(torch.randn(16, 16, generator=generator)).Q[:, :15]
    encoder = torch.cat([basis, -basis], dim=1)
    return replace(dictionary, encoder=encoder, decoder=encoder.T.contiguous())


def test_random_dictionaries_explain_no_more_than_rotated_ones_without_error_nodes() -> None:
    for seed in range(2):
        subject, dictionary = planted_subject(seed)
        result = study_of(subject, random_directions(dictionary, 100 + seed), latents=4)
        assert [claim.verdict == "supported" for claim in result.claims[2:]] == [False, False]


def test_a_run_replays_and_refuses_another_dictionary(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    subject, dictionary = planted_subject(0)
    subject.model.save_pretrained(tmp_path / "subject")
    word_tokenizer().save_pretrained(tmp_path / "subject")
    write_dictionary(dictionary, tmp_path / "sae", "saelens")
    argv = ["circuit", "latents", "--subject", str(tmp_path / "subject"), "--name", "days"]
    argv += ["--task", str(write_pairs(tmp_path / "days.csv")), "--unchecked-dictionaries"]
    argv += ["--dictionary", f"planted={tmp_path / 'sae'}", "--ablation", "mean"]
    argv += ["--discovery", "12", "--heldout", "12", "--runs", str(tmp_path)]
    assert run_command_line([*argv, "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    nodes = {line["node"]: line["effect"] for line in lines if "node" in line}
    assert {"sae.planted.0", "error.planted"} <= set(nodes)
    assert nodes["sae.planted.0"] < -1 < nodes["error.planted"]
    assert sum("verdict" in line for line in lines) == 4
    replay = replay_study(tmp_path / "days")
    assert (replay.mismatches, replay.bitwise) == ([], True)
    # a measurement is lost, and the dictionary is now another one
    (tmp_path / "days" / "measured" / "heldout.npz").unlink()
    (tmp_path / "sae").rename(tmp_path / "old")
    other = replace(dictionary, decoder=dictionary.decoder * 2)
    write_dictionary(other, tmp_path / "sae", "saelens")
    assert run_command_line(argv) == 2
    assert "is no longer the dictionary 'planted'" in capsys.readouterr().err


@pytest.mark.parametrize("activation", ["gated", "jumprelu", "topk"])
@pytest.mark.parametrize("subtracts", [True, False])
def test_a_rotated_dictionary_encodes_the_turned_vector(
    activation: ActivationName, subtracts: bool
) -> None:
    subject = tiny_subject()
    made = random_dictionary(subject, activation=activation, threshold=0.1)
    made = replace(made, normalisation="none", subtracts_bias=subtracts)
    generator = torch.Generator().manual_seed(3)
    vectors, centre = torch.randn(7, 16, generator=generator), torch.randn(16, generator=generator)
    turn = torch.linalg.qr(torch.randn(16, 16, generator=generator)).Q
    control = rotated(made, centre, turn, turn)
    expected = made.encode((vectors - centre) @ turn + centre)
    assert (expected > 0).any()
    torch.testing.assert_close(control.encode(vectors), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(control.decoder @ turn, made.decoder, atol=1e-5, rtol=1e-5)


def test_a_further_draw_is_within_a_prediction_interval() -> None:
    # t of 4 degrees at 1 - .05 / 4 is 3.495; the sd of these is sqrt(2.5)
    assert further_draw([1, 2, 3, 4, 5]) == pytest.approx(3.4954 * 2.5**0.5 * 1.2**0.5, rel=1e-3)


def test_dictionaries_that_cannot_be_used() -> None:
    subject, dictionary = planted_subject(0)
    with pytest.raises(UsageError, match="--unchecked-dictionaries takes it as it is"):
        study_of(subject, random_directions(dictionary, 5), unchecked_dictionaries=False)
    with pytest.raises(UsageError, match="expected NAME=PATH"):
        find_study("latent-circuit")(StudyContext([subject]), {"dictionary": ["nowhere"]})
    wide = random_dictionary(tiny_subject("gpt2"), "planted", n_latents=3)
    wide = replace(
        wide, encoder=torch.ones(9, 3), decoder=torch.ones(3, 9), decoder_bias=torch.ones(9)
    )
    wide = replace(wide, normalisation="none")
    with pytest.raises(UsageError, match="vectors of 9 numbers"):
        study_of(subject, wide)
