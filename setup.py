"""The one thing pyproject.toml cannot say: boards/ is shipped as the package eftrain_hdl.boards."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["eftrain_hdl", "eftrain_hdl.*"]), "eftrain_hdl.boards"],
    package_dir={"eftrain_hdl.boards": "boards"},
)
