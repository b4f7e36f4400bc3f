// A sorted list of words, and the slice of it that begins with a text.
//
// All text is UTF-8, whose bytes sort like the characters.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace edgespeech {

// Texts one after the other, and where each of them ends.
struct PackedTexts {
    const char* bytes;
    const std::uint32_t* ends;
    std::int64_t count;

    std::string_view operator[](std::int64_t index) const {
        std::uint32_t begin = index ? ends[index - 1] : 0;
        return {bytes + begin, ends[index] - begin};
    }
};

class Lexicon {
public:
    struct Slice {
        std::size_t first, last;
        bool empty() const { return first == last; }
    };

    // The words stay where they are, and outlive the lexicon.
    explicit Lexicon(const PackedTexts& words) : words_(words) {}

    std::size_t size() const { return static_cast<std::size_t>(words_.count); }

    std::string_view operator[](std::size_t index) const { return words_[static_cast<std::int64_t>(index)]; }

    // The words that begin with, or equal, a text.
    Slice starting_with(std::string_view text) const {
        std::size_t first = search(0, size(), [&](std::string_view word) { return word < text; });
        return {first, search(first, size(), [&](std::string_view word) { return starts_with(word, text); })};
    }

    bool contains(std::string_view word) const {
        Slice found = starting_with(word);
        return !found.empty() && (*this)[found.first] == word;
    }

    // The end of the words of a slice that begin with a text, as its first word does.
    std::size_t end_of(Slice slice, std::string_view text) const {
        return search(slice.first, slice.last, [&](std::string_view word) { return starts_with(word, text); });
    }

private:
    static bool starts_with(std::string_view word, std::string_view text) {
        return word.substr(0, text.size()) == text;
    }

    template <typename Before>
    std::size_t search(std::size_t first, std::size_t last, Before before) const {
        while (first < last) {
            std::size_t middle = first + (last - first) / 2;
            if (before((*this)[middle]))
                first = middle + 1;
            else
                last = middle;
        }
        return first;
    }

    PackedTexts words_;
};

// Number of bytes of the character that begins with this byte.
inline std::size_t character_bytes(char first) {
    auto byte = static_cast<unsigned char>(first);
    return byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

inline std::size_t count_characters(std::string_view text) {
    return static_cast<std::size_t>(
        std::count_if(text.begin(), text.end(), [](char byte) { return (static_cast<unsigned char>(byte) & 0xC0) != 0x80; }));
}

}  // namespace edgespeech
