"""A headless Chromium that opens a page, runs a probe in it, and returns what the probe found and what was logged."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BINARY = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PROBE = """
const found = {};
addEventListener("error", (event) => { (found.errors ??= []).push(event.message); });
addEventListener("securitypolicyviolation", (event) => { (found.errors ??= []).push(event.violatedDirective); });
addEventListener("load", () => {
  const note = (name, value) => { found[name] = value; };
  const $$ = (selector) => [...document.querySelectorAll(selector)];
  %s
  parent.postMessage(JSON.stringify(found), "*");
});
"""
FRAME = """<!DOCTYPE html>
<meta name="color-scheme" content="light dark">
<style>body { margin: 0 } iframe { border: 0; height: 1500px; width: %dpx }</style>
<pre id="found"></pre>
<script>addEventListener("message", (event) => { document.getElementById("found").textContent = event.data; });</script>
<iframe src="%s"></iframe>
"""


@dataclass(frozen=True)
class Visit:
    """What a probe noted, and the console's lines."""

    found: dict[str, Any]
    console: list[str]


def visit(page: Path, probe: str, width: int, tmp_path: Path, dark: bool = False) -> Visit:
    """Open a copy of `page` in a frame (windows have a least width), with a probe that its own policy lets run."""
    script = PROBE % probe
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    text = page.read_text(encoding="utf-8").replace("script-src ", f"script-src 'sha256-{digest}' ", 1)
    # First in the body: what the page itself throws is noted as well.
    text = text.replace("<body>", f"<body><script>{script}</script>", 1)
    copy, frame = tmp_path / "visit.html", tmp_path / "frame.html"
    copy.write_text(text, encoding="utf-8")
    frame.write_text(FRAME % (width, copy.as_uri()), encoding="utf-8")
    words = [str(BINARY), "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--log-level=0"]
    words += ["--virtual-time-budget=3000", f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},1500"]
    words += ["--blink-settings=preferredColorScheme=0"] if dark else []
    done = subprocess.run([*words, "--dump-dom", frame.as_uri()], capture_output=True, text=True, timeout=120)
    match = re.search(r'<pre id="found">(.+?)</pre>', done.stdout, re.S)
    assert match is not None, done.stderr[-2000:]
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return Visit(json.loads(html.unescape(match[1])), console)
