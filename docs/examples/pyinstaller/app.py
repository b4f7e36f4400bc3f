"""A program that is shipped as one folder: it transcribes the recordings that it is given.

pyinstaller --additional-hooks-dir docs/examples/pyinstaller docs/examples/pyinstaller/app.py
"""

from __future__ import annotations

import sys

from edgespeech import EdgespeechError, Recognizer


def main() -> None:
    """Print the text of each recording on the command line."""
    if len(sys.argv) < 2:
        sys.exit("usage: app RECORDING...")
    with Recognizer() as recognizer:
        for path in sys.argv[1:]:
            print(recognizer.transcribe(path).text)


if __name__ == "__main__":
    try:
        main()
    except EdgespeechError as error:
        sys.exit(str(error))
