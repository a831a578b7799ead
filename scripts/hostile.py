"""Makes damaged recordings, puts them through `facesr enhance`, and judges what comes out by FFmpeg.

hostile.py PROGRAM FOLDER EACH SEED JOBS; see hostile.sh. What breaks a promise stays in FOLDER.
"""

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

LIMIT = 30  # seconds that one file may take
# FFmpeg's options for each kind; an MP4 has its index in front or behind.
SOUND = ("[aac ", "[vorbis ", "[mp2", "[mp3", "[pcm")
KINDS = {
    "mp4": ["-c:v", "libx264", "-c:a", "aac"],
    "mkv": ["-c:v", "libx264", "-c:a", "libvorbis"],
    "ts": ["-c:v", "libx264", "-c:a", "mp2"],
    "avi": ["-c:v", "mpeg4", "-c:a", "pcm_s16le"],
}


def ffmpeg(*words):
    subprocess.run(["ffmpeg", "-v", "error", "-y", *words], stdin=subprocess.DEVNULL, check=True)


def recordings(folder, kind):
    """Two short recordings of a kind: one is damaged, the other spliced in."""
    made = []
    for number, size in enumerate(["96x64", "128x96"]):
        name = os.path.join(folder, f"whole-{number}.{kind}")
        front = ["-movflags", "+faststart"] if kind == "mp4" and number == 0 else []
        video = ["-f", "lavfi", "-i", f"testsrc2=s={size}:r=25:d=1.2", "-f", "lavfi", "-i", "sine=d=1.2"]
        ffmpeg(*video, *KINDS[kind], "-bf", "2", "-g", "10", *front, name)
        with open(name, "rb") as file:
            made.append(file.read())
    return made


def place(draw, length):
    """Somewhere in the file; every second time near one of its ends, where the index lies."""
    near = min(length, 2048)
    return draw.choice(
        [draw.randrange(length), draw.randrange(length), draw.randrange(near), length - 1 - draw.randrange(near)]
    )


def damaged(draw, whole, other):
    """A copy of `whole` that was cut, zeroed, spliced or flipped, one to three times."""
    data = bytearray(whole)
    for _ in range(draw.choice([1, 1, 2, 3])):
        if len(data) < 64:
            break
        at, size = place(draw, len(data)), draw.choice([1, 4, 16, 188, 1000, 8000])
        how = draw.randrange(6)
        if how == 0:  # cut off
            del data[max(at, 32) :]
        elif how == 1:  # a piece is missing
            del data[at : at + size]
        elif how == 2:  # zeroed
            size = min(size, len(data) - at)
            data[at : at + size] = bytes(size)
        elif how == 3:  # a piece of another recording in between
            begin = place(draw, len(other))
            data[at:at] = other[begin : begin + size]
        elif how == 4:  # a piece of it once more, over another
            begin = place(draw, len(data))
            data[at : at + size] = data[begin : begin + size]
        else:  # numbers at their ends
            size = min(draw.choice([1, 2, 4, 8]), len(data) - at)
            data[at : at + size] = bytes([draw.choice([0, 1, 0x7F, 0x80, 0xFF])]) * size
    return bytes(data)


def decodes(name):
    """Frames that FFmpeg decodes, and what it complains of. Packets of sound are passed on as they came: what is
    wrong within them is not held against the output."""
    probe = subprocess.run(
        ["ffprobe", "-v", "error", "-count_frames", "-select_streams", "v:0", "-show_entries",
         "stream=nb_read_frames", "-of", "csv=p=0", name],
        capture_output=True, text=True, check=False)  # fmt: skip
    play = subprocess.run(
        ["ffmpeg", "-v", "error", "-xerror", "-i", name, "-map", "0:v", "-map", "0:a?", "-c:a", "copy",
         "-f", "null", "-"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)  # fmt: skip
    digits = "".join(c for c in probe.stdout if c.isdigit())
    said = [line for line in (probe.stderr + play.stderr).splitlines() if not line.startswith(SOUND)]
    return int(digits or 0), "\n".join(said).strip() or (play.returncode and "cannot be played")


def judge(program, folder, kind, number, data):
    """Runs one file. Answers what became of it, how long it took, and what is wrong."""
    name = os.path.join(folder, f"{kind}-{number:03}.{kind}")
    out = os.path.join(folder, f"{kind}-{number:03}-out.{'mkv' if number % 4 == 3 else 'mp4'}")
    with open(name, "wb") as file:
        file.write(data)
    began = time.monotonic()
    command = [program, "enhance", name, "-o", out, "--json", out + ".json", "--detector", "none",
               "--preset", "ultrafast", "-q"]  # fmt: skip
    run = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        _, said = run.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        run.kill()
        _, said = run.communicate()
        said += b"\nhangs"
    took = time.monotonic() - began
    said = said.decode(errors="replace")
    wrong = None
    if "hangs" in said.splitlines():
        wrong = f"it was not done after {LIMIT} s"
    elif "panicked" in said or "CRITICAL" in said:
        wrong = "it panics or misuses a library"
    elif run.returncode not in (0, 1, 4):
        wrong = f"it ends with {run.returncode}"
    elif run.returncode == 1 and os.path.exists(out):
        wrong = "it fails and publishes an output"
    elif run.returncode == 1 and not said.startswith("facesr: "):
        wrong = "it fails without a sentence"
    elif run.returncode != 1:
        with open(out + ".json", encoding="utf-8") as file:
            counted = json.load(file)["frames"]
        frames, complaint = decodes(out)
        if frames != counted or complaint:
            wrong = f"it counted {counted} frames, {frames} decode: {complaint or 'without complaint'}"
    if wrong:
        return "wrong", took, f"{os.path.basename(name)}: {wrong}\n    {said.strip()[-600:]}"
    for rest in (name, out, out + ".json"):
        if os.path.exists(rest):
            os.remove(rest)
    return {0: "enhanced", 1: "refused", 4: "told as lossy"}[run.returncode], took, None


def main():
    program, folder, each, seed, jobs = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6])
    bad = 0
    for kind in KINDS:
        draw = random.Random(f"{seed} {kind}")
        one, other = recordings(folder, kind)
        files = [damaged(draw, *((one, other) if n % 2 == 0 else (other, one))) for n in range(each)]
        with ThreadPoolExecutor(jobs) as pool:
            verdicts = list(pool.map(lambda item: judge(program, folder, kind, *item), enumerate(files)))
        counts = Counter(verdict for verdict, _, _ in verdicts)
        longest = max(took for _, took, _ in verdicts)
        told = ", ".join(f"{counts[name]} {name}" for name in ("enhanced", "told as lossy", "refused", "wrong"))
        print(f"{kind}: {told}; the longest took {longest:.1f} s", flush=True)
        for _, _, wrong in verdicts:
            if wrong:
                print("  " + wrong, flush=True)
        bad += counts["wrong"]
    sys.exit(1 if bad else 0)


main()
