"""Ctrl-C at a safe point."""

import os
import signal
import threading

import pytest

from mathrl.interrupts import deferred_interrupt


@pytest.fixture(autouse=True)
def ctrl_c_raises():
    """Whatever the test runner was started with."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def press_ctrl_c():
    os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_waits_for_the_end_of_the_block():
    done = []
    with pytest.raises(KeyboardInterrupt), deferred_interrupt():
        press_ctrl_c()
        done.append("rest of the block")
    assert done


def test_a_second_ctrl_c_does_not_wait():
    done = []
    with pytest.raises(KeyboardInterrupt), deferred_interrupt():
        press_ctrl_c()
        press_ctrl_c()
        done.append("never")
    assert not done


def test_the_handler_is_put_back():
    before = signal.getsignal(signal.SIGINT)
    with deferred_interrupt():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_an_error_in_the_block_is_not_hidden():
    with pytest.raises(ZeroDivisionError), deferred_interrupt():
        press_ctrl_c()
        raise ZeroDivisionError


def test_an_ignored_ctrl_c_stays_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with deferred_interrupt():
        press_ctrl_c()


def test_other_threads_run_as_they_are():
    seen = []

    def work():
        with deferred_interrupt():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGINT)]
