"""Answers programs with libjq: one JSON object {"program", "input"} a line in, one answer a line out.

An answer is {"outputs": [..]}, {"error": "compile"} or {"error": "runtime"}. A program that takes longer than ten seconds
ends the process.
"""

import faulthandler
import json
import sys

import jq


def answer(program, text):
    try:
        compiled = jq.compile(program)
    except ValueError:
        return {"error": "compile"}
    try:
        # As text, so that numbers reach libjq as they are written.
        lines = compiled.input_text(text).text().split("\n")
    except ValueError:
        return {"error": "runtime"}
    return {"outputs": [json.loads(line) for line in lines if line]}


for line in sys.stdin:
    asked = json.loads(line)
    faulthandler.dump_traceback_later(10, exit=True)
    answered = answer(asked["program"], json.dumps(asked["input"], ensure_ascii=False))
    faulthandler.cancel_dump_traceback_later()
    print(json.dumps(answered, ensure_ascii=False, separators=(",", ":")))
