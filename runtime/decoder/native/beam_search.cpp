#include "beam_search.hpp"

#include <algorithm>
#include <utility>

namespace edgespeech {
namespace {

constexpr std::int64_t kTidyEveryFrames = 64;

}  // namespace

Search::Search(const SearchLayout& layout, KenlmTrie* lm)
    : scorer_(layout.scorer, lm),
      frames_(layout.frames, {layout.frames.blank, layout.symbol_mass, layout.max_symbols}, scorer_),
      labels_(layout.label_texts, layout.word_pieces, layout.word_piece_counts),
      beam_threshold_(layout.frames.beam_threshold),
      confidence_power_(layout.confidence_power),
      max_tentative_(layout.max_tentative),
      table_bytes_(static_cast<std::size_t>(layout.table_bytes)),
      grammar_(layout.grammar != 0),
      gap_(layout.by_characters ? "" : " "),
      states_(std::make_shared<PrefixStates>(scorer_, table_bytes_)) {}

std::shared_ptr<PrefixStates> Search::current_states() {
    std::lock_guard<std::mutex> lock(mutex_);
    if (states_->full()) states_ = std::make_shared<PrefixStates>(scorer_, table_bytes_);
    return states_;
}

void Search::move_to_current_states(BeamState* state) {
    std::shared_ptr<PrefixStates> current = current_states();
    if (state->states == current) return;
    for (Beam& beam : state->beams.items) beam.state = current->row(beam.state->state);
    state->states = std::move(current);
}

std::unique_ptr<Search::Workspace> Search::borrow() {
    std::lock_guard<std::mutex> lock(mutex_);
    if (workspaces_.empty()) return std::make_unique<Workspace>();
    std::unique_ptr<Workspace> workspace = std::move(workspaces_.back());
    workspaces_.pop_back();
    return workspace;
}

void Search::give_back(std::unique_ptr<Workspace> workspace) {
    workspace->state.states.reset();
    workspace->state.committed.reset();
    std::lock_guard<std::mutex> lock(mutex_);
    workspaces_.push_back(std::move(workspace));
}

std::unique_ptr<BeamState> Search::begin() {
    auto state = std::make_unique<BeamState>();
    state->states = current_states();
    state->beams = frames_.begin(state->states.get());
    state->committed = std::make_shared<Committed>();
    return state;
}

std::unique_ptr<BeamState> Search::step(const BeamState& before, const Rows& rows, double threshold) {
    if (!are_log_probs(rows)) return nullptr;
    std::unique_ptr<Workspace> workspace = borrow();
    Frame& frame = workspace->frame;
    BeamState& state = workspace->state;
    workspace->frames.threshold = std::min(threshold, beam_threshold_);
    state = before;
    state.newly_committed.clear();
    move_to_current_states(&state);
    for (std::int64_t row = 0; row < rows.frames; ++row) {
        frame.number = static_cast<std::int32_t>(state.frame);
        frames_.advance(rows, row, &frame, state.states.get(), &state.beams, &state.trie, &workspace->frames);
        if (++state.frame % kTidyEveryFrames == 0) {
            drop_unused(&state, &workspace->numbers);
            commit_shared(&state, labels_, max_tentative_);
            move_to_current_states(&state);
        }
    }
    drop_unused(&state, &workspace->numbers);
    if (grammar_)
        write_grammar_text(&state);
    else
        write_tentative(&state, labels_);
    auto after = std::make_unique<BeamState>(state);
    give_back(std::move(workspace));
    return after;
}

}  // namespace edgespeech
