// A table of the prefix states reached so far, with the look-ahead score of each label in each state.
//
// It is shared by all streams of a decoder and may be used by several threads. When it is full, a new one is begun and
// prefixes move to it, so that it cannot grow without limit.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "word_scorer.hpp"

namespace edgespeech {

struct StateRow;

// The effect of a label, and the row of the state after it; null at the end of the utterance.
struct CachedEnding {
    Ending effect;
    StateRow* row;
};

// A prefix state with what is known of its labels; lives as long as its table.
struct StateRow {
    StateRow(PrefixState state, std::vector<double> lookahead, std::size_t endings);
    ~StateRow();
    StateRow(const StateRow&) = delete;
    StateRow& operator=(const StateRow&) = delete;

    const PrefixState state;
    const std::vector<double> lookahead;  // [labels], score that a prefix has after each label
    const double best_lookahead;
    std::vector<std::atomic<StateRow*>> next;  // [labels], after each label that ends no word; null if not yet known
    std::vector<std::atomic<CachedEnding*>> endings;  // of the labels that may end words, and of the utterance
};

class PrefixStates {
public:
    // The table is full at `max_bytes`, or with 256 states if that is more.
    PrefixStates(const WordScorer& scorer, std::size_t max_bytes);

    // Whether a new table should be begun.
    bool full() const { return bytes_.load(std::memory_order_relaxed) >= max_bytes_; }
    std::size_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

    StateRow* row(const PrefixState& state);
    StateRow* follow(StateRow* row, std::int32_t label);
    const CachedEnding& ending(StateRow* row, std::int32_t label);
    const Ending& last_word(StateRow* row);

private:
    struct Hash {
        std::size_t operator()(const PrefixState& state) const;
    };

    template <typename Compute>
    const CachedEnding& cached(std::atomic<CachedEnding*>& slot, Compute compute);

    const WordScorer& scorer_;
    std::size_t row_bytes_;
    std::size_t max_bytes_;
    std::vector<std::int32_t> ending_of_;  // index of each label among those that may end words
    std::size_t endings_ = 0;
    std::atomic<std::size_t> bytes_{0};
    std::mutex mutex_;
    std::unordered_map<PrefixState, std::unique_ptr<StateRow>, Hash> rows_;
};

}  // namespace edgespeech
