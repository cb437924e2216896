"""How sure it is that somebody is there: how often she was seen, and how many cameras agree."""

from __future__ import annotations

from dataclasses import dataclass

# Whom only half of the cameras see who ought to is believed after so long: by then cameras that
# have changed places are known (rig.agreement).
_BELIEVED_AFTER_SETS = 45
_BELIEVED_AFTER_NS = 7_000_000_000


@dataclass
class Support:
    """Of one track. Call `add` for every set in which the person is seen."""

    times_seen: int = 0
    balance: int = 0  # sets in which most cameras agreed on the person, less the others
    confirmed: bool = False  # and for ever

    def add(self, agreed: bool, age_ns: int, confirm_sets: int) -> None:
        """agreed: more than half of the cameras that ought to see the person do; age_ns: since she
        was seen first; confirm_sets: sets in which cameras must agree before she is confirmed."""
        self.times_seen += 1
        self.balance = max(0, self.balance + (1 if agreed else -1))
        long_seen = self.times_seen >= _BELIEVED_AFTER_SETS and age_ns >= _BELIEVED_AFTER_NS
        self.confirmed |= self.balance >= confirm_sets or long_seen
