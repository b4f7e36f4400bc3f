"""Places of sentences in a recognised text with errors, gaps and another order."""

from __future__ import annotations

from random import Random

from edgespeech.reference.alignment.placing import place_sentences

WORDS = "the of and to in he was that his it had with as for her you on is at be him they this from my all one".split()
WORDS += "garden window castle princess morning evening father brother wonderful remember nothing something".split()


def sentence(random: Random, words: int) -> str:
    return " ".join(random.choice(WORDS) for _ in range(words))


def damaged(text: str, random: Random, errors: float) -> str:
    letters = []
    for letter in text:
        kind = random.random() / errors
        if kind < 0.5:
            letters.append(random.choice("abcdefghijklmnop "))
        elif kind < 0.75:
            letters.append(letter + random.choice("abcdefghij"))
        elif kind >= 1.0:
            letters.append(letter)
    return "".join(letters)


def test_sentences_are_found_in_any_order_and_others_are_not() -> None:
    random = Random(1)
    said = [sentence(random, random.randint(8, 25)) for _ in range(80)]
    parts, starts, at = [], [], 0
    for text in said:
        part = damaged(text, random, 0.2) + " "
        parts.append(part)
        starts.append(at)
        at += len(part)
    script = list(range(80))
    script[10], script[60] = script[60], script[10]
    for missing in (70, 41, 5):
        del script[missing]
    sentences = [(said[number],) for number in script]
    sentences.insert(30, (sentence(random, 20).replace("the", "quite").replace("e", "u"),))
    script.insert(30, -1)
    places = {one.sentence: one for one in place_sentences(sentences, "".join(parts))}
    assert 30 not in places
    found = [index for index, number in enumerate(script) if number >= 0 and index in places]
    assert len(found) >= 0.95 * (len(script) - 1)
    for index in found:
        assert abs(places[index].start - starts[script[index]]) <= 0.2 * len(said[script[index]]) + 10


def test_a_short_sentence_is_found_between_its_neighbours() -> None:
    sentences = [("she looked out of the window",), ("yes",), ("and the garden was empty",), ("no",)]
    places = place_sentences(sentences, "she luked out of the window yess and the gardan was empty yes and")
    assert [one.sentence for one in places] == [0, 1, 2]
    assert places[1].start == 28


def test_the_reading_that_fits_is_chosen() -> None:
    readings = ("in one thousand nine hundred and four he left", "in nineteen oh four he left")
    (place,) = place_sentences([readings], "it was told that in ninteen oh for he left the town")
    assert place.reading == 1


def test_nothing_recognised_has_no_place() -> None:
    assert place_sentences([("some words",), ()], "") == []
    assert place_sentences([], "some words") == []
