// One frame of CTC prefix beam search, the algorithm of runtime/decoder/numpy_search/prefix_beams.py one prefix at a time.
//
// A prefix of the next frame either stays (blank, or its last label continues) or is an extension of a shorter one. Only
// a prefix that stays can equal an extension, and that is then an extension of its parent. Merging is therefore exact if
// each beam knows the row of its parent, also of a parent that was dropped and has returned.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "floor.hpp"
#include "prefix_states.hpp"
#include "prefix_trie.hpp"
#include "symbols.hpp"
#include "word_scorer.hpp"

namespace edgespeech {

constexpr double kMinusInfinity = -std::numeric_limits<double>::infinity();

// A surviving prefix. Scores are natural logarithms.
struct Beam {
    double blank;     // alignments that end in blank
    double nonblank;  // those that end in the last label
    double acoustic;  // their sum
    double peak;      // maximum of `nonblank` so far; its frame is the label's emission frame
    double complete;  // score of the complete words
    double bonus;     // that score with the look-ahead of the incomplete word
    std::uint64_t hash;
    std::uint64_t parent_hash;
    double log_prob;  // of the last label in its emission frame
    double gain;      // that `gain_label` adds as the end of a word, look-ahead included
    StateRow* state;
    std::int32_t gain_label;  // -1: no gain is known
    std::int32_t depth;
    std::int32_t label;
    std::int32_t frame;
    std::int32_t parent;      // record of the prefix one label shorter
    std::int32_t record;      // of this prefix as it is; -1: not in the trie
    std::int32_t parent_row;  // beam of the prefix one label shorter; -1: not among the beams
    std::int32_t history;
    bool doubled;  // whether the last two labels are the same

    double total() const { return acoustic + bonus; }
};

struct Beams {
    std::vector<Beam> items;
    std::vector<History> histories;  // complete words; a few may belong to no beam any more

    std::size_t best() const;
    void take(const std::vector<std::size_t>& rows);
    void drop_unused_histories(std::vector<std::int32_t>* scratch);
};

struct FrameSearchLayout {
    std::int32_t blank;
    std::int64_t beam_width;
    double beam_threshold;
    const double* label_scores;        // [labels], added for each label of a prefix, none above 0; null adds nothing
    const std::uint64_t* label_keys;  // [labels], random numbers of the hashes
};

// Memory that frames use again and again.
struct FrameScratch {
    struct Stay {
        double blank, nonblank, acoustic, total, log_prob;
        bool rising, renewed;
    };
    struct Extension {
        double acoustic, bonus, total;
        std::int32_t row, label;
        bool pending;  // the total is an upper bound: the language model has still to score the words that the label ends
        bool taken;
    };
    struct Bound {
        double score;  // that no extension of the prefix exceeds, except for the log-probability of the label
        std::int32_t row;
    };
    double threshold = 0.0;  // prefixes that score this much below the best are dropped
    Floor floor;
    std::vector<Stay> stays;
    std::vector<Extension> extensions;
    std::size_t pending = 0;  // number of them
    std::vector<Bound> bounds;
    std::vector<unsigned char> merged;  // [beams, symbols], extensions that are beams already
    std::vector<std::int32_t> column_of;
    std::vector<std::int32_t> new_rows;
    std::vector<std::int32_t> hash_table;
    std::vector<Beam> next;
};

class FrameSearch {
public:
    FrameSearch(const FrameSearchLayout& layout, const SymbolChoice& symbols, const WordScorer& scorer);

    // The empty prefix alone.
    Beams begin(PrefixStates* states) const;

    // Advance the beams by the frame of one row, and add the records of the prefixes that are extended to the trie.
    void advance(
        const Rows& rows, std::int64_t row, Frame* frame, PrefixStates* states, Beams* beams, Trie* trie, FrameScratch* scratch
    ) const;

private:
    void stay(const Frame& frame, const Beams& beams, FrameScratch* scratch) const;
    double write_bounds(const Beams& beams, FrameScratch* scratch) const;
    void mark_merged(const Frame& frame, const Beams& beams, FrameScratch* scratch) const;
    void extend(Frame* frame, PrefixStates* states, Beams* beams, FrameScratch* scratch) const;
    void tighten_bounds(const Frame& frame, const Beams& beams, FrameScratch* scratch) const;
    void visit_likely(const Frame& frame, PrefixStates* states, Beams* beams, FrameScratch* scratch) const;
    void visit(
        const Frame& frame, std::int32_t row, std::size_t column, PrefixStates* states, const Beams& beams,
        FrameScratch* scratch
    ) const;
    void end_words(PrefixStates* states, Beams* beams, FrameScratch* scratch) const;
    void choose(double floor, FrameScratch* scratch) const;
    void keep(const Frame& frame, std::size_t row, Beams* beams, Trie* trie, FrameScratch* scratch) const;
    void lengthen(const Frame& frame, PrefixStates* states, Beams* beams, Trie* trie, FrameScratch* scratch) const;
    void find_parents(std::size_t kept, FrameScratch* scratch) const;

    std::int32_t blank_;
    std::size_t beam_width_;
    std::vector<double> label_scores_;
    std::vector<std::uint64_t> label_keys_;
    std::vector<unsigned char> is_bounded_;  // [labels], whether the look-ahead score after a label is an upper bound
    SymbolChoice symbols_;
    const WordScorer& scorer_;
};

}  // namespace edgespeech
