"""Characters of texts that no label has: which, where, how often, and what helps."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgespeech.reference.data.clips import training_text
from edgespeech.reference.model.labels import Labels
from edgespeech.runtime.manifest import Utterance
from edgespeech.runtime.measure.normalisation import RULE, scoring_text
from edgespeech.runtime.measure.tables import Table

MAX_ROWS = 20


@dataclass(frozen=True)
class UnlabelledCharacter:
    """A character without a label, how often it occurs and in how many texts, and the first line that contains it."""

    character: str
    count: int
    texts: int
    manifest: Path
    line: int

    @property
    def code(self) -> str:
        """The code point, such as ``U+00E4``."""
        return f"U+{ord(self.character):04X}"

    @property
    def name(self) -> str:
        """The name in Unicode; characters that have none are named by their category, such as Cc."""
        return unicodedata.name(self.character, f"({unicodedata.category(self.character)})")

    def as_dict(self) -> dict[str, Any]:
        """Return the facts under the keys of `data check --json`."""
        return {
            "character": self.character,
            "code": self.code,
            "name": self.name,
            "count": self.count,
            "texts": self.texts,
            "manifest": str(self.manifest),
            "line": self.line,
        }


@dataclass(frozen=True)
class UnlabelledCharacters:
    """All characters of some texts that no label has, the most frequent first.

    Attributes:
        texts: Number of texts that contain one.
        normalised: Number of these texts that contain none once they are normalised by the rule of `evaluate`.
    """

    characters: Sequence[UnlabelledCharacter]
    texts: int
    normalised: int

    @classmethod
    def find(cls, utterances: Iterable[tuple[Path, Utterance]], labels: Labels) -> UnlabelledCharacters:
        """Find them in utterances, each given with its manifest."""
        known = frozenset("".join(labels.symbols))
        counts, texts, first = Counter[str](), Counter[str](), dict[str, tuple[Path, int]]()
        affected = normalised = 0
        for manifest, utterance in utterances:
            text = training_text(utterance.text)
            if known.issuperset(text):
                continue
            affected += 1
            normalised += known.issuperset(scoring_text(text))
            found = Counter(character for character in text if character not in known)
            counts += found
            texts.update(found.keys())
            for character in found:
                first.setdefault(character, (manifest, utterance.line))
        listed = [UnlabelledCharacter(one, count, texts[one], *first[one]) for one, count in counts.most_common()]
        return cls(listed, affected, normalised)

    def table(self) -> Table:
        """Lay out the most frequent ones, one per row."""
        rows = [
            [
                _shown(one.character),
                one.code,
                one.name,
                f"{one.manifest.name}:{one.line}",
                f"{one.count}",
                f"{one.texts}",
            ]
            for one in self.characters[:MAX_ROWS]
        ]
        return Table(["no label for", "code", "name", "first in", "count", "texts"], rows, left=4)

    def advice(self) -> Iterator[str]:
        """Yield what makes texts with these characters usable."""
        if more := self.characters[MAX_ROWS:]:
            yield f"{len(more)} rarer characters have no label either; --json lists them"
        if self.normalised:
            yield f"{self.normalised} of the {self.texts} texts can be used with --normalise: {RULE}"
        letters = [
            one.character for one in self.characters if one.character.isalpha() or unicodedata.combining(one.character)
        ]
        if letters:
            shown = "".join(map(_shown, sorted(letters[:MAX_ROWS])))
            yield f"if {shown} are letters of the language, list them: labels in the recipe, or --labels for manifests"
        if any(one.character.isnumeric() for one in self.characters):
            yield "write numbers as the words that are spoken"

    def __str__(self) -> str:
        """Name the most frequent ones in a line."""
        return ", ".join(f"{_shown(one.character)!r} {one.code} ({one.count})" for one in self.characters[:5])


def _shown(character: str) -> str:
    """Return what a terminal can show of a character: accents on a circle, nothing of a control character."""
    if unicodedata.combining(character):
        return f"\u25cc{character}"
    return character if character.isprintable() else ""
