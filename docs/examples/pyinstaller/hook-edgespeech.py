"""What PyInstaller does not find by itself: data files, the compiled search, and modules imported by name."""

from importlib.util import find_spec

from PyInstaller.utils.hooks import collect_data_files, collect_submodules

# Add "default_bundle/*" to the excludes if the application has a bundle of its own: it is then 22 MB smaller.
# The compiled search is among these files, for it is loaded with ctypes; where it is missing, the search in numpy runs.
datas = collect_data_files("edgespeech.runtime", excludes=["sample_clips/*", "**/*.cpp", "**/*.hpp"])
hiddenimports = collect_submodules("edgespeech.runtime")
# Microphones, other kinds of audio files, and other kinds of language models, if they are installed.
hiddenimports += ["onnxruntime", *(name for name in ("sounddevice", "av", "kenlm") if find_spec(name))]
