"""Small random damage to bytes, text and numbers."""

from __future__ import annotations

from random import Random
from typing import Any

SIZES = (0, 1, 2, 3, 7, 8, 255, 256, 4096, 32768, 65535, 65536, 2**24, 2**31 - 1, 2**31, 2**32 - 1)
FLOATS = (
    *(0.0, -0.0, 1.0, -1.0, 1e-320, 1e-9, 1e9, 1e38, 1e308, -1e308),
    *(float("nan"), float("inf"), float("-inf")),
)


def size(random: Random) -> int:
    """An unsigned 32-bit number, more often an awkward one."""
    return random.choice(SIZES) if random.random() < 0.8 else random.getrandbits(32)


def number(random: Random, near: float) -> float:
    """A float: an awkward one, or the given one a little or a lot off."""
    if random.random() < 0.5:
        return random.choice(FLOATS)
    return near * random.choice((-1.0, 0.5, 0.999, 1.001, 2.0, 1e3, 1e-3, 1e6))


def damage(random: Random, data: bytes, within: int | None = None) -> bytes:
    """One to eight changes: flips, cuts, insertions, repeats; in the first ``within`` bytes."""
    changed = bytearray(data)
    for _ in range(random.randint(1, 8)):
        end = min(len(changed), within or len(changed))
        if end < 2:
            return bytes(changed)
        at = random.randrange(end)
        upto = min(end, at + random.choice((1, 2, 4, 16, 200)))
        kind = random.randrange(7)
        if kind == 0:
            changed[at] ^= 1 << random.randrange(8)
        elif kind == 1:
            changed[at] = random.choice((0, 1, 0x20, 0x30, 0x7F, 0x80, 0xFF))
        elif kind == 2:
            changed[at:upto] = random.randbytes(upto - at)
        elif kind == 3:
            del changed[at:upto]
        elif kind == 4:
            changed[at:at] = changed[at:upto]
        elif kind == 5:
            changed[at:upto] = random.choice((b"\x00", b"\xff")) * (upto - at)
        elif random.random() < 0.3:
            del changed[at:]
    return bytes(changed)


def json_value(random: Random) -> Any:
    """Something that a JSON or YAML file may hold where something else is expected."""
    return random.choice(
        (
            *(None, True, False, "", "x", [], {}, [None], {"a": 1}, -1, 0, 1, 2, 3, 7, 63, 64, 65),
            *(10**3, 10**6, 10**9, 10**30, 0.5, 1.5, -0.5, 1e308, float("nan"), float("inf")),
            *([1, 2, 3], ["a"], [10**9], [[1]], "1", "nan", "é\u0000", "x" * 1000),
        )
    )
