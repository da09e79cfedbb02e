"""The C extension and the files that go into the package; all else about it is in pyproject.toml.

Environment: BADAK_STRICT=1 makes warnings errors, BADAK_SANITIZE=1 builds with ASan and UBSan, BADAK_SYMBOLS=1 keeps
the names of functions for profilers.
"""

import os
import subprocess
import sys
from glob import glob

import numpy
from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext

flags = [
    "-std=gnu11",
    "-O3",
    "-fvisibility=hidden",
    "-ffp-contract=off",  # fused multiply-adds are written out, so that compilers cannot differ
    "-fno-math-errno",
    "-fno-trapping-math",
]
link_flags = []
if os.environ.get("BADAK_STRICT"):
    flags += ["-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror"]
if os.environ.get("BADAK_SANITIZE"):
    checks = "-fsanitize=address,undefined,float-cast-overflow"
    flags += [checks, "-fno-omit-frame-pointer", "-UNDEBUG", "-g", "-O1"]
    link_flags += [checks]
elif sys.platform == "linux":
    link_flags += ["-Wl,--strip-debug" if os.environ.get("BADAK_SYMBOLS") else "-Wl,--strip-all"]

core = Extension(
    "badak._core",
    sources=sorted(
        glob("csrc/bind/*.c") + glob("csrc/core/*.c") + glob("csrc/core/layers/*.c") + glob("csrc/kernels/*.c")
    ),
    depends=sorted(glob("csrc/**/*.h", recursive=True) + glob("csrc/**/*.inc", recursive=True)),
    include_dirs=[numpy.get_include()],
    extra_compile_args=flags,
    extra_link_args=link_flags,
)


class Build(build_ext):
    """Where the compiler can: no second versions of functions or loops for one caller, one stride, one condition, and
    nothing put into its callers that is not small, unless we say so. Smaller, and as fast.
    """

    def build_extensions(self):
        command = getattr(self.compiler, "compiler", None)  # Microsoft's has none
        options = [
            "-fno-ipa-cp-clone",
            "-fno-version-loops-for-strides",
            "-fno-unswitch-loops",
            "-fno-split-loops",
            "-fno-peel-loops",
            "--param=max-inline-insns-auto=15",
        ]
        try:
            if command and not subprocess.run([*command, *options, *NOTHING], capture_output=True).returncode:
                core.extra_compile_args += options
        except OSError:
            pass  # no compiler: the build says so
        super().build_extensions()


NOTHING = ["-E", "-x", "c", os.devnull, "-o", os.devnull]  # to compile

# Texts that the package shows or unpacks, from where they are edited: as packages without modules (pyproject.toml).
texts = ["badak._files.csrc", "badak._files.notebooks.en", "badak._files.notebooks.ko"]

setup(ext_modules=[core], cmdclass={"build_ext": Build}, packages=find_packages("python") + texts)
