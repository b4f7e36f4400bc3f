#include "beam_state.hpp"

#include <algorithm>
#include <cmath>

namespace edgespeech {
namespace {

constexpr std::int32_t kMinCommitLabels = 32;  // committing fewer would cost more than it saves

std::vector<double> totals(const Beams& beams) {
    std::vector<double> totals;
    totals.reserve(beams.items.size());
    for (const Beam& beam : beams.items) totals.push_back(beam.total());
    return totals;
}

// Commit the labels of these records, and drop the beams that have others.
void commit(BeamState* state, const Branches& branches, const std::vector<const Record*>& settled, const LabelTexts& labels) {
    auto committed = std::make_shared<Committed>(state->committed->with_room(settled.size()));
    Agreement agreement;
    agreement.add_beams(branches, posteriors(totals(state->beams)), labels, committed->begin);
    std::vector<Span> words;
    Span open = committed->begin;
    for (const Record* record : settled) {
        committed->labels.push_back(record->label);
        committed->frames.push_back(record->frame);
        committed->log_probs.push_back(record->log_prob);
        state->newly_committed += labels.text(record->label);
        labels.append(&open, record->label, record->frame, record->log_prob, &words);
    }
    committed->begin = std::move(open);
    for (const Span& word : words) committed->masses.push_back(agreement.mass(word));
    std::vector<std::size_t> survivors = branches.descendants(*settled.back());
    if (survivors.size() < state->beams.items.size()) state->beams.take(survivors);
    state->committed = std::move(committed);
}

template <typename Number>
std::vector<Number> copy_with_room(const std::vector<Number>& numbers, std::size_t more) {
    std::vector<Number> copy;
    copy.reserve(numbers.size() + more);
    copy.insert(copy.end(), numbers.begin(), numbers.end());
    return copy;
}

}  // namespace

Committed Committed::with_room(std::size_t more) const {
    return {copy_with_room(labels, more), copy_with_room(frames, more), copy_with_room(log_probs, more),
            copy_with_room(masses, more), begin};
}

Branches BeamState::branches() const {
    std::vector<Record> leaves;
    leaves.reserve(beams.items.size());
    for (const Beam& beam : beams.items)
        leaves.push_back({beam.hash, beam.log_prob, beam.depth, beam.label, beam.frame, beam.parent});
    return Branches(trie, std::move(leaves), committed->size());
}

std::vector<Span> BeamState::spans(const Branches& branches, std::size_t beam, const LabelTexts& labels) const {
    std::vector<Span> spans;
    Span open;
    for (std::size_t at = 0; at < committed->labels.size(); ++at)
        labels.append(&open, committed->labels[at], committed->frames[at], committed->log_probs[at], &spans);
    for (const Record* record : branches.path(beam))
        labels.append(&open, record->label, record->frame, record->log_prob, &spans);
    if (!open.word.empty()) spans.push_back(std::move(open));
    return spans;
}

std::vector<double> posteriors(const std::vector<double>& totals) {
    double best = *std::max_element(totals.begin(), totals.end()), sum = 0.0;
    std::vector<double> weights;
    weights.reserve(totals.size());
    for (double total : totals) weights.push_back(std::exp(total - best));
    for (double weight : weights) sum += weight;
    for (double& weight : weights) weight /= sum;
    return weights;
}

void drop_unused(BeamState* state, std::vector<std::int32_t>* scratch) {
    std::vector<std::int32_t> used;
    used.reserve(2 * state->beams.items.size());
    for (const Beam& beam : state->beams.items) {
        used.push_back(beam.parent);
        used.push_back(beam.record);
    }
    compact(&state->trie, used, state->committed->size(), scratch);
    auto moved = [&](std::int32_t column) { return column < 0 ? -1 : (*scratch)[column]; };
    for (Beam& beam : state->beams.items) {
        beam.parent = moved(beam.parent);
        beam.record = moved(beam.record);
    }
    state->beams.drop_unused_histories(scratch);
}

void commit_shared(BeamState* state, const LabelTexts& labels, std::int64_t max_tentative) {
    Branches branches = state->branches();
    std::vector<const Record*> path = branches.path(state->beams.best());
    auto length = static_cast<std::int32_t>(path.size());
    std::int32_t shared = branches.shared_depth(path) - branches.base();
    if (max_tentative >= 0 && length - shared > max_tentative) shared = length - static_cast<std::int32_t>(max_tentative / 2);
    if (shared < kMinCommitLabels) return;
    path.resize(shared);
    commit(state, branches, path, labels);
}

void write_tentative(BeamState* state, const LabelTexts& labels) {
    Branches branches = state->branches();
    std::vector<const Record*> path = branches.path(state->beams.best());
    std::int32_t shared = branches.shared_depth(path) - branches.base();
    state->tentative.clear();
    state->shared_bytes = 0;
    for (std::int32_t at = 0; at < static_cast<std::int32_t>(path.size()); ++at) {
        state->tentative += labels.text(path[at]->label);
        if (at + 1 == shared) state->shared_bytes = state->tentative.size();
    }
}

}  // namespace edgespeech
