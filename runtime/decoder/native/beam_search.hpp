// The search of one decoder: streams of log-probabilities to text. It has no state but caches and can be used by many
// threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "beam_state.hpp"
#include "prefix_beams.hpp"
#include "symbols.hpp"
#include "word_scorer.hpp"
#include "word_times.hpp"

namespace edgespeech {

struct SearchLayout {
    ScorerLayout scorer;
    FrameSearchLayout frames;
    PackedTexts label_texts;
    PackedTexts word_pieces;  // of all labels, divided where words end
    const std::int32_t* word_piece_counts;
    double symbol_mass;
    double confidence_power;
    std::int64_t max_symbols;
    std::int64_t max_tentative;  // -1 for no limit
    std::int64_t table_bytes;
    std::int32_t grammar;  // whether only the hot words and a mark for other speech can be recognised
    std::int32_t by_characters;  // whether words stand side by side, because each of them is a character
};

// Possible texts of an utterance, best first.
struct Result {
    struct Item {
        double score, acoustic_score, lm_score, hot_score;
    };
    std::vector<Item> items;
    std::vector<std::int64_t> label_ends;  // of each item; also below
    std::vector<std::int32_t> labels, frames;
    std::vector<std::int64_t> word_ends;
    std::vector<std::int32_t> word_firsts, word_lasts;  // frames
    std::vector<double> confidences;
    std::string words;  // one after the other, each followed by a zero byte
};

class Search {
public:
    Search(const SearchLayout& layout, KenlmTrie* lm);

    std::unique_ptr<BeamState> begin();

    // Return the next state; null if the rows are not log-probabilities. A threshold below that of the search drops more.
    std::unique_ptr<BeamState> step(const BeamState& state, const Rows& rows, double threshold);

    // At most `nbest` texts, with the scores of the last word and of the end of the sentence.
    std::unique_ptr<Result> finish(const BeamState& state, std::size_t nbest) const;

private:
    // Memory of one step at a time.
    struct Workspace {
        BeamState state;
        Frame frame;
        FrameScratch frames;
        std::vector<std::int32_t> numbers;
    };
    struct Scores;
    struct Choice {
        std::size_t beam;
        std::vector<Span> words;
    };

    std::shared_ptr<PrefixStates> current_states();
    void move_to_current_states(BeamState* state);
    std::unique_ptr<Workspace> borrow();
    void give_back(std::unique_ptr<Workspace> workspace);
    Scores score(const BeamState& state) const;
    std::vector<Span> apply_grammar(std::vector<Span> words) const;
    void write_grammar_text(BeamState* state) const;
    std::vector<Choice> read_words(
        const BeamState& state, const Branches& branches, const Scores& scores, std::size_t nbest, Agreement* agreement
    ) const;

    WordScorer scorer_;
    FrameSearch frames_;
    LabelTexts labels_;
    double beam_threshold_;
    double confidence_power_;
    std::int64_t max_tentative_;
    std::size_t table_bytes_;
    bool grammar_;
    std::string gap_;  // between two words of a text
    std::mutex mutex_;  // of the members below
    std::shared_ptr<PrefixStates> states_;
    std::vector<std::unique_ptr<Workspace>> workspaces_;
};

}  // namespace edgespeech
