// Words of a label sequence: their frames, their certainty, and the probability of the hypotheses that contain them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "lexicon.hpp"
#include "prefix_trie.hpp"

namespace edgespeech {

// A word with the output frames of its first and its last label; empty if there is none.
struct Span {
    std::string word;
    std::int32_t first = 0;
    std::int32_t last = 0;
    std::int32_t labels = 0;  // number of them
    double log_prob = 0.0;    // natural log, summed over the labels, each in its own frame

    // The geometric mean of the labels' probabilities, to a power.
    double certainty(double power) const;
};

// The texts of the labels, whole and divided where words end.
class LabelTexts {
public:
    LabelTexts(const PackedTexts& texts, const PackedTexts& pieces, const std::int32_t* piece_counts);

    const std::string& text(std::int32_t label) const { return texts_[label]; }
    const std::vector<std::string>& pieces(std::int32_t label) const { return pieces_[label]; }

    // Append a label to an incomplete word, and the words that its spaces end to `ended`.
    void append(Span* word, std::int32_t label, std::int32_t frame, double log_prob, std::vector<Span>* ended) const;

private:
    std::vector<std::string> texts_;
    std::vector<std::vector<std::string>> pieces_;
};

// Total probability of the hypotheses that contain the same word in overlapping frames.
class Agreement {
public:
    void add(std::string_view word, std::int32_t first, std::int32_t last, double mass);

    // The total, in [0, 1]. Nothing can be added after the first question.
    double mass(const Span& span);

    // Add the words of all beams, visiting each record once; `begin` is the committed part of an incomplete word.
    void add_beams(
        const Branches& branches, const std::vector<double>& posteriors, const LabelTexts& labels, const Span& begin
    );

private:
    struct Entry {
        std::uint64_t word;  // hash
        std::int32_t first, last;
        double mass;
    };

    std::vector<Entry> entries_;
    bool sorted_ = false;
};

}  // namespace edgespeech
