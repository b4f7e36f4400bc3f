// The end of an utterance: hypotheses with scores, words, times and confidences; and what a grammar makes of words.
#include <algorithm>
#include <numeric>
#include <set>
#include <utility>

#include "beam_search.hpp"

namespace edgespeech {
namespace {

constexpr const char* kUnknownSpeech = "<unknown>";

}  // namespace

// Replace each run of words outside the phrases by one mark; a single letter counts as noise and is dropped.
std::vector<Span> Search::apply_grammar(std::vector<Span> words) const {
    std::vector<std::string> texts;
    for (const Span& word : words) texts.push_back(word.word);
    auto phrases = scorer_.hot_words().find(texts);
    phrases.emplace_back(words.size(), words.size());
    std::vector<Span> applied;
    std::size_t end = 0;
    for (auto [first, last] : phrases) {
        std::size_t letters = 0;
        for (std::size_t at = end; at < first; ++at) letters += count_characters(texts[at]);
        if (letters > 1) applied.push_back({kUnknownSpeech, words[end].first, words[first - 1].last});
        for (std::size_t at = first; at < last; ++at) applied.push_back(words[at]);
        end = last;
    }
    return applied;
}

void Search::write_grammar_text(BeamState* state) const {
    state->tentative.clear();
    state->shared_bytes = 0;
    for (const Span& span : apply_grammar(state->spans(state->branches(), state->beams.best(), labels_))) {
        if (!state->tentative.empty()) state->tentative += gap_;
        state->tentative += span.word;
    }
}

struct Search::Scores {
    std::vector<Result::Item> items;  // of each beam
    std::vector<double> totals;
    std::vector<std::size_t> ranking;
};

Search::Scores Search::score(const BeamState& state) const {
    Scores scores;
    for (const Beam& beam : state.beams.items) {
        const History& history = state.beams.histories[beam.history];
        History end = scorer_.end_words(history, state.states->last_word(beam.state));
        double lm_score = end.lm_score + scorer_.end_of_sentence(end), hot_score = end.hot_score;
        if (grammar_) hot_score += beam.complete - scorer_.history_score(history);
        double score = beam.acoustic + scorer_.alpha() * lm_score + scorer_.beta() * end.words + hot_score;
        scores.items.push_back({score, beam.acoustic, lm_score, hot_score});
        scores.totals.push_back(score);
    }
    scores.ranking.resize(scores.items.size());
    std::iota(scores.ranking.begin(), scores.ranking.end(), std::size_t{0});
    std::stable_sort(scores.ranking.begin(), scores.ranking.end(), [&](std::size_t left, std::size_t right) {
        return scores.totals[left] > scores.totals[right];
    });
    return scores;
}

// The words of the best beams, best first; with a grammar, of the best beam of each text.
std::vector<Search::Choice> Search::read_words(
    const BeamState& state, const Branches& branches, const Scores& scores, std::size_t nbest, Agreement* agreement
) const {
    std::vector<double> masses = posteriors(scores.totals);
    std::vector<Choice> chosen;
    if (!grammar_) {
        agreement->add_beams(branches, masses, labels_, state.committed->begin);
        for (std::size_t rank = 0; rank < std::min(nbest, scores.ranking.size()); ++rank)
            chosen.push_back({scores.ranking[rank], state.spans(branches, scores.ranking[rank], labels_)});
        return chosen;
    }
    std::set<std::vector<std::string>> texts;
    for (std::size_t beam : scores.ranking) {
        std::vector<Span> words = apply_grammar(state.spans(branches, beam, labels_));
        std::vector<std::string> text;
        for (const Span& word : words) {
            agreement->add(word.word, word.first, word.last, masses[beam]);
            text.push_back(word.word);
        }
        if (texts.insert(std::move(text)).second && chosen.size() < nbest) chosen.push_back({beam, std::move(words)});
    }
    return chosen;
}

std::unique_ptr<Result> Search::finish(const BeamState& state, std::size_t nbest) const {
    Scores scores = score(state);
    Branches branches = state.branches();
    Agreement agreement;
    auto result = std::make_unique<Result>();
    const Committed& committed = *state.committed;
    std::size_t settled = grammar_ ? 0 : committed.masses.size();
    for (const Choice& choice : read_words(state, branches, scores, nbest, &agreement)) {
        result->items.push_back(scores.items[choice.beam]);
        result->labels.insert(result->labels.end(), committed.labels.begin(), committed.labels.end());
        result->frames.insert(result->frames.end(), committed.frames.begin(), committed.frames.end());
        for (const Record* record : branches.path(choice.beam)) {
            result->labels.push_back(record->label);
            result->frames.push_back(record->frame);
        }
        result->label_ends.push_back(static_cast<std::int64_t>(result->labels.size()));
        for (std::size_t at = 0; at < choice.words.size(); ++at) {
            const Span& word = choice.words[at];
            double mass = at < settled ? committed.masses[at] : agreement.mass(word);
            result->words.append(word.word).push_back('\0');
            result->word_firsts.push_back(word.first);
            result->word_lasts.push_back(word.last);
            result->confidences.push_back(word.certainty(confidence_power_) * mass);
        }
        result->word_ends.push_back(static_cast<std::int64_t>(result->word_firsts.size()));
    }
    return result;
}

}  // namespace edgespeech
