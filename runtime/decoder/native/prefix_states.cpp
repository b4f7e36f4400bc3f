#include "prefix_states.hpp"

#include <algorithm>
#include <functional>

namespace edgespeech {
namespace {

constexpr std::size_t kBytesPerState = 400;  // without the arrays
constexpr std::size_t kBytesPerEnding = 200;
constexpr std::size_t kMinStates = 256;

std::size_t bytes_of(const PrefixState& state) { return state.text.size() + sizeof(HotState::value_type) * state.hot.size(); }

}  // namespace

StateRow::StateRow(PrefixState state, std::vector<double> lookahead, std::size_t endings)
    : state(std::move(state)),
      lookahead(std::move(lookahead)),
      best_lookahead(*std::max_element(this->lookahead.begin(), this->lookahead.end())),
      next(this->lookahead.size()),
      endings(endings) {
    for (auto& slot : next) slot.store(nullptr, std::memory_order_relaxed);
    for (auto& slot : this->endings) slot.store(nullptr, std::memory_order_relaxed);
}

StateRow::~StateRow() {
    for (auto& slot : endings) delete slot.load(std::memory_order_relaxed);
}

std::size_t PrefixStates::Hash::operator()(const PrefixState& state) const {
    std::size_t hashed = std::hash<std::string>()(state.text) ^ static_cast<std::size_t>(state.known);
    for (auto [node, overlap] : state.hot)
        hashed = (hashed ^ static_cast<std::size_t>(node) ^ std::hash<double>()(overlap)) * 1099511628211u;
    return hashed;
}

PrefixStates::PrefixStates(const WordScorer& scorer, std::size_t max_bytes) : scorer_(scorer) {
    for (std::size_t label = 0; label < scorer.labels(); ++label) {
        ending_of_.push_back(static_cast<std::int32_t>(endings_));
        if (scorer.ends_words(static_cast<std::int32_t>(label))) ++endings_;
    }
    row_bytes_ = kBytesPerState + (sizeof(double) + sizeof(void*)) * scorer.labels() + sizeof(void*) * (endings_ + 1);
    max_bytes_ = std::max(max_bytes, kMinStates * row_bytes_);
}

StateRow* PrefixStates::row(const PrefixState& state) {
    std::lock_guard<std::mutex> lock(mutex_);
    auto found = rows_.find(state);
    if (found != rows_.end()) return found->second.get();
    auto row = std::make_unique<StateRow>(state, scorer_.lookahead_row(state), endings_ + 1);
    bytes_ += row_bytes_ + 2 * bytes_of(state);
    return rows_.emplace(state, std::move(row)).first->second.get();
}

StateRow* PrefixStates::follow(StateRow* from, std::int32_t label) {
    auto& slot = from->next[label];
    StateRow* found = slot.load(std::memory_order_acquire);
    if (!found) {
        found = row(scorer_.follow(from->state, label));
        slot.store(found, std::memory_order_release);
    }
    return found;
}

template <typename Compute>
const CachedEnding& PrefixStates::cached(std::atomic<CachedEnding*>& slot, Compute compute) {
    CachedEnding* found = slot.load(std::memory_order_acquire);
    if (found) return *found;
    auto made = std::make_unique<CachedEnding>(compute());
    std::size_t bytes = kBytesPerEnding + bytes_of(made->effect.state);
    if (!slot.compare_exchange_strong(found, made.get(), std::memory_order_acq_rel)) return *found;  // another thread
    bytes_ += bytes;
    return *made.release();
}

const CachedEnding& PrefixStates::ending(StateRow* from, std::int32_t label) {
    return cached(from->endings[ending_of_[label]], [&] {
        Ending effect = scorer_.ending(from->state, label);
        StateRow* after = row(effect.state);
        return CachedEnding{std::move(effect), after};
    });
}

const Ending& PrefixStates::last_word(StateRow* row) {
    return cached(row->endings.back(), [&] { return CachedEnding{scorer_.last_word(row->state), nullptr}; }).effect;
}

}  // namespace edgespeech
