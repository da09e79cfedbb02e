"""The C extension and the files that go into the package; all else about it is in pyproject.toml.

Environment: BADAK_STRICT=1 makes warnings errors, BADAK_SANITIZE=1 builds with ASan and UBSan.
"""

import os
import sys
from glob import glob

import numpy
from setuptools import Extension, find_packages, setup

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
    link_flags += ["-Wl,--strip-debug"]

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

# Texts that the package shows or unpacks, from where they are edited: as packages without modules (pyproject.toml).
texts = ["badak._files.csrc", "badak._files.notebooks.en", "badak._files.notebooks.ko"]

setup(ext_modules=[core], packages=find_packages("python") + texts)
