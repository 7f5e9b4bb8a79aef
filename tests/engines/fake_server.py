"""A server that speaks as much of vLLM's HTTP as the engine asks, with faults on demand."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from mathrl.engines import SampleRequest, SamplingParams
from mathrl.engines.local import LocalEngine
from mathrl.policy import load_policy

LOADING = threading.Lock()
"""transformers sets switches of the whole process while it loads a model."""


class FakeServer(ThreadingHTTPServer):
    """Samples with the local engine from the weights that it was told to load."""

    daemon_threads = True

    def __init__(self, policy):
        super().__init__(("127.0.0.1", 0), Handler)
        self.engine = LocalEngine(policy)
        self.lock = threading.Lock()
        self.version = "default"
        self.models = {"data": [{"id": "model", "max_model_len": 128}]}
        self.asked = []
        self.is_deaf = False  # takes new weights without loading them
        self.go_on = threading.Event()  # what hangs, until this is set
        self.num_hanging = 0
        self.fault = ""
        self.faults_left = 10**6
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def restart(self):
        """Come back with the weights that it was first started with."""
        self.version = "default"

    def stop(self):
        self.go_on.set()
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        if self.path == "/v1/models":
            self.answer(self.server.models)
        elif self.path == "/weight_info":
            self.answer({"weight_version": self.server.version})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/v1/completions":
            self.complete(body)
            return
        if self.path == "/collective_rpc" and not self.server.is_deaf:
            with LOADING:
                policy = load_policy(body["kwargs"]["weights_path"], device="cpu")
            self.server.engine = LocalEngine(policy)
        elif self.path == "/update_weight_version":
            self.server.version = body["new_version"]
        self.answer({"path": self.path})

    def complete(self, body):
        self.server.asked.append(body)
        with self.server.lock:
            fault = self.server.fault if self.server.faults_left > 0 else ""
            self.server.faults_left -= bool(fault)
        if fault == "drop":
            self.close_connection = True
            self.connection.close()
        elif fault == "hang":
            self.server.num_hanging += 1
            self.server.go_on.wait()
            self.server.num_hanging -= 1
        elif fault:
            self.answer({"error": "told by the server"}, int(fault))
        else:
            self.answer({"choices": [self.sampled(body)]})

    def sampled(self, body):
        request = SampleRequest(
            problem_id="",
            sample_index=0,
            prompt="",
            prompt_ids=tuple(body["prompt"]),
            seed=body["seed"],
        )
        params = SamplingParams(
            temperature=body["temperature"],
            max_new_tokens=body["max_tokens"],
            stop=tuple(body["stop"]),
        )
        with self.server.lock:
            [(_, completion)] = self.server.engine.sample([request], params)
        return {
            "token_ids": list(completion.token_ids),
            "logprobs": {"token_logprobs": list(completion.logprobs)},
            "finish_reason": completion.finish_reason,
            "text": completion.text,
        }

    def answer(self, body, status=200):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
