"""tests/clients/marionette.py - says to a program of Mozilla what it shall do, by its own remote control

    with Marionette(profile) as program:
        program.script("return Services.appinfo.name")

`profile` is the directory of a program that was started with --marionette and
--remote-allow-system-access, and whose preference marionette.port is 0.

Scripts run in the chrome of the program, as asynchronous functions: what they return comes back as
plain data, and what they throw becomes a ScriptFailed.
"""

import contextlib
import json
import os
import socket

from tests.system.harness import wait_for


class ScriptFailed(AssertionError):
    pass


class Marionette:
    def __init__(self, profile, limit=60):
        """Waits until the program listens, and later for each script, at most `limit` seconds."""
        port = wait_for(lambda: self._port(profile), limit, "the program listens")
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=limit)
        self.input = self.socket.makefile("rb")
        self.calls = 0
        self._receive()  # the greeting
        self.call("WebDriver:NewSession", {"strictFileInteractability": False})
        self.call("WebDriver:SetTimeouts", {"script": limit * 1000})
        self.call("Marionette:SetContext", {"value": "chrome"})

    @staticmethod
    def _port(profile):
        with contextlib.suppress(FileNotFoundError, ValueError):
            with open(os.path.join(profile, "MarionetteActivePort"), encoding="ascii") as f:
                return int(f.read())
        return None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.input.close()
        self.socket.close()

    def _receive(self):
        length = b""
        while (byte := self.input.read(1)) != b":":
            if not byte:
                raise ScriptFailed("the program has closed its remote control")
            length += byte
        return json.loads(self.input.read(int(length)))

    def call(self, name, parameters):
        self.calls += 1
        text = json.dumps([0, self.calls, name, parameters]).encode()
        self.socket.sendall(b"%d:%s" % (len(text), text))
        _, number, error, result = self._receive()
        assert number == self.calls
        if error:
            raise ScriptFailed(f"{name}: {error['error']}: {error['message']}\n{error['stacktrace']}")
        return result

    def script(self, text, *arguments):
        """The result of the body of an asynchronous function, which gets `arguments`."""
        body = (f"const done = arguments[arguments.length - 1];\n"
                f"(async (...args) => {{ {text}\n}})(...Array.from(arguments).slice(0, -1)).then(\n"
                "  value => done({ value: value === undefined ? null : value }),\n"
                "  error => done({ error: `${error}\\n${error.stack}` }));")
        told = self.call("WebDriver:ExecuteAsyncScript",
                         {"script": body, "args": list(arguments), "newSandbox": True})["value"]
        if told is None:
            raise ScriptFailed("a dialog stands in front of the window")
        if "error" in told:
            raise ScriptFailed(told["error"])
        return told["value"]
