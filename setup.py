"""Package metadata; constraints.txt holds the exact versions that are tested."""

from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
# Lower bounds are the versions that the tests have run with.
TRAIN = [
    "av>=18.1",
    "chardet>=7.7",
    "dm-tree>=0.1.10",
    "google-crc32c>=1.9",
    "importlib_resources>=7.1",  # tensorflow-datasets 4.9.10 imports it without asking for it
    "matplotlib>=3.11",
    "opencv-python-headless>=5.0",
    "pillow>=12.1.1",
    "pyarrow>=25.0",
    "rich>=15.0",
    "scikit-learn>=1.9",
    "scipy>=1.17",
    "simplejpeg>=1.9",
    "tensorboard>=2.21",
    "tensorflow>=2.21",
    "tensorflow-datasets>=4.9.10",
    "threadpoolctl>=3.6",
]
BEAM = ["apache-beam>=2.77"]

setup(
    name="vatt_gh",
    version="0.1.0",
    description="Pre-training of video-audio-text transformers with cross-modality gradient "
    "harmonization, in JAX and Flax",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.11",
    packages=find_packages(include=["vatt_gh*", "tfds_builders*"]),
    # Harmonization, models and the training step; see TRAIN for input, media and reports.
    install_requires=[
        "absl-py>=2.5",
        "flax>=0.12.8",
        "jax>=0.10.2",
        "ml-collections>=1.1",
        "numpy>=2.4",
        "optax>=0.2.8",
        "orbax-checkpoint>=0.12.8,<0.13",
    ],
    entry_points={"console_scripts": ["vatt_gh = vatt_gh.main:command"]},
    extras_require={
        "train": TRAIN,
        "beam": [*TRAIN, *BEAM],
        "test": [
            *TRAIN,
            *BEAM,
            "dill>=0.4.1",  # tensorflow-datasets' builder test case imports it
            "hypothesis>=6.170",
            "ipykernel>=7.4",
            "nbclient>=0.11",
            "nbformat>=5.11",
            "pytest>=9.2",
            "pytest-xdist>=3.8",
            "ruff>=0.17",
            "selenium>=4.51",
        ],
    },
)
