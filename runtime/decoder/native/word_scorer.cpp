#include "word_scorer.hpp"

#include <algorithm>

namespace edgespeech {
namespace {

constexpr double kLn10 = 2.302585092994046;
constexpr std::size_t kManyWordEnds = 256;  // fewer labels than this follow each other in most of all ways

}  // namespace

WordScorer::WordScorer(const ScorerLayout& layout, KenlmTrie* lm)
    : pieces_(static_cast<std::size_t>(layout.labels)),
      lexicon_(layout.lexicon),
      has_lexicon_(layout.has_lexicon != 0),
      unigrams_(layout.unigrams),
      hot_words_(layout.hot_words),
      lm_(lm),
      alpha_(layout.alpha),
      beta_(layout.beta),
      unknown_score_(layout.unknown_score),
      unknown_lift_(layout.unknown_lift),
      penalty_(layout.penalty),
      unknown_lookahead_(layout.unknown_lookahead),
      start_lookahead_(layout.start_lookahead) {
    std::int64_t next = 0;
    for (std::int32_t label = 0; label < layout.labels; ++label) {
        auto& pieces = pieces_[label];
        for (std::int32_t count = layout.piece_counts[label]; count; --count) pieces.emplace_back(layout.pieces[next++]);
        if (pieces.size() > 1)
            word_end_labels_.push_back(label);
        else if (!pieces[0].empty())
            labels_by_letter_[pieces[0].substr(0, character_bytes(pieces[0][0]))].push_back(label);
        if (std::any_of(pieces.begin(), pieces.end(), [&](const auto& piece) { return hot_words_.contains(piece); }))
            hot_labels_.push_back(label);
    }
    has_noted_bigrams_ = lm && word_end_labels_.size() > kManyWordEnds;
    if (has_noted_bigrams_) lm->note_bigrams();
    auto is_whole = [](const auto& pieces) { return pieces.back().empty(); };
    if (has_lexicon_ && !hot_words_.empty() && std::all_of(pieces_.begin(), pieces_.end(), is_whole))
        start_row_ = lookahead_row(PrefixState());
}

History WordScorer::begin() const {
    History history;
    if (lm_) history.lm = lm_->begin_sentence();
    return history;
}

double WordScorer::best_unigram(Lexicon::Slice slice) const {
    return *std::max_element(unigrams_ + slice.first, unigrams_ + slice.last);
}

double WordScorer::lookahead_score(const PrefixState& state) const {
    if (!state.known) return unknown_lookahead_;
    double score = hot_words_.lookahead_score(state.text, state.hot);
    if (!unigrams_ || !has_lexicon_) return score;
    if (state.text.empty()) return score + start_lookahead_;
    return score + alpha_ * best_unigram(lexicon_.starting_with(state.text)) + beta_;
}

void WordScorer::grow(PrefixState* state, const std::string& piece) const {
    if (piece.empty() || !state->known) return;
    state->text += piece;
    if (has_lexicon_ && lexicon_.starting_with(state->text).empty()) {
        state->text.clear();
        state->known = false;
    }
}

PrefixState WordScorer::follow(const PrefixState& state, std::int32_t label) const {
    PrefixState after = state;
    grow(&after, pieces_[label][0]);
    if (!after.known) after.hot.clear();
    return after;
}

std::vector<double> WordScorer::lookahead_row(const PrefixState& state) const {
    if (!start_row_.empty()) {  // only hot words distinguish states, for the labels that spell them
        std::vector<double> row = start_row_;
        if (!state.hot.empty())
            for (std::int32_t label : hot_labels_) row[label] = ending(state, label).max_gain;
        return row;
    }
    std::vector<double> row(labels(), unknown_lookahead_);
    if (!has_lexicon_) {
        for (std::size_t label = 0; label < labels(); ++label)
            row[label] = lookahead_score(follow(state, static_cast<std::int32_t>(label)));
    } else if (state.known) {
        fill_letters(state, &row);
    }
    for (std::int32_t label : word_end_labels_) row[label] = ending(state, label).max_gain;
    return row;
}

// The labels that are, or begin with, a letter that continues a known word.
void WordScorer::fill_letters(const PrefixState& state, std::vector<double>* row) const {
    Lexicon::Slice slice = lexicon_.starting_with(state.text);
    std::size_t length = state.text.size();
    if (!slice.empty() && lexicon_[slice.first].size() == length) ++slice.first;
    while (!slice.empty()) {
        std::string_view word = lexicon_[slice.first];
        std::size_t bytes = character_bytes(word[length]);
        Lexicon::Slice same{slice.first, lexicon_.end_of(slice, word.substr(0, length + bytes))};
        slice.first = same.last;
        auto found = labels_by_letter_.find(std::string(word.substr(length, bytes)));
        if (found == labels_by_letter_.end()) continue;
        double score = !unigrams_ ? 0.0 : best_unigram(same) * alpha_ + beta_;
        for (std::int32_t label : found->second) {
            bool plain = hot_words_.empty() && pieces_[label][0].size() == bytes;
            (*row)[label] = plain ? score : lookahead_score(follow(state, label));
        }
    }
}

bool WordScorer::is_unknown(const PrefixState& word) const {
    return !word.known || (has_lexicon_ && !lexicon_.contains(word.text));
}

void WordScorer::end_word(const PrefixState& word, HotState* hot, Ending* ending) const {
    std::uint32_t index = lm_ && word.known ? lm_->index(word.text) : 0;
    bool penalised = index == 0 && !(word.known && hot_words_.contains(word.text));
    ending->words.push_back({index, penalised});
    ending->hot_score += hot_words_.step(word.known ? &word.text : nullptr, hot);
}

Ending WordScorer::ending(const PrefixState& state, std::int32_t label) const {
    Ending ending;
    PrefixState word = state;
    HotState hot = state.hot;
    const auto& pieces = pieces_[label];
    grow(&word, pieces[0]);
    int unknown = 0;
    for (std::size_t piece = 1; piece < pieces.size(); ++piece) {
        if (!word.known || !word.text.empty()) {
            unknown += is_unknown(word);
            end_word(word, &hot, &ending);
        }
        word = PrefixState();
        grow(&word, pieces[piece]);
    }
    ending.state = {std::move(hot), std::move(word.text), word.known};
    ending.gain = beta_ * static_cast<double>(ending.words.size()) + ending.hot_score + lookahead_score(ending.state);
    ending.max_gain = ending.gain + penalty_ * unknown;
    return ending;
}

Ending WordScorer::last_word(const PrefixState& state) const {
    Ending ending;
    HotState hot = state.hot;
    if (!state.known || !state.text.empty()) end_word(state, &hot, &ending);
    return ending;
}

double WordScorer::score_word(const LmState& state, ScoredWord word, LmState* after) const {
    double log_prob = static_cast<double>(lm_->score(state, word.index, after)) * kLn10;
    if (word.index == 0) log_prob += unknown_lift_;
    if (word.penalised) log_prob += unknown_score_;
    return log_prob;
}

double WordScorer::gain(const History& history, const Ending& ending) const {
    if (!lm_) return ending.gain;
    if (ending.words.size() == 1 && ending.words[0].index)
        return ending.gain + alpha_ * score_word(history.lm, ending.words[0], nullptr);
    return ending.gain + alpha_ * (end_words(history, ending).lm_score - history.lm_score);
}

History WordScorer::end_words(const History& history, const Ending& ending) const {
    History after = history;
    if (lm_)
        for (ScoredWord word : ending.words) after.lm_score += score_word(after.lm, word, &after.lm);
    after.words += static_cast<std::int32_t>(ending.words.size());
    after.hot_score += ending.hot_score;
    return after;
}

double WordScorer::end_of_sentence(const History& history) const {
    return lm_ ? static_cast<double>(lm_->score(history.lm, lm_->end_of_sentence(), nullptr)) * kLn10 : 0.0;
}

}  // namespace edgespeech
