"""Builds a wheel for one platform and every Python: the library is called by ctypes and knows nothing of Python."""

import sys
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

sys.path.insert(0, str(Path(__file__).parent))

import building


class _Build(build_py):
    def run(self) -> None:
        super().run()
        building.build(Path(self.build_lib) / "fedau2_native")


class _Wheel(bdist_wheel):
    def get_tag(self) -> tuple[str, str, str]:
        return "py3", "none", super().get_tag()[2]


class _Platform(Distribution):
    def has_ext_modules(self) -> bool:
        return True  # so that the wheel is of this platform


setup(distclass=_Platform, cmdclass={"build_py": _Build, "bdist_wheel": _Wheel})
