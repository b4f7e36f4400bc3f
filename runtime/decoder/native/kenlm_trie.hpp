// Scores of a KenLM binary of the kind trie.
//
// runtime/decoder/kenlm_trie.py parses and checks the file and describes its layout; here it is only read. The float32
// sums are made in KenLM's order, so that the scores are the same numbers.
#pragma once

#include <cstdint>
#include <mutex>
#include <string_view>
#include <vector>

namespace edgespeech {

constexpr int kMaxOrder = 6;  // as in the package kenlm

// The last words that can still influence a score, latest first, and their back-off weights.
struct LmState {
    std::uint32_t words[kMaxOrder - 1];
    float backoffs[kMaxOrder - 1];
    std::int32_t length = 0;
};

// The n-grams of one order from 2: bit-packed entries, and tables of weights if these are quantized.
struct NGramsLayout {
    std::uint64_t first_bit;
    std::uint64_t count;
    std::uint64_t highest_word;
    const char* child_table;  // uint64 numbers, or null if the indices of children are not compressed
    std::uint64_t child_table_size;
    const char* log_probs;  // float32 tables, or null if weights are stored as numbers
    const char* backoffs;
    std::int32_t entry_bits;
    std::int32_t word_bits;
    std::int32_t child_bits;
    std::int32_t log_prob_bits;
    std::int32_t backoff_bits;
    std::int32_t has_backoffs;
};

struct LmLayout {
    const char* data;      // the mapped file
    const char* hashes;    // sorted uint64 hashes of the words
    const char* unigrams;  // entries of 16 bytes
    std::uint64_t hash_count;
    std::int32_t order;
    const NGramsLayout* longer;  // order - 1 of them
};

class KenlmTrie {
public:
    explicit KenlmTrie(const LmLayout& layout);

    // Index of a word; 0 if it is unknown.
    std::uint32_t index(std::string_view word) const;

    // Base-10 log p(word | state); also writes the state after the word unless `after` is null.
    float score(const LmState& state, std::uint32_t word, LmState* after) const;

    // Make the search for bigrams that do not exist short, for models over characters, which are asked for many of them.
    // Scores stay the same. Any thread may call this at any time before it scores.
    void note_bigrams();

    LmState begin_sentence() const;
    std::uint32_t end_of_sentence() const { return end_of_sentence_; }

private:
    struct Range {
        std::uint64_t begin, end;
    };
    struct Weights {
        float log_prob, backoff;
    };

    Weights unigram(std::uint32_t word, Range* children) const;
    bool find(const NGramsLayout& ngrams, std::uint64_t word, Range range, std::uint64_t* index) const;
    Weights weights(const NGramsLayout& ngrams, std::uint64_t index) const;
    Range children(const NGramsLayout& ngrams, std::uint64_t index) const;
    std::uint64_t bits_at(std::uint64_t bit) const;
    std::uint64_t slot_of(std::uint64_t word, std::uint64_t before) const;
    bool may_follow(std::uint64_t word, std::uint64_t before) const;

    LmLayout layout_;
    std::vector<NGramsLayout> longer_;
    std::uint32_t end_of_sentence_;
    std::once_flag bigrams_noted_;
    std::vector<std::uint64_t> bigram_bits_;  // for each word a row with a bit for each word before it; empty if not noted
    int row_bits_ = 6;                        // binary logarithm of the bits of a row
};

}  // namespace edgespeech
