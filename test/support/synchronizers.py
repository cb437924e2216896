"""Synchronisers for tests, and cameras that feed them."""

from mvssm_ros.rig.synchronizer import RigSynchronizer

MS = 1_000_000
PERIOD = 33 * MS


def make(cameras="abc", **settings):
    """A synchroniser and the list its sets go to."""
    sets, resets = [], []
    defaults = {"slop_ns": 10 * MS, "deadline_ns": 50 * MS, "min_cameras": 2, "queue_size": 5}
    settings = defaults | settings
    sync = RigSynchronizer(
        list(cameras), on_set=sets.append, on_reset=lambda: resets.append(1), **settings
    )
    return sync, sets, resets


def feed_ticks(sync, cameras, first, last, offsets=None, start_ns=0):
    """Ticks first..last-1: the cameras' images arrive in the order given, when the tick begins."""
    for tick in range(first, last):
        for camera in cameras:
            stamp = start_ns + tick * PERIOD + (offsets or {}).get(camera, 0)
            sync.add(camera, stamp, f"{camera}{tick}", start_ns + tick * PERIOD)
            sync.expire(start_ns + tick * PERIOD)
