#include "word_order.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>
#include <vector>

namespace edgespeech {
namespace {

constexpr int kKeyBytes = 8;

struct StoredWord {
    std::uint64_t key;  // the first bytes, which decide most comparisons
    std::uint32_t begin;
    std::uint32_t number;
};

std::uint64_t key_of(const char* word) {
    std::uint64_t key = 0;
    for (int byte = 0; byte < kKeyBytes; ++byte) key = key << 8 | (*word ? static_cast<unsigned char>(*word++) : 0);
    return key;
}

std::vector<StoredWord> list_words(std::string_view stored) {
    std::vector<StoredWord> words;
    std::uint32_t number = 0;
    for (std::size_t begin = 0; begin < stored.size(); begin = stored.find('\0', begin) + 1)
        words.push_back({key_of(&stored[begin]), static_cast<std::uint32_t>(begin), number++});
    return words;
}

// Sorts by the keys, from the last byte to the first; equal ones keep their order. Comparisons would take much longer.
void sort_by_keys(std::vector<StoredWord>* words) {
    std::vector<StoredWord> sorted(words->size());
    for (int shift = 0; shift < 8 * kKeyBytes; shift += 8) {
        std::array<std::size_t, 256> next{};
        for (const StoredWord& word : *words) ++next[word.key >> shift & 0xFF];
        std::size_t begin = 0;
        for (std::size_t& count : next) begin += std::exchange(count, begin);
        for (const StoredWord& word : *words) sorted[next[word.key >> shift & 0xFF]++] = word;
        words->swap(sorted);
    }
}

}  // namespace

std::int64_t sort_words(
    std::string_view stored, std::string_view left_out, char* joined, std::uint32_t* ends, std::uint32_t* numbers
) {
    std::vector<StoredWord> words = list_words(stored);
    auto compare = [&](const StoredWord& one, const StoredWord& other) {
        if (one.key != other.key) return one.key < other.key ? -1 : 1;
        if (!(one.key & 0xFF)) return 0;  // both end within their keys
        return std::strcmp(&stored[one.begin + kKeyBytes], &stored[other.begin + kKeyBytes]);
    };
    auto is_before = [&](const StoredWord& one, const StoredWord& other) { return compare(one, other) < 0; };
    sort_by_keys(&words);
    for (auto begin = words.begin(); begin != words.end();) {
        auto end = std::find_if(begin, words.end(), [&](const StoredWord& word) { return word.key != begin->key; });
        if (end - begin > 1) std::stable_sort(begin, end, is_before);
        begin = end;
    }
    std::vector<std::string_view> skipped;
    for (const StoredWord& word : list_words(left_out)) skipped.emplace_back(&left_out[word.begin]);
    std::int64_t kept = 0;
    char* to = joined;
    for (std::size_t index = 0; index < words.size(); ++index) {
        const StoredWord& word = words[index];
        if (index + 1 < words.size() && compare(word, words[index + 1]) == 0) continue;
        std::string_view text(&stored[word.begin]);
        if (std::find(skipped.begin(), skipped.end(), text) != skipped.end()) continue;
        to = std::copy(text.begin(), text.end(), to);
        ends[kept] = static_cast<std::uint32_t>(to - joined);
        numbers[kept++] = word.number;
    }
    return kept;
}

}  // namespace edgespeech
