"""Real vLLM servers that sample from the embedded policy."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from mathrl.engines.vllm import ENVIRONMENT
from mathrl.policy import EMBEDDED_POLICY

START_S = 180
"""The longest that a server may take to answer."""

for key, value in {**ENVIRONMENT, "VLLM_CPU_KVCACHE_SPACE": "1"}.items():
    os.environ.setdefault(key, value)


class RunningServer:
    """A vLLM server in a process group of its own."""

    def __init__(self, *options):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "vllm.entrypoints.openai.api_server"),
                *("--model", str(EMBEDDED_POLICY), "--port", str(port), "--host", "127.0.0.1"),
                *("--dtype", "float32", "--enforce-eager", "--max-model-len", "256"),
                *options,
            ],
            env={**os.environ, "VLLM_SERVER_DEV_MODE": "1", "OMP_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def wait(self):
        end = time.monotonic() + START_S
        while time.monotonic() < end and self.process.poll() is None:
            with suppress(URLError, ConnectionError), urlopen(f"{self.url}/health") as answer:
                if answer.status == 200:
                    return self
            time.sleep(0.5)
        raise RuntimeError(f"no vLLM server at {self.url}")

    def kill(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@pytest.fixture
def servers():
    """Two servers that a test may kill."""
    running = [RunningServer("--logprobs-mode", "processed_logprobs") for _ in range(2)]
    try:
        yield [server.wait() for server in running]
    finally:
        for server in running:
            server.kill()
