"""Run fast-diff-py 1.0.4 as its command line does; all output goes to a working folder."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

from fast_diff_py.fast_dif import FastDifPy

if __name__ == "__main__":
    folder, work, threshold, processes, out = sys.argv[1:]
    limit = math.nextafter(float(threshold), math.inf)  # the peer excludes pairs at the limit, fast-diff includes them
    peer = FastDifPy(part_a=folder, workdir=work, purge=True)
    peer.config.first_loop.cpu_proc = peer.config.second_loop.cpu_proc = int(processes)
    peer.config.second_loop.diff_threshold = limit
    peer.full_index()
    peer.first_loop()
    peer.second_loop()
    peer.commit()
    pairs = [(a, b) for a, b, _ in peer.get_diff_pairs()]
    peer.cleanup()
    Path(out).write_text(json.dumps({"pairs": pairs}))
