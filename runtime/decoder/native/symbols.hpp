// Checks of log-probabilities, and the choice of the labels that may extend prefixes in a frame.
#pragma once

#include <cstdint>
#include <vector>

namespace edgespeech {

// Natural-log probabilities of the labels in one frame, float32 or float64; thousands of them are never converted.
class Row {
public:
    Row() = default;
    explicit Row(const float* values) : single_(values) {}
    explicit Row(const double* values) : double_(values) {}

    double operator[](std::int32_t label) const { return single_ ? static_cast<double>(single_[label]) : double_[label]; }

private:
    const float* single_ = nullptr;
    const double* double_ = nullptr;
};

// A label that may extend a prefix.
struct Symbol {
    double log_prob;
    std::int32_t label;
};

// One output frame of a CTC model.
struct Frame {
    Row log_probs;
    std::vector<Symbol> symbols;  // without the blank; chosen likeliest first
    std::int32_t number = 0;      // since the beginning of the utterance

    // Memory of the choice of symbols: the largest number of each block of labels, and those that may be chosen.
    std::vector<double> maxima, ranked_maxima;
    std::vector<Symbol> candidates;
};

// Log-probabilities [frames, labels] in one of two types.
struct Rows {
    const void* values;
    std::int64_t frames;
    std::int32_t labels;
    bool single;  // float32, else float64

    // Call with a pointer to the numbers of a frame.
    template <typename Use>
    auto with(std::int64_t frame, Use use) const {
        std::int64_t first = frame * labels;
        return single ? use(static_cast<const float*>(values) + first) : use(static_cast<const double*>(values) + first);
    }
};

// Whether every row can be log-probabilities: no NaN, none positive, and something possible.
bool are_log_probs(const Rows& rows);

class SymbolChoice {
public:
    SymbolChoice(std::int32_t blank, double mass, std::int64_t max_symbols)
        : blank_(blank), mass_(wanted_mass(mass)), max_symbols_(max_symbols) {}

    // Begin with a frame; return whether the blank alone has the mass.
    bool begin(const Rows& rows, std::int64_t index, Frame* frame) const;

    // Choose the fewest labels whose probabilities reach the mass, or all possible ones if it is 1. Of these, labels below
    // `lowest` are left out, because they cannot extend any prefix. Return whether the blank alone was chosen before that.
    bool choose(const Rows& rows, std::int64_t index, double lowest, Frame* frame) const;

private:
    static double wanted_mass(double mass);
    template <typename Number>
    void write_candidates(const Number* row, std::size_t labels, double lowest, Frame* frame) const;
    std::size_t limit(std::size_t labels) const;

    std::int32_t blank_;
    double mass_;  // infinite if all possible labels are wanted
    std::int64_t max_symbols_;
};

}  // namespace edgespeech
