#include "kenlm_trie.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace edgespeech {
namespace {

template <typename T>
T load(const char* at) {
    T value;
    std::memcpy(&value, at, sizeof value);
    return value;
}

float as_float(std::uint32_t bits) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

constexpr std::uint64_t low_bits(int count) { return (std::uint64_t{1} << count) - 1; }

// Whether a longer n-gram may begin with this one; KenLM stores -0.0 where none does.
bool can_continue(float backoff) { return backoff != 0.0f || !std::signbit(backoff); }

// MurmurHash64A (Austin Appleby, public domain) with the seed 0.
std::uint64_t murmur_hash(std::string_view text) {
    constexpr std::uint64_t factor = 0xC6A4A7935BD1E995;
    constexpr int shift = 47;
    std::uint64_t hashed = text.size() * factor;
    std::size_t whole = text.size() & ~std::size_t{7};
    for (std::size_t at = 0; at < whole; at += 8) {
        std::uint64_t part = load<std::uint64_t>(text.data() + at) * factor;
        part = (part ^ part >> shift) * factor;
        hashed = (hashed ^ part) * factor;
    }
    if (whole < text.size()) {
        std::uint64_t rest = 0;
        std::memcpy(&rest, text.data() + whole, text.size() - whole);
        hashed = (hashed ^ rest) * factor;
    }
    hashed = (hashed ^ hashed >> shift) * factor;
    return hashed ^ hashed >> shift;
}

// The last number of a sorted table that is not above the value; 0 if all are.
std::uint64_t last_not_above(const char* table, std::uint64_t size, std::uint64_t value) {
    std::uint64_t begin = 0, end = size;
    while (begin < end) {
        std::uint64_t middle = begin + (end - begin) / 2;
        if (load<std::uint64_t>(table + 8 * middle) <= value)
            begin = middle + 1;
        else
            end = middle;
    }
    return begin ? begin - 1 : 0;
}

constexpr float kLowest = -1e4f;  // base 10
constexpr std::uint64_t kBitsPerBigram = 8;

}  // namespace

KenlmTrie::KenlmTrie(const LmLayout& layout)
    : layout_(layout), longer_(layout.longer, layout.longer + layout.order - 1), end_of_sentence_(index("</s>")) {}

std::uint64_t KenlmTrie::bits_at(std::uint64_t bit) const {
    return load<std::uint64_t>(layout_.data + (bit >> 3)) >> (bit & 7);
}

std::uint32_t KenlmTrie::index(std::string_view word) const {
    std::uint64_t sought = murmur_hash(word), begin = 0, end = layout_.hash_count;
    while (begin < end) {
        std::uint64_t middle = begin + (end - begin) / 2, found = load<std::uint64_t>(layout_.hashes + 8 * middle);
        if (found == sought) return static_cast<std::uint32_t>(middle + 1);
        if (found < sought)
            begin = middle + 1;
        else
            end = middle;
    }
    return 0;
}

KenlmTrie::Weights KenlmTrie::unigram(std::uint32_t word, Range* children) const {
    const char* entry = layout_.unigrams + std::size_t{16} * word;
    *children = {load<std::uint64_t>(entry + 8), load<std::uint64_t>(entry + 24)};
    return {load<float>(entry), load<float>(entry + 4)};
}

// The words of a range are sorted and spread evenly.
bool KenlmTrie::find(const NGramsLayout& ngrams, std::uint64_t word, Range range, std::uint64_t* index) const {
    std::uint64_t low = 0, high = ngrams.highest_word, mask = low_bits(ngrams.word_bits);
    std::uint64_t begin = range.begin, end = std::min(range.end, ngrams.count);
    while (begin < end) {
        std::uint64_t middle = begin + (word - low) * (end - begin) / (high - low + 1);
        std::uint64_t found = bits_at(ngrams.first_bit + middle * ngrams.entry_bits) & mask;
        if (found == word) {
            *index = middle;
            return true;
        }
        if (found < word) {
            begin = middle + 1;
            low = found + 1;
        } else {
            end = middle;
            high = found - 1;
        }
    }
    return false;
}

// Bits of a word lie together, because a search asks for many words before the same one.
std::uint64_t KenlmTrie::slot_of(std::uint64_t word, std::uint64_t before) const {
    return word << row_bits_ | before * 0x9E3779B97F4A7C15 >> (64 - row_bits_);
}

bool KenlmTrie::may_follow(std::uint64_t word, std::uint64_t before) const {
    if (bigram_bits_.empty()) return true;
    std::uint64_t slot = slot_of(word, before);
    return bigram_bits_[slot >> 6] >> (slot & 63) & 1;
}

