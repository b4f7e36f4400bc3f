// Word-level scores as labels arrive, as in runtime/decoder/word_scorer.py: alpha log p_lm + beta |words| + hot words.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "hot_words.hpp"
#include "kenlm_trie.hpp"
#include "lexicon.hpp"

namespace edgespeech {

// The part of a prefix that decides how it can continue within a word.
struct PrefixState {
    HotState hot;
    std::string text;     // letters since the last space
    bool known = true;    // false if no known word begins with them; the text is then empty

    bool operator==(const PrefixState& other) const {
        return known == other.known && text == other.text && hot == other.hot;
    }
};

struct ScoredWord {
    std::uint32_t index;  // in the language model, 0 if it is unknown there
    bool penalised;       // whether it gets the out-of-vocabulary penalty
};

// Effect of a label that may end words, in one prefix state.
struct Ending {
    std::vector<ScoredWord> words;
    double hot_score = 0.0;  // boosts of the hot words among them
    PrefixState state;       // after the label
    double gain = 0.0;       // added score without the language model's score of the words
    double max_gain = 0.0;   // upper bound of the added score for any history
};

// The complete words of a prefix.
struct History {
    LmState lm;
    std::int32_t words = 0;
    double lm_score = 0.0;  // natural log, including out-of-vocabulary penalties
    double hot_score = 0.0;
};

struct ScorerLayout {
    PackedTexts pieces;  // the texts of all labels, split at the ends of words
    const std::int32_t* piece_counts;
    PackedTexts lexicon;
    const double* unigrams;  // natural log, one for each word of the lexicon, or null
    HotWordsLayout hot_words;
    double alpha;
    double beta;
    double unknown_score;
    double unknown_lift;
    double penalty;
    double unknown_lookahead;
    double start_lookahead;
    std::int32_t labels;
    std::int32_t has_lexicon;
};

class WordScorer {
public:
    // The language model is null if there is none. It, the lexicon and the unigrams outlive the scorer.
    WordScorer(const ScorerLayout& layout, KenlmTrie* lm);

    std::size_t labels() const { return pieces_.size(); }
    bool ends_words(std::int32_t label) const { return pieces_[label].size() > 1; }
    bool has_lm() const { return lm_ != nullptr; }
    bool has_noted_bigrams() const { return has_noted_bigrams_; }
    const HotWords& hot_words() const { return hot_words_; }
    double alpha() const { return alpha_; }
    double beta() const { return beta_; }

    History begin() const;

    // The score that the complete words add.
    double history_score(const History& history) const {
        return alpha_ * history.lm_score + beta_ * history.words + history.hot_score;
    }

    // The score that a prefix in this state has in addition to that of its history.
    double lookahead_score(const PrefixState& state) const;

    // For each label the score that a prefix has after it: exact for labels that end no word, else an upper bound.
    std::vector<double> lookahead_row(const PrefixState& state) const;

    PrefixState follow(const PrefixState& state, std::int32_t label) const;
    Ending ending(const PrefixState& state, std::int32_t label) const;

    // The end of the last word, if there is one; the sentence goes on.
    Ending last_word(const PrefixState& state) const;

    double gain(const History& history, const Ending& ending) const;
    History end_words(const History& history, const Ending& ending) const;

    // Natural log p of the end of the sentence.
    double end_of_sentence(const History& history) const;

private:
    void grow(PrefixState* state, const std::string& piece) const;
    void end_word(const PrefixState& state, HotState* hot, Ending* ending) const;
    bool is_unknown(const PrefixState& word) const;
    double score_word(const LmState& state, ScoredWord word, LmState* after) const;
    double best_unigram(Lexicon::Slice slice) const;
    void fill_letters(const PrefixState& state, std::vector<double>* row) const;

    std::vector<std::vector<std::string>> pieces_;
    std::vector<std::int32_t> word_end_labels_;
    std::vector<std::int32_t> hot_labels_;  // those that contain a word of a phrase
    std::unordered_map<std::string, std::vector<std::int32_t>> labels_by_letter_;
    Lexicon lexicon_;
    bool has_lexicon_;
    const double* unigrams_;  // one for each word of the lexicon, or null
    std::vector<double> start_row_;  // look-ahead scores at the beginning, if no label leaves an incomplete word
    HotWords hot_words_;
    const KenlmTrie* lm_;
    bool has_noted_bigrams_;
    double alpha_, beta_, unknown_score_, unknown_lift_, penalty_, unknown_lookahead_, start_lookahead_;
};

}  // namespace edgespeech
