#include "hot_words.hpp"

#include <algorithm>

namespace edgespeech {

HotWords::HotWords(const HotWordsLayout& layout) : nodes_(static_cast<std::size_t>(layout.nodes)) {
    for (std::int64_t token = 0; token < layout.tokens.count; ++token) tokens_.emplace(layout.tokens[token]);
    for (std::size_t node = 0; node < nodes_.size(); ++node) nodes_[node].boost = layout.boosts[node];
    for (std::int64_t edge = 0; edge < layout.child_tokens.count; ++edge) {
        const std::int32_t* ends = layout.child_edges + 2 * edge;
        nodes_[ends[0]].children.emplace(layout.child_tokens[edge], ends[1]);
    }
    for (std::int64_t entry = 0; entry < layout.partial_texts.count; ++entry) {
        Node& node = nodes_[layout.partial_nodes[entry]];
        node.partial_boosts.emplace(layout.partial_texts[entry], layout.partial_boosts[entry]);
    }
}

std::int32_t HotWords::child(std::int32_t node, const std::string& token) const {
    auto found = nodes_[node].children.find(token);
    return found == nodes_[node].children.end() ? 0 : found->second;
}

double HotWords::partial_boost(std::int32_t node, const std::string& partial) const {
    auto found = nodes_[node].partial_boosts.find(partial);
    return found == nodes_[node].partial_boosts.end() ? 0.0 : found->second;
}

double HotWords::step(const std::string* token, HotState* state) const {
    if (!token || !tokens_.count(*token)) {
        state->clear();
        return 0.0;
    }
    HotState reached{{child(0, *token), 0.0}};
    for (auto [node, overlap] : *state) reached.emplace_back(child(node, *token), overlap);
    double gain = 0.0;
    for (auto [node, overlap] : reached)
        if (nodes_[node].boost != 0.0) gain = std::max(gain, nodes_[node].boost + overlap);
    state->clear();
    for (auto [node, overlap] : reached)
        if (node && !nodes_[node].children.empty()) state->emplace_back(node, overlap - gain);
    return gain;
}

double HotWords::lookahead_score(const std::string& partial, const HotState& state) const {
    if (empty()) return 0.0;
    double best = std::max(0.0, partial_boost(0, partial));
    for (auto [node, overlap] : state) best = std::max(best, partial_boost(node, partial) + overlap);
    return best;
}

std::vector<std::pair<std::size_t, std::size_t>> HotWords::find(const std::vector<std::string>& words) const {
    std::size_t count = words.size(), none = count + 1;
    std::vector<double> best(count + 1, 0.0);
    std::vector<std::size_t> choice(count + 1, none);  // first word of the phrase that ends here
    for (std::size_t first = 0; first < count; ++first) {
        if (best[first] > best[first + 1]) {
            best[first + 1] = best[first];
            choice[first + 1] = none;
        }
        std::int32_t node = 0;
        for (std::size_t last = first; last < count; ++last) {
            node = child(node, words[last]);
            if (!node) break;
            double score = best[first] + nodes_[node].boost;
            if (nodes_[node].boost != 0.0 && score > best[last + 1]) {
                best[last + 1] = score;
                choice[last + 1] = first;
            }
        }
    }
    std::vector<std::pair<std::size_t, std::size_t>> found;
    for (std::size_t end = count; end;) {
        std::size_t start = choice[end];
        if (start != none) found.emplace_back(start, end);
        end = start == none ? end - 1 : start;
    }
    std::reverse(found.begin(), found.end());
    return found;
}

}  // namespace edgespeech
