#!/usr/bin/env python3
"""Runs `facesr batch` over an archive on a Ray cluster: one task a file.

    python3 ray_batch.py IN_DIR -o OUT_DIR [options] [-- options of facesr batch]

IN_DIR and OUT_DIR lie on storage that every node sees under the same name, and `facesr` is
installed on every node. The records are those of `facesr batch`: what is done is not done again, by
whichever of both it was done. Standard output gets one line of JSON for each file. A node that dies
gives its files to the others; a file that is broken stops nothing. Exit code 3: some files failed.
"""

import argparse
import ctypes
import json
import os
import signal
import subprocess
import sys
import time

import ray

# As `facesr batch` has them.
VIDEOS = set(
    "mp4 m4v mov qt mkv webm avi divx ts mts m2ts m2t mpg mpeg mpe m2v vob wmv asf flv f4v 3gp 3g2 ogv ogm mxf rm"
    " rmvb dav h264 264 avc h265 265 hevc mjpg mjpeg".split()
)
# Seconds to wait for another process that is at the same file.
BUSY_PAUSE = 2.0


def videos(folder, output):
    """Names of the videos below a folder, as `facesr batch` sees them."""
    output = os.path.realpath(output)
    names = []
    for here, folders, files in os.walk(folder):
        folders[:] = [
            f
            for f in folders
            if not f.startswith(".") and os.path.realpath(os.path.join(here, f)) != output
        ]
        for name in files:
            if not name.startswith(".") and name.rpartition(".")[2].lower() in VIDEOS:
                names.append(os.path.relpath(os.path.join(here, name), folder))
    return sorted(names)


def _die_with_parent():
    # A node that is killed must not leave a process behind that still holds the file's lock.
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def _batch(facesr, folder, output, names, options):
    """Runs `facesr batch` on these files of a folder; answers its lines."""
    ended = subprocess.run(
        [facesr, "batch", "-", "-o", output, "--jobs=1", "--quiet", *options],
        cwd=folder,
        input="".join(name + "\n" for name in names).encode(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=_die_with_parent,
    )
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    if len(lines) != len(names):
        said = ended.stderr.decode(errors="replace").strip()
        # An exception is tried again, on another node if there is one.
        raise RuntimeError(f"facesr batch ended with code {ended.returncode}: {said}")
    return lines


def one_file(facesr, folder, output, name, options):
    """Does one file; waits if another process is at it."""
    while True:
        (line,) = _batch(facesr, folder, output, [name], options)
        if line["status"] != "busy":
            line["node"] = ray.util.get_node_ip_address()
            return line
        time.sleep(BUSY_PAUSE)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("input", metavar="IN_DIR", help="folder with videos")
    parser.add_argument("-o", "--output", metavar="OUT_DIR", required=True, help="folder for the enhanced videos")
    parser.add_argument("--address", default="auto", help="the cluster; 'local' starts one on this machine [auto]")
    parser.add_argument("--facesr", default="facesr", help="the program, on every node [facesr]")
    parser.add_argument("--cpus", type=float, default=2.0, help="processors that one file keeps busy [2]")
    parser.add_argument("--gpus", type=float, default=0.0, help="share of a GPU that one file needs [0]")
    parser.add_argument("--resources", type=json.loads, default={}, metavar="JSON",
                        help='resource tags that a node must have, such as \'{"video": 1}\'')
    parser.add_argument("--tries", type=int, default=4, help="tries for a file whose node dies [4]")
    own, passed_on = sys.argv[1:], []
    if "--" in own:
        at = own.index("--")
        own, passed_on = own[:at], own[at + 1 :]
    args = parser.parse_args(own)
    args.options = passed_on
    return args


def main():
    args = arguments()
    # Ray has things to say on standard output now and then; ours is for the lines of JSON.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    folder, output = os.path.abspath(args.input), os.path.abspath(args.output)
    names = videos(folder, output)
    if not names:
        sys.exit(f"there is no video in {args.input}")
    ray.init(address=args.address, logging_level="warning", log_to_driver=False)
    task = ray.remote(one_file).options(
        num_cpus=args.cpus,
        num_gpus=args.gpus,
        resources=args.resources,
        max_retries=args.tries,
        retry_exceptions=True,
        scheduling_strategy="SPREAD",
    )
    # Large files first, so that none is left to the end alone.
    names.sort(key=lambda name: -os.path.getsize(os.path.join(folder, name)))
    begun = time.monotonic()
    waiting = {task.remote(args.facesr, folder, output, name, args.options): name for name in names}
    counts = {}
    finished = []
    while waiting:
        (ready,), _ = ray.wait(list(waiting), num_returns=1)
        name = waiting.pop(ready)
        try:
            line = ray.get(ready)
        except Exception as error:  # noqa: BLE001: whatever it was, the other files go on
            line = {"input": name, "status": "failed", "error": str(error).strip().splitlines()[-1]}
        counts[line["status"]] = counts.get(line["status"], 0) + 1
        if line["status"] in ("done", "skipped"):
            finished.append(name)
        print(json.dumps(line), file=out, flush=True)
        left = len(waiting)
        print(f"{len(names) - left} of {len(names)} files, {left} left", file=sys.stderr)
    if finished and "--report" in args.options:
        # All of them are there: this only writes the page over all pages.
        _batch(args.facesr, folder, output, sorted(finished), args.options)
    told = ", ".join(f"{n} {status}" for status, n in sorted(counts.items()))
    print(f"{told}; {time.monotonic() - begun:.1f} s", file=sys.stderr)
    sys.exit(3 if counts.get("failed") else 0)


if __name__ == "__main__":
    main()
