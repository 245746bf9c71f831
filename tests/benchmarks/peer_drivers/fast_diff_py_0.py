"""Run fast-diff-py 0.2.3 as in its README; it writes thumbnails and a database into the folder of images."""

from __future__ import annotations

import json
import math
import os
import sys
from pathlib import Path

from fast_diff_py.fastDif import FastDifPy

PAIRS = """
    SELECT a.path, b.path FROM dif_table JOIN directory a ON a.key = key_a JOIN directory b ON b.key = key_b
    WHERE dif >= 0 AND dif < ?
"""

if __name__ == "__main__":
    folder, _, threshold, processes, out = sys.argv[1:]
    limit = math.nextafter(float(threshold), math.inf)  # the peer excludes pairs at the limit, fast-diff includes them
    peer = FastDifPy.init_new(folder, progress=False, disable_config_timeout=True, retain_config=False)
    peer.index_the_dirs()
    peer.first_loop_iteration(cpu_proc=int(processes))
    peer.second_loop_iteration(similarity_threshold=limit, cpu_proc=int(processes))
    peer.db.commit()
    pairs = peer.db.con.execute(PAIRS, (limit,)).fetchall()
    (recorded,) = peer.db.con.execute("SELECT count(*) FROM dif_table").fetchone()
    Path(out).write_text(json.dumps({"pairs": pairs, "note": f"{recorded:,} pairs in its table"}))
    os._exit(0)  # the process would sometimes never end, since the peer's queues are not empty
