"""A WordNet of a dozen synsets in the database's own format, as an archive like the package's."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

NOTICE = "  1 This software and database is being provided to you\n"
FILES = {
    "data.noun": """\
00000010 03 n 01 entity 0 001 ~ 00000020 n 0000 | all there is
00000020 05 n 02 animal 0 beast 0 001 @ 00000010 n 0000 | a living thing that moves
00000030 05 n 01 dog 0 001 @ 00000020 n 0000 | it barks
00000040 05 n 01 turkey 0 001 @ 00000020 n 0000 | a bird
00000050 15 n 01 country 0 001 @ 00000010 n 0000 | a state
00000060 15 n 01 Turkey 0 001 @i 00000050 n 0000 | a country
00000070 18 n 02 person 0 individual 0 001 @ 00000010 n 0000 | somebody
00000080 18 n 01 Hare 0 001 @i 00000070 n 0000 | somebody of that name
00000090 05 n 01 hare 0 001 @ 00000020 n 0000 | a fast animal
00000100 07 n 01 size 0 002 @ 00000010 n 0000 = 00000010 a 0000 | how big
00000110 04 n 01 decision 0 002 @ 00000010 n 0000 + 00000010 v 0101 | the act of deciding
00000120 18 n 01 decider 0 002 @ 00000070 n 0000 + 00000010 v 0101 | who decides
00000130 21 n 01 purchase 0 002 @ 00000010 n 0000 + 00000020 v 0101 | what is bought
00000140 06 n 01 can 0 001 @ 00000010 n 0000 | a tin
00000150 18 n 01 dog 1 001 @ 00000070 n 0000 | an unpleasant person
""",
    "data.verb": """\
00000010 31 v 01 decide 0 001 + 00000110 n 0101 01 + 02 00 | make up one's mind
00000020 40 v 01 buy 0 001 + 00000130 n 0101 01 + 08 00 | get for money
00000030 41 v 01 can 0 000 01 + 02 00 | be able to
""",
    "data.adj": """\
00000010 00 a 01 big 0 001 = 00000100 n 0000 | of great size
00000020 00 s 01 huge 0 001 & 00000010 a 0000 | very big
00000030 00 a 01 galore(ip) 0 000 | in plenty
""",
    "data.adv": "00000010 02 r 01 decidedly 0 000 | without doubt\n",
    "index.sense": """\
animal%1:05:00:: 00000020 1 9
beast%1:05:00:: 00000020 1 1
big%3:00:00:: 00000010 1 5
buy%2:40:00:: 00000020 1 5
can%1:06:00:: 00000140 1 1
can%2:41:00:: 00000030 1 99
country%1:15:00:: 00000050 1 5
decide%2:31:00:: 00000010 1 20
decidedly%4:02:00:: 00000010 1 1
decider%1:18:00:: 00000120 1 0
decision%1:04:00:: 00000110 1 10
dog%1:05:00:: 00000030 1 42
dog%1:18:01:: 00000150 2 1
entity%1:03:00:: 00000010 1 1
galore%3:00:00:: 00000030 1 1
hare%1:05:00:: 00000090 1 2
hare%1:18:00:: 00000080 2 0
huge%5:00:00:big:00 00000020 1 4
individual%1:18:00:: 00000070 1 1
person%1:18:00:: 00000070 1 9
purchase%1:21:00:: 00000130 1 3
size%1:07:00:: 00000100 1 3
turkey%1:05:00:: 00000040 1 3
turkey%1:15:00:: 00000060 2 2
""",
}


def write_archive(path: Path, changed: Mapping[str, str] | None = None) -> Path:
    """The archive, with some files in other words; "" leaves one out."""
    files = {**FILES, **(changed or {})}
    with tarfile.open(path, "w:gz") as package:
        for name, content in files.items():
            if content:
                data = (NOTICE + content).encode("latin-1")
                entry = tarfile.TarInfo(f"package/dict/{name}")
                entry.size = len(data)
                package.addfile(entry, io.BytesIO(data))
    return path
