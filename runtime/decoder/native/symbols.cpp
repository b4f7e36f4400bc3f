#include "symbols.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace edgespeech {
namespace {

constexpr double kPositiveTolerance = 1e-3;
constexpr double kMassTolerance = 1e-9;  // a sum of rounded numbers that is the mass reaches it
constexpr std::size_t kBlocksPerSymbol = 3;

template <typename Number>
bool is_possible(const Number* row, std::int32_t labels) {
    std::int32_t possible = 0, below = 0;  // no comparison with NaN is true
    for (std::int32_t label = 0; label < labels; ++label) {
        possible += row[label] > -std::numeric_limits<Number>::infinity();
        below += row[label] <= static_cast<Number>(kPositiveTolerance);
    }
    return possible > 0 && below == labels;
}

// Labels are in the same block if their numbers differ by a multiple of the number of blocks, so that the maxima of all
// blocks are found side by side.
template <typename Number>
void write_maxima(const Number* row, std::size_t labels, std::vector<double>* maxima) {
    std::size_t blocks = maxima->size();
    std::copy(row, row + blocks, maxima->begin());
    for (std::size_t first = blocks; first < labels; first += blocks) {
        double* to = maxima->data();
        std::size_t count = std::min(blocks, labels - first);
        for (std::size_t block = 0; block < count; ++block) {
            double number = row[first + block];
            to[block] = number > to[block] ? number : to[block];
        }
    }
}

bool is_less_likely(const Symbol& left, const Symbol& right) {
    return left.log_prob != right.log_prob ? left.log_prob < right.log_prob : left.label > right.label;
}

}  // namespace

bool are_log_probs(const Rows& rows) {
    for (std::int64_t frame = 0; frame < rows.frames; ++frame)
        if (!rows.with(frame, [&](auto row) { return is_possible(row, rows.labels); })) return false;
    return true;
}

double SymbolChoice::wanted_mass(double mass) {
    return mass < 1.0 ? mass * (1.0 - kMassTolerance) : std::numeric_limits<double>::infinity();
}

std::size_t SymbolChoice::limit(std::size_t labels) const {
    return std::min(static_cast<std::size_t>(max_symbols_), labels);
}

bool SymbolChoice::begin(const Rows& rows, std::int64_t index, Frame* frame) const {
    auto labels = static_cast<std::size_t>(rows.labels);
    frame->maxima.resize(std::min(labels, kBlocksPerSymbol * limit(labels)));
    rows.with(index, [&](auto row) {
        frame->log_probs = Row(row);
        write_maxima(row, labels, &frame->maxima);
    });
    double blank = frame->log_probs[blank_];
    if (std::exp(blank) < mass_ || *std::max_element(frame->maxima.begin(), frame->maxima.end()) > blank) return false;
    for (std::int32_t label = 0; label < blank_; ++label)
        if (frame->log_probs[label] == blank) return false;
    return true;
}

// Write the labels that may be chosen, in no order: the likeliest one, and unless that has the mass, those that are not
// below `lowest` and are in blocks with a maximum among the `max_symbols_` largest.
template <typename Number>
void SymbolChoice::write_candidates(const Number* row, std::size_t labels, double lowest, Frame* frame) const {
    const std::vector<double>& maxima = frame->maxima;
    std::vector<double>& ranked = frame->ranked_maxima;
    double likeliest = *std::max_element(maxima.begin(), maxima.end());
    lowest = std::exp(likeliest) < mass_ ? std::min(lowest, likeliest) : likeliest;
    ranked.clear();
    for (double maximum : maxima)
        if (maximum >= lowest) ranked.push_back(maximum);
    if (ranked.size() > limit(labels)) {
        auto last = ranked.end() - static_cast<std::ptrdiff_t>(limit(labels));
        std::nth_element(ranked.begin(), last, ranked.end());
        lowest = *last;
    }
    auto& candidates = frame->candidates;
    candidates.clear();
    for (std::size_t block = 0; block < maxima.size(); ++block) {
        if (maxima[block] < lowest) continue;
        for (std::size_t label = block; label < labels; label += maxima.size())
            if (static_cast<double>(row[label]) >= lowest)
                candidates.push_back({static_cast<double>(row[label]), static_cast<std::int32_t>(label)});
    }
}

bool SymbolChoice::choose(const Rows& rows, std::int64_t index, double lowest, Frame* frame) const {
    auto labels = static_cast<std::size_t>(rows.labels);
    rows.with(index, [&](auto row) { write_candidates(row, labels, lowest, frame); });
    auto& heap = frame->candidates;
    std::make_heap(heap.begin(), heap.end(), is_less_likely);
    frame->symbols.clear();
    double reached = 0.0;
    bool more = true;  // whether labels may follow in the order of their probabilities
    for (std::int64_t count = 0; more && !heap.empty(); ++count) {
        std::pop_heap(heap.begin(), heap.end(), is_less_likely);
        Symbol symbol = heap.back();
        heap.pop_back();
        more = count < max_symbols_ && symbol.log_prob > -std::numeric_limits<double>::infinity() && reached < mass_;
        if (more && symbol.label != blank_) frame->symbols.push_back(symbol);
        if (mass_ < 1.0) reached += std::exp(symbol.log_prob);
    }
    if (!frame->symbols.empty() || !more) return frame->symbols.empty();
    for (std::int32_t label = 0; label < rows.labels; ++label)
        if (label != blank_ && frame->log_probs[label] > -std::numeric_limits<double>::infinity()) return false;
    return true;
}

}  // namespace edgespeech
