// The lowest score that survives a frame, by the width of the beam and the distance from the best.
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>
#include <vector>

namespace edgespeech {

// Rises with the scores that are added; what is below it can be forgotten at once.
class Floor {
public:
    void begin(std::size_t width, double threshold) {
        width_ = width;
        threshold_ = threshold;
        value_ = std::numeric_limits<double>::lowest();  // an impossible prefix never survives
        best_ = -std::numeric_limits<double>::infinity();
        ranked_.clear();
    }

    double value() const { return value_; }

    void add(double score) {
        if (!(score >= value_)) return;
        best_ = std::max(best_, score);
        ranked_.push_back(score);
        if (ranked_.size() >= kRoom * width_) raise();
    }

    // Take all scores into account; otherwise that happens from time to time.
    void raise() {
        value_ = std::max(value_, best_ - threshold_);
        if (ranked_.size() < width_) return;
        auto last = ranked_.begin() + static_cast<std::ptrdiff_t>(width_ - 1);
        std::nth_element(ranked_.begin(), last, ranked_.end(), [](double left, double right) { return left > right; });
        value_ = std::max(value_, *last);
        ranked_.resize(width_);
    }

private:
    static constexpr std::size_t kRoom = 3;  // scores kept, in widths of the beam

    std::size_t width_ = 0;
    double threshold_ = 0.0, value_ = 0.0, best_ = 0.0;
    std::vector<double> ranked_;
};

}  // namespace edgespeech
