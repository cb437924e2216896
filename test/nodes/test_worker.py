"""The one-slot worker: newest first, the rest dropped and counted, errors survived."""

import threading

from mvssm_ros.nodes.worker import OneSlotWorker


class Gate:
    """Work that waits until it is let through, so that tests need no clock."""

    def __init__(self):
        self.done = []
        self.begun = threading.Semaphore(0)
        self.go = threading.Semaphore(0)

    def __call__(self, item):
        self.begun.release()
        assert self.go.acquire(timeout=10)
        if item == "bad":
            raise ValueError("bad item")
        self.done.append(item)


def test_while_busy_only_the_newest_is_kept_and_the_rest_counted():
    gate = Gate()
    worker = OneSlotWorker(gate, on_error=gate.done.append, name="test")
    worker.offer(0)
    assert gate.begun.acquire(timeout=10)
    for item in (1, 2, 3):
        worker.offer(item)
    gate.go.release()
    assert gate.begun.acquire(timeout=10)  # item 3 has begun
    gate.go.release()
    worker.stop(timeout_s=10)
    assert gate.done == [0, 3]
    assert worker.overwritten == 2


def test_an_error_is_handed_on_and_the_worker_goes_on():
    gate, errors = Gate(), []
    worker = OneSlotWorker(gate, on_error=errors.append, name="test")
    for item in ("bad", "good"):
        worker.offer(item)
        assert gate.begun.acquire(timeout=10)
        gate.go.release()
    worker.stop(timeout_s=10)
    assert [str(e) for e in errors] == ["bad item"]
    assert gate.done == ["good"]


def test_stop_finishes_the_work_in_progress_and_drops_what_waits():
    gate = Gate()
    worker = OneSlotWorker(gate, on_error=gate.done.append, name="test")
    worker.offer("in progress")
    assert gate.begun.acquire(timeout=10)
    worker.offer("waiting")
    stopper = threading.Thread(target=worker.stop, args=(10,))
    stopper.start()
    gate.go.release()
    gate.go.release()
    stopper.join(timeout=10)
    assert not stopper.is_alive()
    assert gate.done == ["in progress"]


def test_work_that_takes_too_long_is_left_to_itself():
    gate = Gate()
    worker = OneSlotWorker(gate, on_error=gate.done.append, name="test")
    assert not worker.busy
    worker.offer("slow")
    assert gate.begun.acquire(timeout=10)
    assert worker.busy
    assert not worker.stop(timeout_s=0.05)
    gate.go.release()
    assert worker.stop(timeout_s=10)
    assert not worker.busy


def test_what_was_worked_on_is_let_go():
    class Item:
        gone = threading.Event()

        def __del__(self):
            self.gone.set()

    worker = OneSlotWorker(lambda item: None, on_error=print, name="test")
    worker.offer(Item())
    assert Item.gone.wait(timeout=10)
    worker.stop(timeout_s=10)
