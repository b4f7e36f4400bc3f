// The state of a search between two frames: its text so far, and the commitment of labels that keeps it small.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "prefix_beams.hpp"
#include "prefix_states.hpp"
#include "prefix_trie.hpp"
#include "word_times.hpp"

namespace edgespeech {

// What no later frame can change.
struct Committed {
    std::vector<std::int32_t> labels;
    std::vector<std::int32_t> frames;  // emission frame of each label, and below its natural-log probability there
    std::vector<double> log_probs;
    std::vector<double> masses;  // for each complete word, the probability of the beams that agreed on it
    Span begin;                  // committed part of an incomplete word

    std::int32_t size() const { return static_cast<std::int32_t>(labels.size()); }

    // A copy that takes so many labels more without growing to twice its size.
    Committed with_room(std::size_t more) const;
};

// A search between two frames. Those that callers hold are never changed.
struct BeamState {
    std::int64_t frame = 0;  // number of frames processed
    Beams beams;
    Trie trie;  // the labels of the beams that are not committed
    std::shared_ptr<PrefixStates> states;
    std::shared_ptr<const Committed> committed;
    std::string newly_committed;  // text that the last step committed
    std::string tentative;        // text of the best prefix after the committed labels
    std::size_t shared_bytes = 0;  // beginning of it that all prefixes share

    Branches branches() const;

    // Split all labels of a beam into words.
    std::vector<Span> spans(const Branches& branches, std::size_t beam, const LabelTexts& labels) const;
};

// Normalise natural-log scores to probabilities that sum to 1.
std::vector<double> posteriors(const std::vector<double>& totals);

// Drop records and histories that no beam needs.
void drop_unused(BeamState* state, std::vector<std::int32_t>* scratch);

// Commit the labels that all prefixes share once there are enough of them, after drop_unused().
//
// Once the best prefix has more than `max_tentative` labels after the shared ones (-1: any number), the older half is
// decided in its favour.
void commit_shared(BeamState* state, const LabelTexts& labels, std::int64_t max_tentative);

// Write the text of the best prefix.
void write_tentative(BeamState* state, const LabelTexts& labels);

}  // namespace edgespeech
