"""Points 4 and 5 of run-gpu: two ranks with a GPU each, and what happens if one dies."""

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
from recordings import PLANS, SCORES, SHAPES, TOLERANCE


class Pairs:
    def __init__(self, gpu):
        self.gpu = gpu

    def launchers(self):
        """How two ranks are started, or why not: name -> (command, environment)."""
        ways = {"one process": ([], {})}
        if importlib.util.find_spec("torch"):
            ways["torchrun"] = ([sys.executable, "-m", "torch.distributed.run",
                                 "--no-python", "--standalone", "--nproc-per-node", "2"],
                                {})
        else:
            ways["torchrun"] = "no PyTorch here"
        mpirun = shutil.which("mpirun")
        ways["mpirun"] = ([mpirun, "--allow-run-as-root", "--oversubscribe", "-n", "2"], {
            "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(self.free_port()),
        }) if mpirun else "no mpirun here"
        return ways

    @staticmethod
    def free_port():
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return probe.getsockname()[1]

    def collectives_logged(self, prefix):
        """Calls in NCCL's own logs, by kind, of all ranks together."""
        counts = collections.Counter()
        names = {"AllReduce": "all_reduce", "AllGather": "all_gather",
                 "ReduceScatter": "reduce_scatter", "Send": "all_to_all"}
        for file in os.listdir(self.gpu.directory):
            if file.startswith(prefix):
                with open(self.gpu.path(file), errors="replace") as log:
                    for kind in re.findall(r"NCCL INFO (\w+): opCount", log.read()):
                        if kind in names:
                            counts[names[kind]] += 1
        return counts

    def run_pair(self, name, inputs, expected, way, launcher):
        """A recording on two GPUs: a fault or None."""
        command, environment = launcher
        prefix = f"nccl-{name}-{way.replace(' ', '')}"
        environment = {**environment, "NCCL_DEBUG": "INFO",
                       "NCCL_DEBUG_SUBSYS": "COLL",
                       "NCCL_DEBUG_FILE": self.gpu.path(prefix + ".%p")}
        outputs = self.gpu.path(prefix + "-out")
        result = self.gpu.execute(
            [*command, self.gpu.moe_run, self.gpu.artifact(name), "--timeout", "30",
             "--inputs", inputs, "--expect", expected, "--rtol", TOLERANCE, "--outputs",
             outputs, "--stats"], 180, environment)
        self.gpu.log(f"4 {name} {way}: exit {result.code}, {result.seconds:.1f} s")
        self.gpu.log(result.output[-4000:])
        if result.code != 0 or "DIFFER" in result.output:
            line = re.search(r"error: .*|.*DIFFER.*", result.output)
            return f"exit {result.code}, {line.group(0) if line else ''}"
        info = gpu_cases.describe(self.gpu.artifact(name))
        ranks = [safetensors.read(f"{outputs}/rank{rank}.safetensors") for rank in (0, 1)]
        if self.gpu.broken("unequal-ranks"):
            ranks[1] = {key: value * (1 + 1e-7) for key, value in ranks[1].items()}
        for value in info["results"]:
            if set(value["placements"]) == {"replicate"}:
                key = value["name"]
                if ranks[0][key].tobytes() != ranks[1][key].tobytes():
                    return f"{key} differs between the ranks"
        counted = collections.Counter(c["kind"] for c in info["collectives"])
        logged = self.collectives_logged(prefix + ".")
        if self.gpu.broken("lost-collective"):
            logged -= collections.Counter(all_reduce=1)
        # Each rank logs its calls; in an all-to-all it sends to both.
        wanted = {kind: count * (4 if kind == "all_to_all" else 2)
                  for kind, count in counted.items()}
        stats = re.search(r"^total\s+(\d+)", result.output, re.M)
        if dict(logged) != wanted or not stats or int(stats[1]) != sum(counted.values()):
            return (f"NCCL logs {dict(logged)}, the description says {wanted}, --stats "
                    f"{stats and stats[1]}")
        return None

    def check_launched(self):
        text, bar = "recordings on two GPUs by NCCL", "all; replicas and counts equal"
        points = self.gpu.points
        if self.gpu.count < 2:
            return points.skip("4", text, f"{self.gpu.count} GPU here, it needs 2", bar)
        seed = next(iter(SHAPES))
        recorded, inputs = self.gpu.recording("pr1878", seed)
        for way, launcher in self.launchers().items():
            if isinstance(launcher, str):
                points.skip("4", f"{text}, {way}", launcher, bar)
                continue
            faults, runs = [], 0
            for sbe in SCORES:
                expected, _ = self.gpu.expected(recorded, "pr1878", sbe, seed)
                for form in PLANS:
                    for parallel in (True, False):
                        name = gpu_cases.recorded_name(seed, sbe, form, parallel)
                        if not any(c["name"] == name for c in self.gpu.cases("4")):
                            continue
                        # Other ways to start ranks change nothing of the layer.
                        if way != "one process" and (sbe == "sbe1" or not parallel):
                            continue
                        runs += 1
                        fault = self.run_pair(name, inputs, expected, way, launcher)
                        faults += [f"{name}: {fault}"] if fault else []
            points.check("4", f"{text}, {way}", runs and not faults,
                         f"{runs - len(faults)} of {runs} layers"
                         + "".join(f"; {fault}" for fault in faults[:2]), bar)

    #===------------------------------------------------------------------===#
    # 5. A rank dies
    #===------------------------------------------------------------------===#

    def check_death(self):
        timeout = 20
        text = "one of two ranks killed in mid step"
        bar = f"the other names rank, collective and line within {timeout} s"
        points = self.gpu.points
        if self.gpu.count < 2:
            return points.skip("5", text, f"{self.gpu.count} GPU here, and processes that "
                               "share one are refused", bar)
        seed = next(iter(SHAPES))
        _, inputs = self.gpu.recording("pr1878", seed)
        for form in PLANS:
            name = gpu_cases.recorded_name(seed, "sbe0", form, True)
            fault, seconds, message = self.kill_one(name, inputs, timeout)
            points.check("5", f"{text}, {form}", not fault,
                         fault or f"{seconds:.1f} s: {message}", bar)

    def count_begun(self, prefix):
        """How many ranks have logged a collective."""
        begun = 0
        for file in os.listdir(self.gpu.directory):
            if file.startswith(prefix):
                with open(self.gpu.path(file), errors="replace") as log:
                    begun += "opCount" in log.read()
        return begun

    def kill_one(self, name, inputs, timeout):
        port, processes = str(self.free_port()), []
        for rank in (0, 1):
            environment = {**self.gpu.environment, "RANK": str(rank), "WORLD_SIZE": "2",
                           "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port,
                           "NCCL_DEBUG": "INFO", "NCCL_DEBUG_SUBSYS": "COLL",
                           "NCCL_DEBUG_FILE": self.gpu.path(f"death-{name}.%p")}
            processes.append(subprocess.Popen(
                [self.gpu.moe_run, self.gpu.artifact(name), "--inputs", inputs, "--sgd",
                 "0", "--steps", "100000000", "--timeout", str(timeout)],
                env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                text=True))
        try:
            # They take their steps once both have logged collectives.
            end = time.monotonic() + 60
            while self.count_begun(f"death-{name}.") < 2 and time.monotonic() < end:
                time.sleep(0.2)
            time.sleep(1.5)
            if any(process.poll() is not None for process in processes):
                return "a rank ended before one was killed", 0, ""
            processes[1].kill()
            begin = time.monotonic()
            output, _ = processes[0].communicate(timeout=timeout + 10)
            seconds = time.monotonic() - begin
        except subprocess.TimeoutExpired:
            return f"the other rank still runs after {timeout + 10} s", 0, ""
        finally:
            for process in processes:
                process.kill()
        code = processes[0].returncode
        self.gpu.log(f"5 {name}: exit {code} after {seconds:.1f} s\n{output}")
        message = re.search(r"error: (.*)", output)
        message = message[1] if message else "no error"
        if self.gpu.broken("no-place"):
            message = re.sub(r"\([^()]*:\d+:\d+", "(", message)
        good = (code in (3, 4) and "rank 1" in message
                and re.search(r"(all_|reduce_)\w+ #\d+", message)
                and re.search(r"\.mlir:\d+:\d+", message) and seconds <= timeout)
        fault = None if good else f"exit {code}: {message}"
        return fault, seconds, message
