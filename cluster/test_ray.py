#!/usr/bin/env python3
"""Two nodes on this machine, one of them killed in the middle: nothing is lost.

    test_ray.py FACESR CLIP
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

from ray.cluster_utils import Cluster

HERE = os.path.dirname(os.path.abspath(__file__))
FILES = 5


def main():
    facesr, clip = map(os.path.abspath, sys.argv[1:])
    with tempfile.TemporaryDirectory(prefix="facesr-ray-") as scratch:
        folder, output = os.path.join(scratch, "in"), os.path.join(scratch, "out")
        for i in range(FILES):
            os.makedirs(os.path.join(folder, f"camera{i % 2}"), exist_ok=True)
            shutil.copy(clip, os.path.join(folder, f"camera{i % 2}", f"{i}.mp4"))
        with open(os.path.join(folder, "broken.mp4"), "wb") as broken:
            broken.write(b"no video")

        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
        stays = cluster.add_node(num_cpus=1, resources={"video": 1})
        dies = cluster.add_node(num_cpus=1, resources={"video": 1})
        assert stays and dies
        command = [
            sys.executable, os.path.join(HERE, "ray_batch.py"), folder, "-o", output, "--facesr", facesr,
            "--address", cluster.address, "--cpus=1", "--resources", '{"video": 0.5}', "--", "--report",
        ]
        run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=sys.stderr, text=True)
        lines = [json.loads(run.stdout.readline())]
        while lines[-1]["status"] == "failed":
            lines.append(json.loads(run.stdout.readline()))
        # One file is done; both nodes are in the middle of others.
        time.sleep(0.5)
        partial = [n for _, _, names in os.walk(output) for n in names if n.endswith(".partial")]
        cluster.remove_node(dies, allow_graceful=False)
        print(f"killed a node after {len(lines)} files, {len(partial)} under way", file=sys.stderr)
        lines += [json.loads(line) for line in run.stdout]
        code = run.wait()

        statuses = sorted(line["status"] for line in lines)
        assert code == 3, f"exit code {code}"
        # A node may have finished a file and died before it could say so: then another skips it.
        assert statuses.count("failed") == 1 and set(statuses) <= {"done", "failed", "skipped"}, statuses
        assert len({line["input"] for line in lines}) == len(lines) == FILES + 1, lines
        assert partial, "nothing was under way when the node was killed"
        # All inputs are one clip: whoever did a file, however often it was begun, the bytes are the same.
        videos = [os.path.join(here, n) for here, _, names in os.walk(output) for n in names if n.endswith(".mp4")]
        hashes = [hashlib.sha256(open(video, "rb").read()).hexdigest() for video in videos]
        assert len(hashes) == FILES and len(set(hashes)) == 1, list(zip(videos, hashes))
        left = [n for _, _, names in os.walk(output) for n in names if n.endswith(".partial")]
        assert not left, left
        # By the records of facesr itself all is done.
        check = subprocess.run([facesr, "batch", folder, "-o", output, "--dry-run", "--quiet"],
                               stdout=subprocess.PIPE, text=True)
        found = [json.loads(line)["status"] for line in check.stdout.splitlines()]
        assert sorted(found) == ["skipped"] * FILES + ["to do"], found
        pages = [n for _, _, names in os.walk(output) for n in names if n.endswith(".html")]
        assert len(pages) == FILES + 1, pages
        cluster.shutdown()
    print(f"{FILES} files on two nodes, one killed: nothing lost")


if __name__ == "__main__":
    main()
