"""What the rows share: our tools, comparisons, and the table of rows."""
import fnmatch
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import traceback

import numpy as np
from safetensors.numpy import load_file

BIN = pathlib.Path(os.environ["GPTPIPE_BIN"])
WORK = pathlib.Path(os.environ["INTEROP"])
REAL = WORK / "real"
REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
FORMATS = REPOSITORY / "tests/golden/formats"

EXACT = 2e-5  # largest difference of logits in fp32, of the largest logit
ROWS = []


def row(*environments):
    """A function of the folder it may write to. It returns what there is to say; any exception is a failure."""
    def add(function):
        ROWS.append((function, environments or ("t5", "t4")))
        return function
    return add


class Failed(Exception):
    pass


def run(*command, input=None, refused=None):
    """One of our tools. refused: a text that its one line on stderr has to have, and exit status 1."""
    command = [str(c) for c in command]
    p = subprocess.run([BIN / command[0], *command[1:]], input=input, capture_output=True)
    err = p.stderr.decode("utf-8", "replace").strip()
    told = " ".join(c if len(c) < 120 else c[:60] + "..." for c in command)
    if refused is not None:
        if p.returncode != 1 or refused not in err:
            raise Failed(f"{told}\n    exit {p.returncode}, expected a refusal with {refused!r}: {err}")
    elif p.returncode:
        raise Failed(f"{told}\n    exit {p.returncode}: {err}")
    return p.stdout


def convert(source, out, to=None, *more):
    out = str(out)
    run("convert-gpt2", source, "-o", out, *(["--to", to] if to else []), *more)
    return pathlib.Path(out)


def trace(checkpoint, ids, *more):
    """One row of ids through the model: the tensors by name."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "trace"
        run("sample", "-q", "-c", checkpoint, "--prompt-ids", ",".join(map(str, ids)), "--max-tokens", 0, "--trace", path,
            *more)
        return load_file(path)


def logits(checkpoint, ids, *more):
    return np.concatenate([trace(checkpoint, row, *more)["logits"] for row in np.asarray(ids)])


def tensors(checkpoint, *more):
    """Whatever it is, as our safetensors: names and layout of transformers."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "all.safetensors"
        run("convert-gpt2", "-q", checkpoint, "-o", path, *more)
        return load_file(path)


def greedy(checkpoint, ids, count, *more):
    out = run("sample", "-q", "-c", checkpoint, "--prompt-ids", ",".join(map(str, ids)), "-n", count, "-t", 0, "--json",
              "--ignore-end", *more)
    return json.loads(out)


def score(checkpoint, text, *more):
    """Ids and log-probabilities of a text by sample --score."""
    return json.loads(run("sample", "-q", "-c", checkpoint, "--score", "-", "--json", *more, input=text.encode()))


def token_ids(tokenizer, text, *more):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "text").write_bytes(text.encode())
        run("tokenize", "-q", "--tokenizer", tokenizer, "--separator", "", "--format", "raw16", folder / "text", "-o",
            folder / "ids", *more)
        return np.fromfile(folder / "ids", "<u2").astype(np.int64)


def close(ours, theirs, tolerance=EXACT, what="logits"):
    """The largest difference, of the largest value; Failed above the tolerance."""
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    if ours.shape != theirs.shape:
        raise Failed(f"{what}: shape {ours.shape}, theirs {theirs.shape}")
    difference = float(np.abs(ours - theirs).max() / np.abs(theirs).max()) if ours.size else 0
    if not difference <= tolerance:
        raise Failed(f"{what}: differ by {difference:.2e} of the largest, allowed {tolerance:.0e}")
    return difference


def same(ours, theirs, what="values"):
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    if ours.shape != theirs.shape or not (ours == theirs).all():
        n = min(ours.size, theirs.size)
        first = int(np.argmax(ours.reshape(-1)[:n] != theirs.reshape(-1)[:n])) if n else 0
        raise Failed(f"{what}: {ours.shape} and {theirs.shape}, first difference at {first}: "
                     f"{ours.reshape(-1)[first:first + 5]}, theirs {theirs.reshape(-1)[first:first + 5]}")


def main(environment, patterns):
    passed, failed = 0, []
    for function, environments in ROWS:
        name = function.__name__
        if environment not in environments or patterns and not any(fnmatch.fnmatch(name, p) for p in patterns):
            continue
        folder = WORK / "out" / environment / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        began = time.time()
        try:
            said = function(folder)
            passed += 1
            print(f"ok      {name:28} {said or ''} ({time.time() - began:.1f} s)", flush=True)
            shutil.rmtree(folder)
        except Exception as e:  # noqa: BLE001
            failed.append(name)
            where = "" if isinstance(e, Failed) else "\n    " + traceback.format_tb(e.__traceback__)[-1].strip()
            print(f"FAILED  {name:28} {type(e).__name__}: {e}{where}", flush=True)
    print(f"interop with {environment}: {passed} passed, {len(failed)} failed")
    sys.exit(bool(failed))
