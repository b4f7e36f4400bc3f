#include "word_times.hpp"

#include <algorithm>
#include <cmath>

namespace edgespeech {
namespace {

constexpr std::uint64_t kNoText = 14695981039346656037u;

// FNV-1a, which can be continued.
std::uint64_t extend_text_hash(std::uint64_t hashed, std::string_view text) {
    for (char byte : text) hashed = (hashed ^ static_cast<unsigned char>(byte)) * 1099511628211u;
    return hashed;
}

// An incomplete word of a record.
struct OpenWord {
    std::uint64_t hash = kNoText;
    std::int32_t first = 0;
    std::int32_t last = 0;
    bool empty = true;
};

}  // namespace

double Span::certainty(double power) const { return labels ? std::exp(power * log_prob / labels) : 1.0; }

LabelTexts::LabelTexts(const PackedTexts& texts, const PackedTexts& pieces, const std::int32_t* piece_counts) {
    std::int64_t next = 0;
    for (std::int64_t label = 0; label < texts.count; ++label) {
        texts_.emplace_back(texts[label]);
        pieces_.emplace_back();
        for (std::int32_t count = piece_counts[label]; count; --count) pieces_.back().emplace_back(pieces[next++]);
    }
}

void LabelTexts::append(
    Span* word, std::int32_t label, std::int32_t frame, double log_prob, std::vector<Span>* ended
) const {
    const auto& pieces = pieces_[label];
    if (!pieces[0].empty()) {
        if (word->word.empty()) word->first = frame;
        word->word += pieces[0];
        word->last = frame;
        ++word->labels;
        word->log_prob += log_prob;
    }
    for (std::size_t piece = 1; piece < pieces.size(); ++piece) {
        if (!word->word.empty()) ended->push_back(std::move(*word));
        *word = pieces[piece].empty() ? Span() : Span{pieces[piece], frame, frame, 1, log_prob};
    }
}

void Agreement::add(std::string_view word, std::int32_t first, std::int32_t last, double mass) {
    entries_.push_back({extend_text_hash(kNoText, word), first, last, mass});
}

double Agreement::mass(const Span& span) {
    auto before = [](const Entry& left, const Entry& right) { return left.word < right.word; };
    if (!sorted_) std::stable_sort(entries_.begin(), entries_.end(), before);
    sorted_ = true;
    Entry wanted{extend_text_hash(kNoText, span.word), 0, 0, 0.0};
    auto [begin, end] = std::equal_range(entries_.begin(), entries_.end(), wanted, before);
    double total = 0.0;
    for (auto entry = begin; entry != end; ++entry)
        if (entry->first <= span.last && span.first <= entry->last) total += entry->mass;
    return std::min(1.0, total);
}

void Agreement::add_beams(
    const Branches& branches, const std::vector<double>& posteriors, const LabelTexts& labels, const Span& begin
) {
    const Trie& trie = branches.trie();
    const auto& leaves = branches.leaves();
    std::vector<double> masses(trie.size(), 0.0);
    for (std::size_t leaf = leaves.size(); leaf--;)
        if (leaves[leaf].parent >= 0) masses[leaves[leaf].parent] += posteriors[leaf];
    for (std::size_t column = trie.size(); column--;)
        if (trie[column].parent >= 0) masses[trie[column].parent] += masses[column];
    OpenWord start;
    if (!begin.word.empty()) start = {extend_text_hash(kNoText, begin.word), begin.first, begin.last, false};
    std::vector<OpenWord> words(trie.size(), start);
    auto word_after = [&](const Record& record, double mass) {
        OpenWord word = record.parent >= 0 ? words[record.parent] : start;
        const auto& pieces = labels.pieces(record.label);
        if (!pieces[0].empty()) {
            word = {extend_text_hash(word.hash, pieces[0]), word.empty ? record.frame : word.first, record.frame, false};
        }
        for (std::size_t piece = 1; piece < pieces.size(); ++piece) {
            if (!word.empty) entries_.push_back({word.hash, word.first, word.last, mass});
            word = OpenWord();
            if (!pieces[piece].empty())
                word = {extend_text_hash(kNoText, pieces[piece]), record.frame, record.frame, false};
        }
        return word;
    };
    for (std::size_t column = 0; column < trie.size(); ++column)
        if (masses[column] != 0.0 && trie[column].depth > branches.base())
            words[column] = word_after(trie[column], masses[column]);
    for (std::size_t leaf = 0; leaf < leaves.size(); ++leaf) {
        bool counts = posteriors[leaf] != 0.0 && leaves[leaf].depth > branches.base();
        OpenWord word = counts ? word_after(leaves[leaf], posteriors[leaf]) : start;
        if (!word.empty) entries_.push_back({word.hash, word.first, word.last, posteriors[leaf]});
    }
}

}  // namespace edgespeech
