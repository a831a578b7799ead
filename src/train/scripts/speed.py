#!/usr/bin/env python3
"""Training speed beside PyTorch: the same networks and steps, the same machine, the same run.

    python3 speed.py FACESR-TRAIN [--threads 1 2] [--steps 20] [--batch 32]

FACESR-TRAIN is the trainer's binary. Needs: pip install torch==2.11.0 numpy. The two take turns, so
that other work on the machine falls on both; medians of the single steps are compared.
"""
import argparse
import json
import statistics
import subprocess
import time

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.utils.parametrizations import spectral_norm

LAST = torch.channels_last


class Residual(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.a, self.b = nn.Conv2d(c, c, 3, 1, 1), nn.Conv2d(c, c, 3, 1, 1)

    def forward(self, x):
        return x + self.b(F.relu(self.a(x)))


class LowToHigh(nn.Module):
    """models/low_to_high.rs, compact, with models/consistency.rs"""

    def __init__(self, c=64, n=12):
        super().__init__()
        self.head, self.last = nn.Conv2d(3, c, 3, 1, 1), nn.Conv2d(c, 48, 3, 1, 1)
        self.blocks = nn.Sequential(*[Residual(c) for _ in range(n)])
        for name, shape in (("enlarge", (48, 3, 5, 5)), ("smooth", (3, 3, 5, 5)), ("mean", (3, 48, 1, 1))):
            self.register_buffer(name, torch.randn(shape) * 0.1)

    def base(self, x, weight):
        return F.conv2d(F.pad(x, (2, 2, 2, 2), mode="replicate"), weight)

    def forward(self, low):
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            head = self.head(low)
            detail = self.last(self.blocks(head) + head)
        guess = self.base(low, self.enlarge) + detail.float()
        d = low - F.conv2d(guess, self.mean)
        coarse = self.base(d, self.smooth)
        fine = d - coarse
        rms = (fine.square().mean((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        back = coarse + fine * F.relu(1 - 0.055 / rms)
        return F.pixel_shuffle(guess + self.base(back, self.enlarge), 4)


class Block(nn.Module):
    def __init__(self, i, o, halve, first):
        super().__init__()
        self.a, self.b = spectral_norm(nn.Conv2d(i, o, 3, 1, 1)), spectral_norm(nn.Conv2d(o, o, 3, 1, 1))
        self.skip = spectral_norm(nn.Conv2d(i, o, 1)) if halve or i != o else None
        self.halve, self.first = halve, first

    def forward(self, x):
        h = self.b(F.relu(self.a(x if self.first else F.relu(x))))
        if self.halve:
            h, x = F.avg_pool2d(h, 2), F.avg_pool2d(x, 2)
        return h + (x if self.skip is None else self.skip(x))


class Discriminator(nn.Module):
    """models/discriminator.rs, hr_compact"""

    def __init__(self):
        super().__init__()
        blocks, c = [], 12
        for i, w in enumerate((64, 128, 192)):
            blocks.append(Block(c, w, True, i == 0))
            c = w
        blocks.append(Block(c, c, False, False))
        self.blocks, self.last = nn.Sequential(*blocks), spectral_norm(nn.Linear(c, 1))

    def forward(self, x):
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            x = self.blocks(F.pixel_unshuffle(x, 2).contiguous(memory_format=LAST))
        return self.last(F.relu(x).float().sum((2, 3)))


def python(threads, steps, batch, bf16):
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    g, d = LowToHigh().to(memory_format=LAST), Discriminator().to(memory_format=LAST)
    g.bf16 = d.bf16 = bf16
    og, od = (torch.optim.Adam(m.parameters(), 1e-5, betas=(0.0, 0.9)) for m in (g, d))
    low = torch.randn(batch, 3, 16, 16).clamp(-1, 1).contiguous(memory_format=LAST)
    high = torch.randn(batch, 3, 64, 64).clamp(-1, 1).contiguous(memory_format=LAST)

    def pixel():
        og.zero_grad()
        F.mse_loss(g(low), high).backward()
        og.step()

    def gan():
        out = g(low)
        real, fake = d(torch.cat([high, out.detach()])).split(batch)
        od.zero_grad()
        (F.relu(1 - real).mean() + F.relu(1 + fake).mean()).backward()
        od.step()
        d.requires_grad_(False)
        og.zero_grad()
        (F.mse_loss(out, high) - 0.01 * d(out).mean()).backward()
        og.step()
        d.requires_grad_(True)

    result = {}
    for name, f in (("pixel_seconds", pixel), ("gan_seconds", gan)):
        for _ in range(3):
            f()
        times = []
        for _ in range(steps):
            start = time.perf_counter()
            f()
            times.append(time.perf_counter() - start)
        result[name] = statistics.median(times)
    return result


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--fp32", action="store_true")
    args = parser.parse_args()
    print(f"{'threads':>7} {'step':>6} {'PyTorch ms':>11} {'facesr-train ms':>16} {'ratio':>6}")
    for threads in args.threads:
        theirs, ours = [], []
        for _ in range(args.rounds):
            theirs.append(python(threads, args.steps, args.batch, not args.fp32))
            command = [args.binary, "speed", "--threads", threads, "--steps", args.steps, "--batch", args.batch]
            command += ["--fp32"] if args.fp32 else []
            ours.append(json.loads(subprocess.check_output([str(c) for c in command])))
        for name in ("pixel", "gan"):
            a, b = (min(r[f"{name}_seconds"] for r in rs) * 1000 for rs in (theirs, ours))
            print(f"{threads:7} {name:>6} {a:11.1f} {b:16.1f} {b / a:6.2f}", flush=True)


if __name__ == "__main__":
    main()
