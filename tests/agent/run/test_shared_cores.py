"""Torch's threads while investigations run side by side."""

from __future__ import annotations

from threading import Thread

import torch

from hubel.agent.run.shared_cores import shared_cores


def test_each_thread_gets_its_share_and_all_come_back() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    seen: list[int] = []
    try:
        for users in (1, 2, 3, 8):
            with shared_cores(users):
                thread = Thread(target=lambda: seen.append(torch.get_num_threads()))
                thread.start()
                thread.join()
        assert seen == [4, 2, 1, 1]
        assert torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(before)
