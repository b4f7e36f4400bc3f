// The part of a frame that finds which prefixes, one label longer than those before, can survive.
#include <algorithm>
#include <cmath>

#include "prefix_beams.hpp"

namespace edgespeech {
namespace {

constexpr std::size_t kFewPerBeam = 4;  // extensions that are all looked at

// More than the rounding errors of a sum of this size.
inline double rounding(double sum) { return 1e-9 * (1.0 + std::fabs(sum)); }

}  // namespace

// Write for each prefix the score that no extension of it exceeds, except for the log-probability of the label, and return
// a log-probability below which no label extends any prefix to the floor.
double FrameSearch::write_bounds(const Beams& beams, FrameScratch* scratch) const {
    double best = kMinusInfinity, floor = scratch->floor.value();
    scratch->bounds.clear();
    for (std::size_t row = 0; row < beams.items.size(); ++row) {
        const Beam& beam = beams.items[row];
        double score = beam.acoustic + (beam.state->best_lookahead + beam.complete);
        scratch->bounds.push_back({score, static_cast<std::int32_t>(row)});
        best = std::max(best, score);
    }
    return floor - best - rounding(floor);
}

// Mark the extensions that are beams already, which stay() has merged.
void FrameSearch::mark_merged(const Frame& frame, const Beams& beams, FrameScratch* scratch) const {
    const auto& symbols = frame.symbols;
    std::size_t width = symbols.size();
    auto& column_of = scratch->column_of;
    column_of.resize(label_keys_.size(), -1);
    for (std::size_t column = 0; column < width; ++column) column_of[symbols[column].label] = static_cast<std::int32_t>(column);
    scratch->merged.assign(beams.items.size() * width, 0);
    for (const Beam& beam : beams.items) {
        std::int32_t column = column_of[beam.label];
        if (beam.parent_row >= 0 && column >= 0) scratch->merged[beam.parent_row * width + column] = 1;
    }
    for (const Symbol& symbol : symbols) column_of[symbol.label] = -1;
}

// Find the extensions that reach the floor, which rises on the way, in the order of prefixes and labels.
void FrameSearch::extend(Frame* frame, PrefixStates* states, Beams* beams, FrameScratch* scratch) const {
    auto& symbols = frame->symbols;
    auto& bounds = scratch->bounds;
    auto& extensions = scratch->extensions;
    Floor& floor = scratch->floor;
    double lowest = floor.value() - rounding(floor.value());
    auto hopeless = [&](const auto& bound) { return bound.score + symbols[0].log_prob < lowest; };
    bounds.erase(std::remove_if(bounds.begin(), bounds.end(), hopeless), bounds.end());
    bool many = bounds.size() * symbols.size() > kFewPerBeam * beam_width_;
    if (many) {
        tighten_bounds(*frame, *beams, scratch);
        std::sort(bounds.begin(), bounds.end(), [](auto left, auto right) { return left.score > right.score; });
        mark_merged(*frame, *beams, scratch);
        visit_likely(*frame, states, beams, scratch);
    } else {
        std::sort(symbols.begin(), symbols.end(), [](auto left, auto right) { return left.label < right.label; });
        mark_merged(*frame, *beams, scratch);
        for (const auto& bound : bounds)
            for (std::size_t column = 0; column < symbols.size(); ++column) visit(*frame, bound.row, column, states, *beams, scratch);
    }
    floor.raise();
    end_words(states, beams, scratch);
    floor.raise();
    auto below = [&](const auto& extension) { return extension.total < floor.value(); };
    extensions.erase(std::remove_if(extensions.begin(), extensions.end(), below), extensions.end());
    if (many)
        std::sort(extensions.begin(), extensions.end(), [](const auto& left, const auto& right) {
            return left.row != right.row ? left.row < right.row : left.label < right.label;
        });
}

// Look at the labels of the frame only; many prefixes have the same state.
void FrameSearch::tighten_bounds(const Frame& frame, const Beams& beams, FrameScratch* scratch) const {
    const StateRow* state = nullptr;
    double best = kMinusInfinity;
    for (auto& bound : scratch->bounds) {
        const Beam& beam = beams.items[bound.row];
        if (beam.state != state) {
            state = beam.state;
            best = kMinusInfinity;
            for (const Symbol& symbol : frame.symbols) best = std::max(best, state->lookahead[symbol.label]);
        }
        bound.score = beam.acoustic + (best + beam.complete);
    }
}

// Visit extensions from the likeliest labels and prefixes on, so that the floor rises early and most are never looked at.
void FrameSearch::visit_likely(const Frame& frame, PrefixStates* states, Beams* beams, FrameScratch* scratch) const {
    for (std::size_t column = 0; column < frame.symbols.size(); ++column) {
        for (const auto& bound : scratch->bounds) {
            double floor = scratch->floor.value();
            if (bound.score + frame.symbols[column].log_prob < floor - rounding(floor)) break;
            visit(frame, bound.row, column, states, *beams, scratch);
            if (scratch->pending >= beam_width_) end_words(states, beams, scratch);
        }
    }
}

// Add the extension of a prefix by a symbol, if it is not one of the beams and reaches the floor.
void FrameSearch::visit(
    const Frame& frame, std::int32_t row, std::size_t column, PrefixStates* states, const Beams& beams, FrameScratch* scratch
) const {
    if (scratch->merged[row * frame.symbols.size() + column]) return;
    const Beam& beam = beams.items[row];
    auto [log_prob, label] = frame.symbols[column];
    double acoustic = (label == beam.label ? beam.blank : beam.acoustic) + log_prob;
    double bonus = beam.state->lookahead[label] + beam.complete;
    if (!label_scores_.empty()) bonus += label_scores_[label];
    double total = acoustic + bonus;
    if (!(total >= scratch->floor.value())) return;
    bool pending = is_bounded_[label] != 0;
    if (pending && scorer_.has_noted_bigrams()) {  // the score is at hand, and raises the floor
        pending = false;
        double gain = scorer_.gain(beams.histories[beam.history], states->ending(beam.state, label).effect);
        bonus = beam.complete + gain;
        if (!label_scores_.empty()) bonus += label_scores_[label];
        total = acoustic + bonus;
        if (!(total >= scratch->floor.value())) return;
    }
    scratch->extensions.push_back({acoustic, bonus, total, row, label, pending, false});
    if (pending)
        ++scratch->pending;
    else
        scratch->floor.add(total);
}

// Replace the upper bounds of extensions that end words by exact scores, where the bound can survive.
void FrameSearch::end_words(PrefixStates* states, Beams* beams, FrameScratch* scratch) const {
    if (!scratch->pending) return;
    scratch->pending = 0;
    Floor& floor = scratch->floor;
    for (auto& extension : scratch->extensions) {
        if (!extension.pending) continue;
        extension.pending = false;
        if (extension.total < floor.value()) continue;
        Beam& beam = beams->items[extension.row];
        if (beam.gain_label != extension.label) {
            beam.gain = scorer_.gain(beams->histories[beam.history], states->ending(beam.state, extension.label).effect);
            beam.gain_label = extension.label;
        }
        extension.bonus = beam.complete + beam.gain;
        if (!label_scores_.empty()) extension.bonus += label_scores_[extension.label];
        extension.total = extension.acoustic + extension.bonus;
        floor.add(extension.total);
    }
    auto below = [&](const auto& extension) { return !(extension.total >= floor.value()); };
    auto& extensions = scratch->extensions;
    extensions.erase(std::remove_if(extensions.begin(), extensions.end(), below), extensions.end());
}

}  // namespace edgespeech
