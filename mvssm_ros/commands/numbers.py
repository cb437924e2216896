"""Numbers of the command line, and the limits that they must keep."""

from __future__ import annotations

import argparse

from mvssm_ros.errors import UserError


def expect(args: argparse.Namespace, **limits: tuple[int, int | None]) -> None:
    """Raise UserError where an option that was given is below its least or above its most value.

    limits: (least, most) by the option's name; most is None where there is none.
    """
    for name, (least, most) in limits.items():
        value = getattr(args, name)
        if value is not None and (value < least or (most is not None and value > most)):
            wanted = f"at least {least}" if most is None else f"{least} to {most}"
            raise UserError(f"--{name.replace('_', '-')} is {value}: expected {wanted}")
