// Expected phrases and their scores; runtime/decoder/hot_words.py builds the tree of tokens that is searched here.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "lexicon.hpp"

namespace edgespeech {

// Phrases that may continue: the node that each has reached, and minus the boosts that overlap with its beginning.
using HotState = std::vector<std::pair<std::int32_t, double>>;

struct HotWordsLayout {
    PackedTexts tokens;
    const double* boosts;  // of each node
    std::int64_t nodes;
    PackedTexts child_tokens;
    const std::int32_t* child_edges;  // pairs: parent, child
    PackedTexts partial_texts;
    const std::int32_t* partial_nodes;
    const double* partial_boosts;
};

class HotWords {
public:
    explicit HotWords(const HotWordsLayout& layout);

    bool empty() const { return tokens_.empty(); }
    bool contains(std::string_view token) const { return tokens_.count(std::string(token)) > 0; }

    // Match one complete word, null if it is in no phrase; return its gain and write the state after it.
    double step(const std::string* token, HotState* state) const;

    // The part of a boost that an incomplete word, after this state, has already.
    double lookahead_score(const std::string& partial, const HotState& state) const;

    // The first word and the one after the last of each phrase, chosen for the largest sum of boosts.
    std::vector<std::pair<std::size_t, std::size_t>> find(const std::vector<std::string>& words) const;

private:
    struct Node {
        double boost = 0.0;
        std::unordered_map<std::string, std::int32_t> children;
        std::unordered_map<std::string, double> partial_boosts;
    };

    std::int32_t child(std::int32_t node, const std::string& token) const;
    double partial_boost(std::int32_t node, const std::string& partial) const;

    std::unordered_set<std::string> tokens_;
    std::vector<Node> nodes_;
};

}  // namespace edgespeech
