#include "prefix_trie.hpp"

#include <algorithm>

namespace edgespeech {

void compact(Trie* trie, const std::vector<std::int32_t>& columns, std::int32_t depth, std::vector<std::int32_t>* moved) {
    moved->assign(trie->size(), -1);
    for (std::int32_t column : columns)
        while (column >= 0 && (*moved)[column] < 0 && (*trie)[column].depth > depth) {
            (*moved)[column] = 0;
            column = (*trie)[column].parent;
        }
    std::int32_t kept = 0;
    for (std::size_t column = 0; column < trie->size(); ++column) {
        if ((*moved)[column] < 0) continue;
        Record record = (*trie)[column];
        record.parent = record.parent < 0 ? -1 : (*moved)[record.parent];
        (*moved)[column] = kept;
        (*trie)[kept++] = record;
    }
    trie->resize(kept);
}

Branches::Branches(const Trie& trie, std::vector<Record> leaves, std::int32_t base)
    : trie_(trie), leaves_(std::move(leaves)), base_(base) {}

std::vector<const Record*> Branches::path(std::size_t leaf) const {
    std::vector<const Record*> records;
    for (const Record* at = &leaves_[leaf]; at && at->depth > base_; at = parent(*at)) records.push_back(at);
    std::reverse(records.begin(), records.end());
    return records;
}

std::int32_t Branches::shared_depth(const std::vector<const Record*>& path) const {
    auto deepest = static_cast<std::int32_t>(path.size());
    std::int32_t shared = deepest;
    std::vector<bool> seen(trie_.size(), false);
    for (const Record& leaf : leaves_) {
        const Record* at = &leaf;
        while (true) {
            std::int32_t length = at->depth - base_;
            if (length <= 0) return base_;
            if (length <= deepest && path[length - 1]->hash == at->hash) {
                shared = std::min(shared, length);
                break;
            }
            if (at->parent < 0) return base_;
            if (seen[at->parent]) break;
            seen[at->parent] = true;
            at = &trie_[at->parent];
        }
    }
    return base_ + shared;
}

std::vector<std::size_t> Branches::descendants(const Record& record) const {
    enum : signed char { kUnknown, kNo, kYes };
    std::vector<signed char> verdicts(trie_.size(), kUnknown);
    std::vector<std::int32_t> walked;
    std::vector<std::size_t> found;
    for (std::size_t leaf = 0; leaf < leaves_.size(); ++leaf) {
        walked.clear();
        const Record* at = &leaves_[leaf];
        signed char verdict = kUnknown;
        while (verdict == kUnknown) {
            if (at->depth <= record.depth) {
                verdict = at->hash == record.hash ? kYes : kNo;
            } else if (at->parent < 0) {
                verdict = kNo;
            } else {
                walked.push_back(at->parent);
                verdict = verdicts[at->parent];
                at = &trie_[at->parent];
            }
        }
        for (std::int32_t column : walked) verdicts[column] = verdict;
        if (verdict == kYes) found.push_back(leaf);
    }
    return found;
}

}  // namespace edgespeech
