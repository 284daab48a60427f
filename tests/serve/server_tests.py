#!/usr/bin/env python3
"""The server from outside, on a tiny model with random weights.

  server_tests.py http    requests written by hand: answers are those of `g4 generate`; refusals, limits, who goes away
  server_tests.py client  OpenAI's own client, 64 of them at once (exit status 77 where the package openai is not here)
  server_tests.py page    the page to talk in, in headless Chromium (77 where there is none); --shot FILE keeps a picture of it
  server_tests.py load    a mixed load: nothing is lost, and memory does not grow; --seconds 3600 for an hour of it

Only this machine is talked to. A server that is started here is ended here.
"""
import argparse
import base64
import contextlib
import http.client
import json
import os
import random
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

options = None
folder = None


class Server:
    """The program, listening on a port of its own choice."""

    def __init__(self, *more, model="model", mode="exact", asan=""):
        path = options.model or os.path.join(folder, model)
        self.errors = tempfile.TemporaryFile(mode="w+")
        self.process = subprocess.Popen(
            [options.program, "serve", "-m", path, "--port", "0", "--mode", mode, "-t", "2", *more],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.errors,
            env={**os.environ, "ASAN_OPTIONS": asan + os.environ.get("ASAN_OPTIONS", "")})
        for _ in range(1200):
            found = re.search(r"http://[^\s]*:(\d+)/", self.said())
            if found:
                self.port = int(found.group(1))
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        self.process.kill()
        raise RuntimeError("the server did not start: " + self.said())

    def said(self):
        self.errors.seek(0)
        return self.errors.read()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def end(self, how=signal.SIGTERM):
        """Ends it as an operator does, if nobody has; the exit status must be 0, whatever clients did before."""
        if self.process.poll() is None and how is not None:
            self.process.send_signal(how)
        try:
            status = self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        said = self.said()
        self.errors.close()
        assert status == 0, f"exit status {status}: {said}"
        assert "Sanitizer" not in said, said

    def ask(self, method, path, body=None, headers=None, timeout=120):
        """A request; its status, its headers and its body, as JSON where it is that."""
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            data = json.dumps(body).encode() if isinstance(body, (dict, list)) else body
            line.request(method, path, data, {"Content-Type": "application/json", **(headers or {})})
            got = line.getresponse()
            text = got.read()
            is_json = got.headers.get_content_type() == "application/json"
            return got.status, got.headers, json.loads(text) if is_json else text.decode()
        finally:
            line.close()

    def post(self, path, **body):
        status, _, answer = self.ask("POST", path, body)
        assert status == 200, (status, answer)
        return answer

    def complete(self, prompt, **more):
        return self.post("/v1/completions", **{"prompt": prompt, "temperature": 0, "max_tokens": 24, **more})

    def chat(self, messages, **more):
        if isinstance(messages, str):
            messages = [{"role": "user", "content": messages}]
        return self.post("/v1/chat/completions", **{"messages": messages, "temperature": 0, "max_tokens": 24, **more})

    def stream(self, path, **body):
        """The events of a stream."""
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            line.request("POST", path, json.dumps({**body, "stream": True}), {"Content-Type": "application/json"})
            got = line.getresponse()
            assert got.status == 200, (got.status, got.read())
            assert got.headers.get_content_type() == "text/event-stream"
            events = [e for e in got.read().decode().split("\n\n") if e]
            assert events[-1] == "data: [DONE]", events[-1]
            return [json.loads(e.removeprefix("data: ")) for e in events[:-1]]
        finally:
            line.close()

    def raw(self, data, timeout=30):
        """What comes back for some bytes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as line:
            with contextlib.suppress(OSError):
                line.sendall(data)
            got = b""
            with contextlib.suppress(OSError):
                while piece := line.recv(65536):
                    got += piece
            return got

    def metric(self, name):
        return float(re.search(rf"^g4_{name} (\S+)$", self.ask("GET", "/metrics")[2], re.M).group(1))

    def until(self, metric, wanted, seconds=30):
        """Waits until a metric is what is wanted of it."""
        for _ in range(seconds * 20):
            if wanted(self.metric(metric)):
                return
            time.sleep(0.05)
        raise AssertionError(f"{metric} is {self.metric(metric)}")

    def memory(self):
        """Resident memory in MiB."""
        with open(f"/proc/{self.process.pid}/status") as status:
            return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1)) / 1024


def generate(prompt, *more, mode="exact", tokens=24):
    """What `g4 generate` says, which chooses the likeliest token."""
    run = subprocess.run([options.program, "generate", "-m", options.model or os.path.join(folder, "model"), "--mode", mode,
                          "--json", "--max-tokens", str(tokens), *more, prompt],
                         stdin=subprocess.DEVNULL, capture_output=True, check=True)
    return json.loads(run.stdout)


def at_once(work):
    """Runs all of them at once, and raises what one of them raised."""
    wrong, results = [], [None] * len(work)

    def one(i):
        try:
            results[i] = work[i]()
        except BaseException as why:  # pylint: disable=broad-except
            wrong.append(why)
    threads = [threading.Thread(target=one, args=(i,)) for i in range(len(work))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if wrong:
        raise wrong[0]
    return results


def data_url(path, kind):
    with open(path, "rb") as file:
        return f"data:{kind};base64," + base64.b64encode(file.read()).decode()


class Http(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server("--embedder", os.path.join(folder, "embedder"), "--context", "4096")

    @classmethod
    def tearDownClass(cls):
        cls.server.end()

    def refused(self, status, sentence, *request, **more):
        got, headers, body = self.server.ask(*request, **more)
        self.assertEqual(got, status, body)
        self.assertIn(sentence, body["error"]["message"])
        self.assertEqual(set(body["error"]), {"message", "type", "param", "code"})
        return headers, body["error"]

    def test_greedy_answers_are_those_of_generate_whatever_runs_beside(self):
        prompts = ["abc", "hello world", "a", "the quick brown fox jumps over the lazy dog " * 8]
        wanted = [generate(p)["text"] for p in prompts]
        noise = [lambda i=i: self.server.complete("noise " * i, temperature=1, seed=i, max_tokens=200, ignore_eos=True)
                 for i in range(1, 5)]
        got = at_once(noise + [lambda p=p: self.server.complete(p) for p in prompts])[len(noise):]
        self.assertEqual([g["choices"][0]["text"] for g in got], wanted)
        self.assertEqual(got[0]["usage"]["total_tokens"], got[0]["usage"]["prompt_tokens"] + got[0]["usage"]["completion_tokens"])

    def test_fast_mode_too(self):
        with Server(mode="fast") as server:
            for prompt in ("abc", "the quick brown fox jumps over the lazy dog " * 8):
                wanted = generate(prompt, "--batch", "15", mode="fast")["text"]
                self.assertEqual(server.complete(prompt)["choices"][0]["text"], wanted)

    def test_a_chat_is_a_turn_of_generate(self):
        wanted = generate("what is it?", "--turn")
        got = self.server.chat("what is it?")
        self.assertEqual(got["choices"][0]["message"]["content"], wanted["text"])
        self.assertEqual(got["usage"]["prompt_tokens"], wanted["prompt_tokens"])
        self.assertEqual(got["usage"]["completion_tokens"], len(wanted["tokens"]))

    def test_a_system_prompt_is_read_once(self):
        system = {"role": "system", "content": "you are a helpful and very patient assistant. " * 4}
        first = self.server.chat([system, {"role": "user", "content": "one"}])
        other = self.server.chat([system, {"role": "user", "content": "two"}])
        again = self.server.chat([system, {"role": "user", "content": "one"}])
        self.assertEqual(first["usage"]["prompt_tokens_details"]["cached_tokens"], 0)
        self.assertGreater(other["usage"]["prompt_tokens_details"]["cached_tokens"], 100)
        self.assertEqual(again["choices"][0]["message"], first["choices"][0]["message"])
        with Server("--prefixes", "0") as plain:  # and copied, it is what it would be if it were read again
            for said in ("one", "two"):
                got = plain.chat([system, {"role": "user", "content": said}])
                self.assertEqual(got["usage"]["prompt_tokens_details"]["cached_tokens"], 0)
                self.assertEqual(got["choices"][0]["message"], (first if said == "one" else other)["choices"][0]["message"])

    def test_guesses_change_no_answer(self):
        said = "one two three four " * 6
        plain = self.server.chat(said, max_tokens=60, ignore_eos=True)
        with Server("--guesses", "4") as guessing:
            got = guessing.chat(said, max_tokens=60, ignore_eos=True)
            self.assertEqual(got["choices"][0]["message"], plain["choices"][0]["message"])
            self.assertGreater(guessing.metric("guessed_tokens_total"), 0)
            self.assertGreaterEqual(guessing.metric("guessed_tokens_total"), guessing.metric("accepted_tokens_total"))

    def test_streams_say_the_same(self):
        whole = self.server.chat("tell me more", max_tokens=40, ignore_eos=True)
        events = self.server.stream("/v1/chat/completions", messages=[{"role": "user", "content": "tell me more"}], temperature=0,
                                    max_tokens=40, ignore_eos=True, stream_options={"include_usage": True})
        self.assertEqual(events[0]["choices"][0]["delta"]["role"], "assistant")
        said = "".join(e["choices"][0]["delta"].get("content", "") for e in events if e["choices"])
        self.assertEqual(said, whole["choices"][0]["message"]["content"])
        self.assertEqual(events[-2]["choices"][0]["finish_reason"], "length")
        self.assertEqual(events[-1]["usage"], whole["usage"] | {"prompt_tokens_details": events[-1]["usage"]["prompt_tokens_details"]})
        self.assertEqual({e["id"] for e in events}, {events[0]["id"]})

    def test_seeds_and_stops(self):
        ask = {"temperature": 1.5, "top_k": 0, "top_p": 1, "max_tokens": 60, "ignore_eos": True}
        one, two, same = (self.server.complete("abc", seed=s, **ask)["choices"][0]["text"] for s in (1, 2, 1))
        self.assertEqual(one, same)
        self.assertNotEqual(one, two)
        stop = one[len(one) // 2:][:2]
        got = self.server.complete("abc", seed=1, stop=[stop], **ask)["choices"][0]
        self.assertEqual(got, {"index": 0, "text": one[:one.index(stop)], "logprobs": None, "finish_reason": "stop"})

    def test_pictures_and_sounds(self):
        picture, sound = (os.path.join(options.media, name) for name in ("rgb.png", "16k_mono.wav"))
        for path, flag, part in (
                (picture, "--image", {"type": "image_url", "image_url": {"url": data_url(picture, "image/png")}}),
                (sound, "--audio", {"type": "input_audio", "input_audio": {"data": data_url(sound, "x").split(",")[1], "format": "wav"}})):
            try:
                wanted = generate("what?", "--turn", flag, path)
            except subprocess.CalledProcessError as why:
                self.assertIn(b"was built without", why.stderr)
                self.skipTest("the program reads no files of pictures and sounds")
            content = [part, {"type": "text", "text": "what?"}]
            noise = lambda: self.server.complete("noise", max_tokens=400, ignore_eos=True)  # noqa: E731
            got = at_once([lambda: self.server.chat([{"role": "user", "content": content}]), noise])[0]
            self.assertEqual(got["choices"][0]["message"]["content"], wanted["text"])
            self.assertEqual(got["usage"]["prompt_tokens"], wanted["prompt_tokens"])
        broken = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
        self.refused(400, "messages[0].content[0].image_url.url: picture", "POST", "/v1/chat/completions",
                     {"messages": [{"role": "user", "content": [broken]}]})

    def test_embeddings(self):
        run = subprocess.run([options.program, "embed", "-m", os.path.join(folder, "embedder"), "--mode", "exact", "abc", "xyz"],
                             stdin=subprocess.DEVNULL, capture_output=True, check=True)
        wanted = [e["vector"] for e in json.loads(run.stdout)["embeddings"]]
        got = self.server.post("/v1/embeddings", input=["abc", "xyz"])
        self.assertEqual([e["embedding"] for e in got["data"]], wanted)
        self.assertEqual(self.server.post("/v1/embeddings", input="abc")["data"][0]["embedding"], wanted[0])
        short = self.server.post("/v1/embeddings", input="abc", dimensions=4)["data"][0]["embedding"]
        self.assertAlmostEqual(sum(x * x for x in short), 1, places=5)
        self.refused(404, "model: must be embedder", "POST", "/v1/embeddings", {"input": "a", "model": "other"})
        self.refused(400, "dimensions: must be at most", "POST", "/v1/embeddings", {"input": "a", "dimensions": 100000})

    def test_what_is_there(self):
        self.assertEqual([m["id"] for m in self.server.ask("GET", "/v1/models")[2]["data"]], ["model", "embedder"])
        self.assertEqual(self.server.ask("GET", "/health")[2], {"status": "ok"})
        status, headers, page = self.server.ask("GET", "/")
        self.assertEqual(status, 200)
        self.assertIn("<title>g4</title>", page)
        self.assertIn("default-src 'none'", headers["Content-Security-Policy"])
        self.assertNotRegex(page, r"(src|href)=\"?https?:")  # nothing from elsewhere
        metrics = self.server.ask("GET", "/metrics")[2]
        for line in metrics.splitlines():
            self.assertRegex(line, r"^(# (HELP|TYPE) g4_\w+ .+|g4_\w+(\{\w+=\"\w+\"\})? [0-9.e+-]+)$")

    def test_refusals_name_the_field(self):
        chat = "/v1/chat/completions"
        good = [{"role": "user", "content": "a"}]
        self.refused(400, "body: ", "POST", chat, b"{\"messages\": ")
        self.refused(400, "temperature: must be a number from 0 to 2; found 9", "POST", chat, {"messages": good, "temperature": 9})
        _, error = self.refused(400, "a text may have 4096", "POST", chat,
                                {"messages": [{"role": "user", "content": "a" * 5000}]})
        self.assertEqual(error["code"], "context_length_exceeded")
        self.refused(400, "a text may have 4096", "POST", chat,
                     {"messages": [{"role": "user", "content": "a" * 5000}], "stream": True})
        self.refused(400, "max_tokens: must be a whole number from 1 to 4096", "POST", chat, {"messages": good, "max_tokens": 9999})
        self.refused(404, "model: must be model", "POST", chat, {"messages": good, "model": "gpt"})
        self.refused(404, "there is no such address", "POST", "/v1/images", {})
        headers, _ = self.refused(405, "takes POST; found GET", "GET", chat)
        self.assertEqual(headers["Allow"], "POST")
        self.refused(415, "Content-Type: must be application/json", "POST", chat, b"a=b",
                     headers={"Content-Type": "application/x-www-form-urlencoded"})
        self.refused(415, "Content-Encoding: must not be there", "POST", chat, b"x", headers={"Content-Encoding": "gzip"})
        self.refused(403, "Host: must be this machine", "GET", "/v1/models", headers={"Host": "evil.example:80"})
        self.refused(403, "Origin: must be this server's own page", "POST", chat, {"messages": good},
                     headers={"Origin": "http://evil.example"})
        self.assertEqual(self.server.ask("POST", chat, {"messages": good, "max_tokens": 1},
                                         headers={"Origin": f"http://127.0.0.1:{self.server.port}"})[0], 200)

    def test_bodies_are_bounded(self):
        with Server("--body-limit", "1") as server:
            big = json.dumps({"prompt": "a" * (2 << 20)}).encode()
            status, _, body = server.ask("POST", "/v1/completions", big)
            self.assertEqual((status, body["error"]["param"]), (413, "body"))
            chunk = b"%x\r\n%s\r\n" % (1 << 16, b" " * (1 << 16))  # and without a length that says so
            got = server.raw(b"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                             b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 64)
            self.assertIn(b" 413 ", got.split(b"\r\n")[0])
            self.assertEqual(server.ask("GET", "/health")[0], 200)

    def test_what_is_no_http_is_survived(self):
        noise = random.Random(5)
        pieces = [b"", b"\r\n\r\n", b"GET", b"GET / HTTP/9.9\r\n\r\n", b"POST /v1/completions HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
                  b"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 99999\r\n\r\n{",
                  b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 5000 + b"\r\n",
                  b"GET /%zz%00 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"]
        pieces += [bytes(noise.randrange(256) for _ in range(noise.randrange(400))) for _ in range(20)]

        def send(data):
            with socket.create_connection(("127.0.0.1", self.server.port), timeout=30) as line:
                with contextlib.suppress(OSError):
                    line.sendall(data)
                    line.shutdown(socket.SHUT_WR)
                    while line.recv(65536):
                        pass
        at_once([lambda d=d: send(d) for d in pieces])
        self.assertEqual(self.server.ask("GET", "/health")[0], 200)

    def test_a_token_is_asked_for(self):
        path = os.path.join(folder, "secret")
        with open(path, "w") as file:
            file.write("open sesame\nnot this\n")
        with Server("--token-file", path) as server:
            self.assertEqual(server.ask("GET", "/health")[0], 200)
            self.assertEqual(server.ask("GET", "/")[0], 200)
            for said in ({}, {"Authorization": "Bearer open sesamE"}, {"Authorization": "Bearer open sesame!"},
                         {"Authorization": "Bearer "}, {"Authorization": "Basic open sesame"}):
                for method, where in (("GET", "/v1/models"), ("GET", "/metrics"), ("POST", "/v1/completions")):
                    status, headers, _ = server.ask(method, where, b"x" * 100000 if method == "POST" else None, headers=said)
                    self.assertEqual((status, headers["WWW-Authenticate"]), (401, "Bearer"))
            self.assertEqual(server.ask("GET", "/v1/models", headers={"Authorization": "Bearer open sesame"})[0], 200)


class Crowds(unittest.TestCase):
    """Who waits, who goes away, who is slow."""
    long = {"temperature": 0, "max_tokens": 60000, "ignore_eos": True, "stream": True}

    def open(self, server, **body):
        """A request whose answer nobody reads yet."""
        line = socket.create_connection(("127.0.0.1", server.port), timeout=60)
        data = json.dumps(body).encode()
        line.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                     b"Content-Length: %d\r\n\r\n%s" % (len(data), data))
        return line

    def test_a_full_queue_turns_away_and_who_leaves_makes_room(self):
        with Server("--texts", "1", "--queue", "1", "--context", "65536") as server:
            first = self.open(server, prompt="a", **self.long)
            server.until("running", lambda n: n == 1)
            second = self.open(server, prompt="b", **self.long)
            server.until("queued", lambda n: n == 1)
            status, headers, body = server.ask("POST", "/v1/completions", {"prompt": "c"})
            self.assertEqual((status, headers["Retry-After"], body["error"]["code"]), (503, "2", "server_busy"))
            second.close()  # it never began
            first.close()   # in the midst of its answer
            server.until("cancelled_total", lambda n: n == 2)
            server.until("running", lambda n: n == 0)
            self.assertGreater(server.complete("c")["usage"]["completion_tokens"], 0)

    def test_who_goes_away_without_a_stream_is_noticed_too(self):
        with Server("--context", "65536") as server:
            line = self.open(server, **{**self.long, "prompt": "a", "stream": False})
            server.until("running", lambda n: n == 1)
            line.close()
            server.until("cancelled_total", lambda n: n == 1)
            server.until("connections", lambda n: n == 1)  # the one that asks

    def test_a_slow_reader_keeps_nobody_waiting(self):
        with Server("--context", "16384") as server:
            slow = [self.open(server, **{**self.long, "prompt": "a", "max_tokens": 12000}) for _ in range(4)]
            for _ in range(8):
                self.assertTrue(server.complete("b")["choices"][0]["finish_reason"])
            server.until("running", lambda n: n == 0, 120)  # all are done, and wait to be read
            for line in slow:
                with line:
                    got = b""
                    while piece := line.recv(1 << 20):
                        got += piece
                self.assertIn(b"data: [DONE]\n\n", got)

    def test_connections_are_bounded(self):
        with Server("--connections", "2") as server:
            idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(2)]
            for _ in range(100):  # they are counted once they are let in
                status, headers, _ = server.ask("GET", "/health")
                if status == 503:
                    break
                time.sleep(0.05)
            self.assertEqual((status, headers["Retry-After"]), (503, "2"))
            for line in idle:
                line.close()
            for _ in range(100):
                if server.ask("GET", "/health")[0] == 200:
                    break
                time.sleep(0.05)
            self.assertEqual(server.ask("GET", "/health")[0], 200)

    def test_the_end(self):
        # What can be said within the grace is said.
        server = Server("--context", "8192", "--grace", "60")
        line = self.open(server, **{**self.long, "prompt": "a", "max_tokens": 3000})
        server.until("running", lambda n: n == 1)
        server.process.send_signal(signal.SIGTERM)
        with line:
            got = b""
            while piece := line.recv(1 << 20):
                got += piece
        self.assertIn(b"data: [DONE]\n\n", got)
        server.end(None)
        # And what cannot is told so.
        server = Server("--context", "262144", "--grace", "0")
        line = self.open(server, **{**self.long, "prompt": "a", "max_tokens": 200000})
        server.until("running", lambda n: n == 1)
        server.process.send_signal(signal.SIGINT)
        with line:
            got = b""
            with contextlib.suppress(OSError):
                while piece := line.recv(1 << 20):
                    got += piece
        self.assertIn(b"the server is ending", got)
        server.end(None)


class Client(unittest.TestCase):
    """OpenAI's own."""
    @classmethod
    def setUpClass(cls):
        import openai
        cls.openai = openai
        cls.server = Server("--embedder", os.path.join(folder, "embedder"), "--queue", "64")
        cls.client = cls.new()

    @classmethod
    def new(cls):
        return cls.openai.OpenAI(base_url=f"http://127.0.0.1:{cls.server.port}/v1", api_key="none", max_retries=0, timeout=120)

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        cls.server.end()

    def test_everything_it_asks(self):
        c = self.client
        self.assertEqual([m.id for m in c.models.list()], ["model", "embedder"])
        said = [{"role": "user", "content": "what is it?"}]
        got = c.chat.completions.create(model="model", messages=said, temperature=0, max_tokens=24)
        wanted = generate("what is it?", "--turn")
        self.assertEqual(got.choices[0].message.content, wanted["text"])
        self.assertEqual(got.usage.completion_tokens, len(wanted["tokens"]))
        stream = c.chat.completions.create(model="model", messages=said, temperature=0, max_tokens=24, stream=True,
                                           stream_options={"include_usage": True})
        chunks = list(stream)
        self.assertEqual("".join(k.choices[0].delta.content or "" for k in chunks if k.choices), wanted["text"])
        self.assertEqual(chunks[-1].usage.completion_tokens, len(wanted["tokens"]))
        text = c.completions.create(model="model", prompt="abc", temperature=0, max_tokens=24, extra_body={"top_k": 3})
        self.assertEqual(text.choices[0].text, generate("abc")["text"])
        vectors = [c.embeddings.create(model="embedder", input="abc", **how).data[0].embedding
                   for how in ({}, {"encoding_format": "float"})]
        self.assertEqual([round(x, 6) for x in vectors[0]], [round(x, 6) for x in vectors[1]])
        tools = [{"type": "function", "function": {"name": "weather", "description": "d", "parameters": {
            "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}]
        with_tools = c.chat.completions.create(model="model", messages=said, tools=tools, temperature=0, max_tokens=4)
        self.assertGreater(with_tools.usage.prompt_tokens, got.usage.prompt_tokens)

    def test_it_understands_what_is_refused(self):
        with self.assertRaises(self.openai.BadRequestError) as caught:
            self.client.chat.completions.create(model="model", messages=[{"role": "cat", "content": "x"}])
        self.assertEqual(caught.exception.param, "messages[0].role")
        with self.assertRaises(self.openai.NotFoundError):
            self.client.chat.completions.create(model="gpt", messages=[{"role": "user", "content": "x"}])

    def test_64_at_once(self):
        wanted = {p: generate(p)["text"] for p in ("abc", "xyz", "hello")}

        def one(i):
            prompt = sorted(wanted)[i % 3]
            with self.new() as c:
                if i % 2 == 0:
                    return prompt, c.completions.create(model="model", prompt=prompt, temperature=0, max_tokens=24).choices[0].text
                pieces = c.completions.create(model="model", prompt=prompt, temperature=0, max_tokens=24, stream=True)
                return prompt, "".join(k.choices[0].text for k in pieces)
        for prompt, said in at_once([lambda i=i: one(i) for i in range(64)]):
            self.assertEqual(said, wanted[prompt])


class Browser:
    """Chromium without a window, told what to do over a pair of pipes."""

    def __init__(self, program, home):
        to_it, self.to = os.pipe()
        self.of, of_it = os.pipe()

        def ends():  # it reads from 3 and writes to 4
            one, other = os.dup(to_it), os.dup(of_it)
            os.dup2(one, 3)
            os.dup2(other, 4)
        self.process = subprocess.Popen(
            [program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
             "--disable-background-networking", "--window-size=800,700", f"--user-data-dir={home}", "--remote-debugging-pipe",
             "about:blank"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=ends, close_fds=False)
        os.close(to_it)
        os.close(of_it)
        self.count, self.held, self.session = 0, b"", None

    def call(self, method, seconds=60, **params):
        self.count += 1
        request = {"id": self.count, "method": method, "params": params}
        if self.session:
            request["sessionId"] = self.session
        os.write(self.to, json.dumps(request).encode() + b"\0")
        until = time.monotonic() + seconds
        while True:
            while b"\0" not in self.held:
                ready, _, _ = select.select([self.of], [], [], max(until - time.monotonic(), 0))
                piece = os.read(self.of, 1 << 20) if ready else b""
                if not piece:
                    raise RuntimeError(f"the browser does not answer {method}")
                self.held += piece
            message, _, self.held = self.held.partition(b"\0")
            answer = json.loads(message)
            if answer.get("id") == self.count:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]

    def open(self, url):
        target = self.call("Target.createTarget", url=url)["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.call("Page.enable")

    def run(self, script):
        got = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in got:
            raise RuntimeError(str(got["exceptionDetails"]))
        return got["result"].get("value")

    def until(self, script, seconds=60):
        end = time.monotonic() + seconds
        while not (value := self.run(script)):
            if time.monotonic() > end:
                raise AssertionError(f"the page never came to {script}: " + str(self.run("document.body.innerText")))
            time.sleep(0.1)
        return value

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.to)
        os.close(self.of)


class Page(unittest.TestCase):
    def test_a_conversation(self):
        more = [] if options.model else ["--context", "65536"]
        with Server(*more, "--temperature", "0") as server:
            browser = Browser(options.chromium, os.path.join(folder, "browser"))
            try:
                browser.open(f"http://127.0.0.1:{server.port}/")
                browser.until("document.getElementById('model')?.textContent")
                ask = "(text => { $('said').value = text; $('send').click(); })"
                browser.run("$('tokens').value = 40")
                said = "what is <b>bold</b>?"
                browser.run(f"{ask}({json.dumps(said)})")
                browser.until("document.querySelectorAll('.turn.model .note').length === 1 && running === null")
                self.assertEqual(browser.run("document.querySelector('.turn.user').textContent"), said)  # text, no HTML
                self.assertEqual(browser.run("document.querySelectorAll('#turns b').length"), 0)
                wanted = server.chat(said, max_tokens=40)["choices"][0]["message"]["content"]
                self.assertEqual(browser.run("document.querySelector('.turn.model .text').textContent"), wanted)
                # The next question goes on from there.
                browser.run(f"{ask}('and then?')")
                browser.until("document.querySelectorAll('.turn.model .note').length === 2 && running === null")
                messages = [{"role": "user", "content": said}, {"role": "assistant", "content": wanted},
                            {"role": "user", "content": "and then?"}]
                wanted = server.chat(messages, max_tokens=40)["choices"][0]["message"]["content"]
                self.assertEqual(browser.run("document.querySelectorAll('.turn.model .text')[1].textContent"), wanted)
                if options.shot:
                    with open(options.shot, "wb") as file:
                        file.write(base64.b64decode(browser.call("Page.captureScreenshot")["data"]))
                # A refusal is shown, and not kept for the next question.
                browser.run("$('temperature').value = 9")
                browser.run(f"{ask}('too hot')")
                self.assertIn("temperature: must be a number from 0 to 2",
                              browser.until("document.querySelector('.wrong')?.textContent"))
                browser.until("running === null")
                self.assertEqual(browser.run("messages.length"), 4)
                self.assertEqual(browser.run("performance.getEntriesByType('resource').filter(r => new URL(r.name).origin !== "
                                             "location.origin).length"), 0)
            finally:
                browser.close()


class Load(unittest.TestCase):
    def test_nothing_is_lost_and_memory_does_not_grow(self):
        picture = data_url(os.path.join(options.media, "rgb.png"), "image/png")
        real = options.model is not None
        # AddressSanitizer keeps 256 MB of what was freed, which would look like growth.
        with Server(*([] if real else ["--embedder", os.path.join(folder, "embedder")]), "--queue", "16",
                    mode="fast" if real else "exact",
                    asan="quarantine_size_mb=1:thread_local_quarantine_size_kb=16:") as server:
            prompts = ["abc", "hello world", "the quick brown fox " * 6]
            wanted = {p: server.complete(p)["choices"][0]["text"] for p in prompts}
            counts = {"answered": 0, "turned away": 0, "refused": 0, "went away": 0}
            lock = threading.Lock()
            until = time.monotonic() + options.seconds

            def count(what):
                with lock:
                    counts[what] += 1

            def client(seed):
                chance = random.Random(seed)
                while time.monotonic() < until:
                    kind = chance.choice(["text", "text", "chat", "chat", "stream", "leave", "broken", "slow"] +
                                         ([] if real else ["embed", "picture"]))
                    prompt = chance.choice(prompts)
                    if kind in ("leave", "slow"):
                        body = {"prompt": prompt, "temperature": 1, "max_tokens": 200, "ignore_eos": True, "stream": True}
                        with Crowds.open(None, server, **body) as line:
                            if kind == "slow":
                                got = b""
                                while piece := line.recv(chance.randrange(1, 4000)):
                                    got += piece
                                    time.sleep(0.001)
                                assert b"[DONE]" in got or b" 503 " in got, got[-300:]
                                count("answered" if b"[DONE]" in got else "turned away")
                            else:
                                line.recv(chance.randrange(1, 2000))
                                count("went away")
                        continue
                    path, body, expected = "/v1/completions", {"prompt": prompt, "temperature": 0, "max_tokens": 24}, 200
                    if kind == "chat":
                        path, body = "/v1/chat/completions", {"max_tokens": 16, "messages": [
                            {"role": "system", "content": f"be nice, number {chance.randrange(8)} " * 8},
                            {"role": "user", "content": prompt}]}
                    elif kind == "picture":
                        path, body = "/v1/chat/completions", {"max_tokens": 8, "messages": [{"role": "user", "content": [
                            {"type": "image_url", "image_url": {"url": picture}}, {"type": "text", "text": prompt}]}]}
                    elif kind == "embed":
                        path, body = "/v1/embeddings", {"input": [prompt] * 3}
                    elif kind == "broken":
                        path, body = "/v1/chat/completions", {"messages": [{"role": chance.choice(["cat", 7, None])}]}
                        expected = 400
                    elif kind == "stream":
                        body["stream"] = True
                    status, _, answer = server.ask("POST", path, body)
                    if status == 503:
                        assert answer["error"]["code"] == "server_busy", answer
                        count("turned away")
                        time.sleep(0.02)
                        continue
                    assert status == expected, (status, answer)
                    count("refused" if expected == 400 else "answered")
                    if kind == "text":
                        assert answer["choices"][0]["text"] == wanted[prompt], (prompt, answer)
                    elif kind == "stream":
                        assert answer.endswith("data: [DONE]\n\n"), answer[-300:]

            samples = []

            def watch():
                while time.monotonic() < until:
                    samples.append((options.seconds - (until - time.monotonic()), server.memory()))
                    time.sleep(max(options.seconds / 60, 0.25))
            at_once([lambda i=i: client(i) for i in range(options.clients)] + [watch])
            server.until("running", lambda n: n == 0)
            server.until("queued", lambda n: n == 0)
            server.until("connections", lambda n: n == 1)
            print(f"{sum(counts.values())} requests of {options.clients} clients in {options.seconds} s: "
                  + ", ".join(f"{n} {what}" for what, n in counts.items()))
            print("resident MiB: " + ", ".join(f"{m:.0f} at {t:.0f} s" for t, m in samples[::max(len(samples) // 12, 1)]))
            self.assertGreater(counts["answered"], options.seconds)
            third = len(samples) // 3
            before = max(m for _, m in samples[third:2 * third])
            after = max(m for _, m in samples[2 * third:])
            self.assertLess(after, before * 1.05 + 8, "memory grows")


def main():
    global options, folder
    parts = {"http": [Http, Crowds], "client": [Client], "page": [Page], "load": [Load]}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=parts)
    parser.add_argument("--program", required=True, help="g4-tiny-senses; any g4 with --model")
    parser.add_argument("--models", help="g4-serve-models, which makes the tiny models")
    parser.add_argument("--model", help="load: another model, such as a released one")
    parser.add_argument("--media", required=True, help="tests/media_files/data")
    parser.add_argument("--seconds", type=float, default=15, help="load: how long (default 15)")
    parser.add_argument("--clients", type=int, default=24, help="load: how many at once (default 24)")
    parser.add_argument("--chromium", default=shutil.which("chromium") or shutil.which("chromium-browser") or
                        shutil.which("google-chrome"), help="page: the browser")
    parser.add_argument("--shot", help="page: where a picture of it goes, a PNG")
    parser.add_argument("-k", action="append", help="only tests whose name holds this")
    options = parser.parse_args()
    if options.part == "client":
        try:
            import openai  # noqa: F401
        except ImportError as why:
            print(f"OpenAI's client is not here ({why}): python3 -m pip install --target build/python openai")
            return 77
    if options.part == "page" and not options.chromium:
        print("there is no Chromium")
        return 77
    folder = tempfile.mkdtemp(prefix="g4_serve_")
    try:
        if options.models:
            subprocess.run([options.models, folder], check=True)
        loader = unittest.TestLoader()
        if options.k:
            loader.testNamePatterns = [f"*{k}*" for k in options.k]
        suite = unittest.TestSuite(loader.loadTestsFromTestCase(c) for c in parts[options.part])
        return 0 if unittest.TextTestRunner(verbosity=2).run(suite).wasSuccessful() else 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
