"""Several ranks that are processes, with a GPU each or with none, and what happens if one
of them dies."""

import collections
import importlib.util
import os
import re
import shutil
import socket
import subprocess
import sys
import time

import gpu_cases
import safetensors
from recordings import TOLERANCE


def idle(process):
    """Whether a process has not yet computed, as its start alone takes less."""
    try:
        with open(f"/proc/{process}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except FileNotFoundError:
        return False
    return int(fields[11]) + int(fields[12]) < 0.05 * os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


class Ranks:
    """Runs layers of `count` ranks; `layers` is where they are and what is broken."""

    def __init__(self, layers, count):
        self.layers = layers
        self.count = count

    def launchers(self):
        """How ranks are started, or why not: name -> (command, environment)."""
        ways = {"one process": ([], {})}
        if importlib.util.find_spec("torch"):
            ways["torchrun"] = ([sys.executable, "-m", "torch.distributed.run",
                                 "--no-python", "--standalone", "--nproc-per-node",
                                 str(self.count)], {})
        else:
            ways["torchrun"] = "no PyTorch here"
        mpirun = shutil.which("mpirun")
        ways["mpirun"] = ([mpirun, "--allow-run-as-root", "--oversubscribe", "-n",
                           str(self.count)],
                          {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()},
                          ) if mpirun else "no mpirun here"
        return ways

    #===------------------------------------------------------------------===#
    # Collectives
    #===------------------------------------------------------------------===#

    def collectives_logged(self, prefix):
        """Calls in NCCL's own logs, by kind, of all ranks together."""
        counts = collections.Counter()
        names = {"AllReduce": "all_reduce", "AllGather": "all_gather",
                 "ReduceScatter": "reduce_scatter", "Send": "all_to_all"}
        for file in os.listdir(self.layers.directory):
            if file.startswith(prefix):
                with open(self.layers.path(file), errors="replace") as log:
                    for kind in re.findall(r"NCCL INFO (\w+): opCount", log.read()):
                        if kind in names:
                            counts[names[kind]] += 1
        return counts

    def collectives_described(self, info):
        """What NCCL has to log: each rank its calls, in an all-to-all one for each rank
        that it sends to."""
        counts = collections.Counter()
        for collective in info["collectives"]:
            calls = self.count
            if collective["kind"] == "all_to_all":
                for axis in collective["axes"]:
                    calls *= info["mesh"][axis]["size"]
            counts[collective["kind"]] += calls
        return counts

    def compare(self, name, inputs, expected, way, launcher, tolerance=TOLERANCE):
        """Runs a layer beside what is expected of it, which may be nothing: a fault or
        None. Replicas must be equal and collectives as many as described."""
        command, environment = launcher
        prefix = f"nccl-{name}-{way.replace(' ', '')}"
        environment = {**environment, "NCCL_DEBUG": "INFO",
                       "NCCL_DEBUG_SUBSYS": "COLL",
                       "NCCL_DEBUG_FILE": self.layers.path(prefix + ".%p")}
        outputs = self.layers.path(prefix + "-out")
        arguments = ["--expect", expected, "--rtol", tolerance] if expected else []
        result = self.layers.execute(
            [*command, self.layers.moe_run, self.layers.artifact(name), "--timeout", "30",
             "--inputs", inputs, *arguments, "--outputs", outputs, "--gather", "--stats"],
            180, environment)
        self.layers.log(f"{name} {way}: exit {result.code}, {result.seconds:.1f} s")
        self.layers.log(result.output[-4000:])
        if result.code != 0 or "DIFFER" in result.output:
            line = re.search(r"error: .*|.*DIFFER.*", result.output)
            return f"exit {result.code}, {line.group(0) if line else ''}"
        info = gpu_cases.describe(self.layers.artifact(name))
        return (self.compare_replicas(info, outputs)
                or self.compare_counts(info, prefix, result.output))

    def compare_replicas(self, info, outputs):
        ranks = [safetensors.read(f"{outputs}/rank{rank}.safetensors")
                 for rank in range(self.count)]
        if self.layers.broken("unequal-ranks"):
            ranks[-1] = {key: value * (1 + 1e-7) for key, value in ranks[-1].items()}
        for value in info["results"]:
            if set(value["placements"]) == {"replicate"}:
                key = value["name"]
                if any(rank[key].tobytes() != ranks[0][key].tobytes() for rank in ranks):
                    return f"{key} differs between ranks"
        return None

    def compare_counts(self, info, prefix, output):
        stats = re.search(r"^total\s+(\d+)", output, re.M)
        if not stats or int(stats[1]) != len(info["collectives"]):
            return (f"--stats counts {stats and stats[1]} collectives, the description "
                    f"{len(info['collectives'])}")
        if info["target"] == "cpu":
            return None
        logged, wanted = self.collectives_logged(prefix + "."), self.collectives_described(info)
        if self.layers.broken("lost-collective"):
            logged -= collections.Counter(all_reduce=1)
        if logged != wanted:
            return f"NCCL logs {dict(logged)}, the description says {dict(wanted)}"
        return None

    #===------------------------------------------------------------------===#
    # A rank dies
    #===------------------------------------------------------------------===#

    def start(self, name, inputs, timeout):
        """A process for each rank, which takes steps until it is stopped."""
        port, processes = free_port(), []
        for rank in range(self.count):
            environment = {**self.layers.environment, "RANK": str(rank),
                           "LOCAL_RANK": str(rank), "WORLD_SIZE": str(self.count),
                           "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port,
                           "NCCL_DEBUG": "INFO", "NCCL_DEBUG_SUBSYS": "COLL",
                           "NCCL_DEBUG_FILE": self.layers.path(f"death-{name}.%p")}
            processes.append(subprocess.Popen(
                [self.layers.moe_run, self.layers.artifact(name), "--inputs", inputs,
                 "--sgd", "0", "--steps", "100000000", "--timeout", str(timeout)],
                env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                text=True))
        return processes

    def steps_taken(self, name, processes):
        """Whether all ranks have taken a step, or at least begun one."""
        if gpu_cases.describe(self.layers.artifact(name))["target"] == "cpu":
            return not any(idle(process.pid) for process in processes)
        begun = 0
        for file in os.listdir(self.layers.directory):
            if file.startswith(f"death-{name}."):
                with open(self.layers.path(file), errors="replace") as log:
                    begun += "opCount" in log.read()
        return begun >= self.count

    def kill_one(self, name, inputs, victim, timeout):
        """(what is wrong or None, seconds until the last one ended, a message)."""
        processes = self.start(name, inputs, timeout)
        try:
            end = time.monotonic() + 60
            while not self.steps_taken(name, processes) and time.monotonic() < end:
                time.sleep(0.2)
            time.sleep(1.5)
            if any(process.poll() is not None for process in processes):
                return "a rank ended before one was killed", 0, ""
            processes[victim].kill()
            begin = time.monotonic()
            outputs = [process.communicate(timeout=timeout + 10)[0]
                       for process in processes]
            seconds = time.monotonic() - begin
        except subprocess.TimeoutExpired:
            return f"another rank still runs after {timeout + 10} s", 0, ""
        finally:
            for process in processes:
                process.kill()
        message = ""
        for rank, (process, output) in enumerate(zip(processes, outputs)):
            if rank == victim:
                continue
            code = process.returncode
            self.layers.log(f"{name}, rank {rank}: exit {code}, {seconds:.1f} s\n{output}")
            found = re.search(r"error: (.*)", output)
            message = found[1] if found else "no error"
            if self.layers.broken("no-place"):
                message = re.sub(r"\([^()]*:\d+:\d+", "(", message)
            if not (code in (3, 4) and re.search(rf"rank {victim}\b", message)
                    and re.search(r"(all_|reduce_)\w+ #\d+", message)
                    and re.search(r"\.mlir:\d+:\d+", message)):
                return f"rank {rank}: exit {code}: {message}", seconds, message
        return None, seconds, message