void KenlmTrie::note_bigrams() {
    if (layout_.order < 2) return;
    std::call_once(bigrams_noted_, [&] {
        const NGramsLayout& bigrams = longer_[0];
        std::uint64_t words = layout_.hash_count + 1;
        while (words << row_bits_ < kBitsPerBigram * bigrams.count) ++row_bits_;
        std::vector<std::uint64_t> noted(words << (row_bits_ - 6), 0);
        std::uint64_t at = 0;  // the ranges of the words follow each other
        for (std::uint64_t word = 0; word < words; ++word) {
            Range range;
            unigram(static_cast<std::uint32_t>(word), &range);
            for (at = std::max(at, range.begin); at < std::min(range.end, bigrams.count); ++at) {
                std::uint64_t slot = slot_of(word, bits_at(bigrams.first_bit + at * bigrams.entry_bits) & low_bits(bigrams.word_bits));
                noted[slot >> 6] |= std::uint64_t{1} << (slot & 63);
            }
        }
        bigram_bits_.swap(noted);
    });
}

KenlmTrie::Weights KenlmTrie::weights(const NGramsLayout& ngrams, std::uint64_t index) const {
    std::uint64_t bit = ngrams.first_bit + index * ngrams.entry_bits + ngrams.word_bits;
    std::uint64_t packed = bits_at(bit);
    if (!ngrams.log_probs) {  // 31 bits of a number that is never positive, then 32 bits
        constexpr std::uint32_t minus = std::uint32_t{1} << 31;
        float log_prob = as_float(static_cast<std::uint32_t>(packed) | minus);
        return {log_prob, ngrams.has_backoffs ? as_float(static_cast<std::uint32_t>(bits_at(bit + 31))) : 0.0f};
    }
    std::uint64_t log_prob = packed >> ngrams.backoff_bits & low_bits(ngrams.log_prob_bits);
    float backoff = ngrams.backoffs ? load<float>(ngrams.backoffs + 4 * (packed & low_bits(ngrams.backoff_bits))) : 0.0f;
    return {load<float>(ngrams.log_probs + 4 * log_prob), backoff};
}

KenlmTrie::Range KenlmTrie::children(const NGramsLayout& ngrams, std::uint64_t index) const {
    std::uint64_t bit = ngrams.first_bit + (index + 1) * ngrams.entry_bits - ngrams.child_bits;
    std::uint64_t mask = low_bits(ngrams.child_bits);
    Range range{bits_at(bit) & mask, bits_at(bit + ngrams.entry_bits) & mask};
    if (ngrams.child_table) {
        range.begin |= last_not_above(ngrams.child_table, ngrams.child_table_size, index) << ngrams.child_bits;
        range.end |= last_not_above(ngrams.child_table, ngrams.child_table_size, index + 1) << ngrams.child_bits;
    }
    return range;
}

LmState KenlmTrie::begin_sentence() const {
    LmState state;
    Range ignored;
    state.words[0] = index("<s>");
    state.backoffs[0] = unigram(state.words[0], &ignored).backoff;
    state.length = 1;
    return state;
}

float KenlmTrie::score(const LmState& state, std::uint32_t word, LmState* after) const {
    Range range;
    auto [log_prob, backoff] = unigram(word, &range);
    float backoffs[kMaxOrder - 1] = {backoff};
    int length = 1;                            // of the longest n-gram found
    int kept = can_continue(backoff) ? 1 : 0;  // words that the next state needs
    while (length < layout_.order && length <= state.length) {
        const NGramsLayout& ngrams = longer_[length - 1];
        std::uint64_t index;
        if (length == 1 && !may_follow(word, state.words[0])) break;
        if (!find(ngrams, state.words[length - 1], range, &index)) break;
        Weights found = weights(ngrams, index);
        log_prob = found.log_prob;
        if (++length == layout_.order) break;
        backoffs[length - 1] = found.backoff;
        if (can_continue(found.backoff)) kept = length;
        range = children(ngrams, index);
    }
    for (int at = length - 1; at < state.length; ++at) log_prob += state.backoffs[at];
    if (after) {
        LmState next;
        next.length = kept;
        for (int at = 0; at < kept; ++at) {
            next.words[at] = at ? state.words[at - 1] : word;
            next.backoffs[at] = backoffs[at];
        }
        *after = next;
    }
    // A damaged file can have scores that are no numbers, which cannot be sorted.
    return log_prob > kLowest && log_prob < -kLowest ? log_prob : kLowest;
}

}  // namespace edgespeech
