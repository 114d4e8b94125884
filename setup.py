"Everything that setuptools asks is in settings.ini; this only reads it."
import shutil
from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

config = ConfigParser()
config.read("settings.ini", encoding="utf-8")
cfg = config["DEFAULT"]
extras = {k: cfg[f"{k}_requirements"].split() for k in ("dev", "export", "transfer", "site", "notebooks")}
extras["dev"] += extras["export"] + extras["transfer"]  # the tests export, and start from ImageNet weights, too


class BuildWithResults(build_py):
    "Puts a copy of results/ into the package, for `cifar10_nb.lab.results.results_folder` where there is no clone."

    def run(self):
        super().run()
        if getattr(self, "editable_mode", False): return  # results/ itself is at hand
        place = Path(self.build_lib, cfg["lib_name"], "filed")
        shutil.rmtree(place, ignore_errors=True)  # of an earlier build
        for path in Path("results").rglob("*.json"):
            copy = place / path.relative_to("results")
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)


setup(
    name=cfg["lib_name"],
    version=cfg["version"],
    description=cfg["description"],
    long_description=Path("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author=cfg["author"],
    author_email=cfg["author_email"],
    license="Apache-2.0",
    url=cfg["git_url"],
    project_urls={"Documentation": cfg["doc_host"] + cfg["doc_baseurl"] + "/", "Source": cfg["git_url"],
                  "Issues": cfg["git_url"] + "/issues"},
    keywords=cfg["keywords"].split(),
    packages=find_packages(include=[cfg["lib_name"], cfg["lib_name"] + ".*"]),
    include_package_data=True,
    cmdclass=dict(build_py=BuildWithResults),
    python_requires=">=" + cfg["min_python"],
    install_requires=cfg["requirements"].split(),
    extras_require=extras,
    entry_points={
        "console_scripts": cfg["console_scripts"].split(),
        "nbdev": [f"{cfg['lib_name']}={cfg['lib_name']}._modidx:d"],
    },
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Education",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
    zip_safe=False,
)
