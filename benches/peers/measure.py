"""Runs a command and says what it took, as one line of JSON: the same yardstick for every tool of the bench."""
import json
import resource
import subprocess
import sys
import time

began = time.monotonic()
ended = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
wall = time.monotonic() - began
used = resource.getrusage(resource.RUSAGE_CHILDREN)
if ended.returncode not in (0, 3):  # 3: a restore that is done and names differences
    sys.exit(ended.stderr.decode(errors="replace")[-2000:])
print(json.dumps({"wall_s": wall, "cpu_s": used.ru_utime + used.ru_stime, "rss_kb": used.ru_maxrss}))
