// The label prefixes of a search as records that point to the prefix one label shorter, without scores.
//
// A prefix is identified by a 64-bit hash of its labels, so two records for the same labels (made at different times,
// or with different emission frames) are recognised as one prefix without a table of children.
#pragma once

#include <cstdint>
#include <vector>

namespace edgespeech {

struct Record {
    std::uint64_t hash;   // of all labels since the beginning of the utterance
    double log_prob;      // natural-log probability of the last label in its emission frame
    std::int32_t depth;   // number of labels
    std::int32_t label;   // the last of them
    std::int32_t frame;   // its emission frame
    std::int32_t parent;  // index of the record without it; -1: none, or committed
};

constexpr std::uint64_t kRootHash = 0x1E3779B97F4A7C15;

inline std::uint64_t extend_hash(std::uint64_t prefix, std::uint64_t key) {
    auto mixed = static_cast<std::int64_t>((prefix ^ key) * 0x56E8FEB86659FD93u);
    return static_cast<std::uint64_t>(mixed ^ (mixed >> 29));
}

using Trie = std::vector<Record>;

// Keep the ancestors of these columns that are deeper than `depth`; write the new index of each record, -1 for those removed.
void compact(Trie* trie, const std::vector<std::int32_t>& columns, std::int32_t depth, std::vector<std::int32_t>* moved);

// A trie and the records of the beams, which have no index.
class Branches {
public:
    // `base` is the number of committed labels.
    Branches(const Trie& trie, std::vector<Record> leaves, std::int32_t base);

    const Trie& trie() const { return trie_; }
    const std::vector<Record>& leaves() const { return leaves_; }
    std::int32_t base() const { return base_; }

    // The records from the first label that is not committed to that of a beam.
    std::vector<const Record*> path(std::size_t leaf) const;

    // The length of the longest prefix that all beams share, given the path of the first one.
    std::int32_t shared_depth(const std::vector<const Record*>& path) const;

    // The beams whose prefix begins with that of this record.
    std::vector<std::size_t> descendants(const Record& record) const;

private:
    const Record* parent(const Record& record) const { return record.parent < 0 ? nullptr : &trie_[record.parent]; }

    const Trie& trie_;
    std::vector<Record> leaves_;
    std::int32_t base_;
};

}  // namespace edgespeech
