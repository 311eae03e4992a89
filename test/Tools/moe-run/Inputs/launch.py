"""Starts ranks as a launcher does, and prints what each one printed.

    launch.py torchrun|openmpi|slurm N [--without R] [--kill R] [NAME=VALUE..] -- COMMAND..

Each rank is a process with the launcher's variables; `torchrun` ranks meet at a free
port of 127.0.0.1, the others by their job. Rank R of --without is not started; rank R of
--kill is killed after half a second. NAME=VALUE is set for all, or with NAME@R=VALUE for
rank R alone; `%r` in COMMAND is the rank. A rank that has not ended after a minute is an
error. The exit code is that of rank 0, and printed for all.
"""

import os
import socket
import subprocess
import sys
import threading
import time

split = sys.argv.index("--")
(launcher, count, *settings), command = sys.argv[1:split], sys.argv[split + 1 :]
ranks = range(int(count))
with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
options, assignments = {}, []
while settings:
    if settings[0].startswith("--"):
        options[settings[0]] = int(settings[1])
        settings = settings[2:]
    else:
        assignments.append(settings.pop(0))


def environment(rank):
    result = dict(os.environ)
    if launcher == "torchrun":
        result.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=count,
                      MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    elif launcher == "openmpi":
        result.update(OMPI_COMM_WORLD_RANK=str(rank), OMPI_COMM_WORLD_SIZE=count,
                      PMIX_NAMESPACE=f"test.{os.getpid()}")
    else:
        result.update(SLURM_PROCID=str(rank), SLURM_NTASKS=count,
                      SLURM_JOB_ID=str(os.getpid()), SLURM_STEP_ID="0")
    for assignment in assignments:
        name, value = assignment.split("=", 1)
        name, _, only = name.partition("@")
        if not only or int(only) == rank:
            result[name] = value
            if not value:
                del result[name]
    return result


processes = {}
for rank in ranks:
    if rank != options.get("--without"):
        processes[rank] = subprocess.Popen(
            [word.replace("%r", str(rank)) for word in command],
            env=environment(rank),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
if "--kill" in options:
    time.sleep(0.5)
    processes[options["--kill"]].kill()
outputs = {}


def read(rank):
    outputs[rank], _ = processes[rank].communicate(timeout=60)


threads = [threading.Thread(target=read, args=(rank,)) for rank in processes]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
for rank in ranks:
    if rank not in processes:
        continue
    if rank not in outputs:
        processes[rank].kill()
        print(f"rank {rank} did not end")
        sys.exit(99)
    for line in outputs[rank].decode(errors="backslashreplace").splitlines():
        print(f"[{rank}] {line}")
    print(f"[{rank}] exit code {processes[rank].returncode}")
sys.exit(processes[0].returncode if 0 in processes else 0)
