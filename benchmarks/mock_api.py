"""An OpenAI-compatible API that answers arithmetic from a prompt and a seed, with faults on demand.

    python benchmarks/mock_api.py --port 8100 --fault-rate 0.2

For tests and for trying `mathrl eval --engine api` without an account. The same prompt and seed
have the same answer in every process; about half of the answers are right.
"""

import argparse
import hashlib
import json
import random
import re
import socket
import struct
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import click

FAULTS = ("429", "429-after", "500", "drop", "cut", "garbage", "empty", "null", "error")
"""What is drawn from; ``hang`` and ``trickle`` need a time-out, and are asked for by name alone."""
KEY = "sk-right"


def written(prompt, seed):
    """A completion: the sum of all numbers in the prompt, or another one, as the seed decides."""
    digest = hashlib.blake2b(f"{prompt}\0{seed}".encode(), digest_size=8).digest()
    total = sum(int(number) for number in re.findall(r"\d+", prompt))
    return f"That makes\n#### {total if digest[0] < 128 else total + 1 + digest[1] % 5}"


class MockApi(ThreadingHTTPServer):
    """The API in a thread; its attributes say how it behaves and what it was asked."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, port=0):
        super().__init__(("127.0.0.1", port), Handler)
        self.lock = threading.Lock()
        self.asked = []  # bodies, in their order
        self.headers = []
        self.faults = []  # of the next requests, None for an answer
        self.draw_fault = lambda: None  # for the requests after those
        self.key = None  # what a request must bear
        self.models = None  # the only ones that there are
        self.refused = {}  # field -> what is told where a request has it
        self.change = lambda answer: answer
        self.delay_s = 0.0
        self.gate = None  # an event: no answer before it is set
        self.num_running = self.max_running = 0
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self):
        """What ``--base-url`` takes."""
        return f"http://127.0.0.1:{self.server_port}/v1"

    def stop(self):
        """Answer nobody any more."""
        if self.gate is not None:
            self.gate.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, request, client_address):
        """A client that was killed is no error here."""

    def next_fault(self):
        with self.lock:
            return self.faults.pop(0) if self.faults else self.draw_fault()


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        """Print nothing."""

    def do_POST(self):
        """Answer, or fail as the server is told to."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server = self.server
        with server.lock:
            server.asked.append(asked)
            server.headers.append(dict(self.headers))
            server.num_running += 1
            server.max_running = max(server.max_running, server.num_running)
        if server.gate is not None:
            server.gate.wait()
        if server.delay_s:
            time.sleep(server.delay_s)
        with server.lock:  # before the answer: the client may ask again at once
            server.num_running -= 1
        fault = server.next_fault()
        if fault is None:
            self.respond(asked)
        else:
            self.fail(fault)

    def respond(self, asked):
        """Answer as an API that works."""
        server = self.server
        bearer = self.headers.get("Authorization", "").removeprefix("Bearer ")
        told = next((told for name, told in server.refused.items() if name in asked), None)
        if server.key is not None and bearer != server.key:
            self.answer({"error": {"message": f"Incorrect API key: {bearer}"}}, 401)
        elif server.models is not None and asked["model"] not in server.models:
            self.answer({"error": {"message": "The model does not exist"}}, 404)
        elif told is not None:
            self.answer({"error": {"message": told, "code": "unsupported_parameter"}}, 400)
        else:
            self.answer(server.change(self.completion(asked)))

    def completion(self, asked):
        """What was asked for, in the form of the endpoint."""
        is_chat = self.path.endswith("/chat/completions")
        prompt = asked["messages"][-1]["content"] if is_chat else asked["prompt"]
        text = written(prompt, asked.get("seed"))
        said = {"message": {"role": "assistant", "content": text}} if is_chat else {"text": text}
        return {
            "model": asked["model"],
            "choices": [{"index": 0, "finish_reason": "stop", **said}],
            "usage": {"prompt_tokens": len(prompt.split()), "completion_tokens": 10},
        }

    def fail(self, fault):
        """Fail in one of the ways that servers have."""
        if fault == "hang":
            self.connection.settimeout(None)
            self.rfile.read(1)  # until the client hangs up
        elif fault == "trickle":
            self.answer(b" ", length=10**9)
            with suppress(OSError):
                while True:
                    self.wfile.write(b" ")
                    time.sleep(0.01)
        elif fault == "drop":
            linger = struct.pack("ii", 1, 0)  # a reset instead of an end
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.close_connection = True
            self.connection.close()
        elif fault == "cut":
            self.answer(b'{"choices": [', length=1000)
            self.close_connection = True
        elif fault == "garbage":
            self.answer(b"<html>Bad gateway \x1b[31m</html>")
        elif fault == "empty":
            self.answer({"choices": []})
        elif fault == "null":
            self.answer({"choices": [{"message": {"content": None}, "finish_reason": "stop"}]})
        elif fault == "error":
            self.answer({"error": {"message": "the provider is overloaded", "code": 502}})
        else:
            status, _, after = fault.partition("-")
            headers = {"Retry-After": "0.02" if after == "after" else after} if after else {}
            self.answer({"error": {"message": f"told with {status}"}}, int(status), headers)

    def answer(self, body, status=200, headers=(), length=None):
        """Send a body, and promise more than it has where ``length`` says so."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(length or len(data)))
        self.end_headers()
        self.wfile.write(data)


def drawn_faults(rate, seed):
    """Draw from ``FAULTS`` for a share of the requests."""
    draw = random.Random(seed)
    return lambda: draw.choice(FAULTS) if draw.random() < rate else None


def main():
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--port", type=int, default=8100)
    parser.add_argument("--fault-rate", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    api = MockApi(arguments.port)
    api.draw_fault = drawn_faults(arguments.fault_rate, arguments.seed)
    click.echo(f"--base-url {api.url}")
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        api.stop()


if __name__ == "__main__":
    main()
