#include "prefix_beams.hpp"

#include <algorithm>
#include <cmath>

namespace edgespeech {
namespace {

constexpr double kLog2 = 0.693147180559945309417232121458176568;

// log(exp(x) + exp(y)), the same number as numpy.logaddexp.
inline double log_add(double x, double y) {
    if (x == y) return x + kLog2;
    double larger = std::max(x, y), difference = std::fabs(x - y);
    // Less than a quarter of the last bit of a number of this size: the sum is rounded to the larger one.
    if (difference > 45.0 && larger < -1e-3) return larger;
    return larger + std::log1p(std::exp(-difference));
}

// Index in the trie of a beam as it is, which is added if it is new.
std::int32_t record_of(Beam* beam, Trie* trie) {
    if (beam->record < 0) {
        beam->record = static_cast<std::int32_t>(trie->size());
        trie->push_back({beam->hash, beam->log_prob, beam->depth, beam->label, beam->frame, beam->parent});
    }
    return beam->record;
}

}  // namespace

std::size_t Beams::best() const {
    std::size_t best = 0;
    for (std::size_t row = 1; row < items.size(); ++row)
        if (items[row].total() > items[best].total()) best = row;
    return best;
}

void Beams::take(const std::vector<std::size_t>& rows) {
    std::vector<std::int32_t> new_rows(items.size(), -1);
    std::vector<Beam> taken;
    taken.reserve(rows.size());
    for (std::size_t row : rows) {
        new_rows[row] = static_cast<std::int32_t>(taken.size());
        taken.push_back(items[row]);
    }
    for (Beam& beam : taken)
        if (beam.parent_row >= 0) beam.parent_row = new_rows[beam.parent_row];
    items.swap(taken);
}

void Beams::drop_unused_histories(std::vector<std::int32_t>* scratch) {
    scratch->assign(histories.size(), -1);
    for (const Beam& beam : items) (*scratch)[beam.history] = 0;
    std::int32_t kept = 0;
    for (std::size_t old = 0; old < histories.size(); ++old)
        if ((*scratch)[old] == 0) {
            (*scratch)[old] = kept;
            histories[kept++] = histories[old];
        }
    histories.resize(kept);
    for (Beam& beam : items) beam.history = (*scratch)[beam.history];
}

FrameSearch::FrameSearch(const FrameSearchLayout& layout, const SymbolChoice& symbols, const WordScorer& scorer)
    : blank_(layout.blank),
      beam_width_(static_cast<std::size_t>(layout.beam_width)),
      label_keys_(layout.label_keys, layout.label_keys + scorer.labels()),
      is_bounded_(scorer.labels(), 0),
      symbols_(symbols),
      scorer_(scorer) {
    if (scorer.has_lm())
        for (std::size_t label = 0; label < scorer.labels(); ++label)
            is_bounded_[label] = scorer.ends_words(static_cast<std::int32_t>(label));
    if (layout.label_scores) label_scores_.assign(layout.label_scores, layout.label_scores + scorer.labels());
}

Beams FrameSearch::begin(PrefixStates* states) const {
    Beam empty{};
    empty.nonblank = empty.peak = kMinusInfinity;
    empty.hash = kRootHash;
    empty.state = states->row(PrefixState());
    empty.label = blank_;
    empty.frame = empty.parent = empty.record = empty.parent_row = empty.gain_label = -1;
    return {{empty}, {scorer_.begin()}};
}

void FrameSearch::advance(
    const Rows& rows, std::int64_t row, Frame* frame, PrefixStates* states, Beams* beams, Trie* trie, FrameScratch* scratch
) const {
    FrameScratch& now = *scratch;
    bool only_blank = symbols_.begin(rows, row, frame);
    stay(*frame, *beams, scratch);
    std::size_t count = beams->items.size();
    now.next.clear();
    now.new_rows.assign(count, -1);
    now.extensions.clear();
    now.pending = 0;
    if (!only_blank) {
        now.floor.begin(beam_width_, now.threshold);
        for (const auto& stay : now.stays) now.floor.add(stay.total);
        now.floor.raise();
        only_blank = symbols_.choose(rows, row, write_bounds(*beams, scratch), frame);
        if (!frame->symbols.empty()) extend(frame, states, beams, scratch);
    }
    double floor = only_blank ? kMinusInfinity : now.floor.value();  // all beams stay if there is only the blank
    choose(floor, scratch);
    for (const auto& extension : now.extensions)
        if (extension.taken) record_of(&beams->items[extension.row], trie);
    for (std::size_t row = 0; row < count; ++row)
        if (now.new_rows[row] >= 0 && now.stays[row].renewed) record_of(&beams->items[beams->items[row].parent_row], trie);
    for (std::size_t row = 0; row < count; ++row)
        if (now.new_rows[row] >= 0) keep(*frame, row, beams, trie, scratch);
    std::size_t kept = now.next.size();
    lengthen(*frame, states, beams, trie, scratch);
    for (Beam& beam : now.next)
        if (beam.parent_row >= 0) beam.parent_row = now.new_rows[beam.parent_row];
    if (now.next.size() > kept) find_parents(kept, scratch);
    beams->items.swap(now.next);
}

// Continue each prefix with blank or its last label, and merge the extension of its parent that equals it.
void FrameSearch::stay(const Frame& frame, const Beams& beams, FrameScratch* scratch) const {
    scratch->stays.resize(beams.items.size());
    auto to = scratch->stays.begin();
    double blank = frame.log_probs[blank_];
    for (const Beam& beam : beams.items) {
        double log_prob = frame.log_probs[beam.label], arriving = kMinusInfinity;
        if (beam.parent_row >= 0) {
            const Beam& parent = beams.items[beam.parent_row];
            arriving = (beam.doubled ? parent.blank : parent.acoustic) + log_prob;
        }
        double repeated = beam.nonblank + log_prob;
        to->log_prob = log_prob;
        to->blank = beam.acoustic + blank;
        to->nonblank = log_add(repeated, arriving);
        to->acoustic = log_add(to->blank, to->nonblank);
        to->total = to->acoustic + beam.bonus;
        to->rising = to->nonblank > beam.peak;
        to->renewed = to->rising && arriving > repeated;
        ++to;
    }
}

// Number the beams that stay, and mark the extensions that are taken; of several with the lowest score the first ones.
void FrameSearch::choose(double floor, FrameScratch* scratch) const {
    std::size_t above = 0, level = beam_width_;
    auto count = [&](double total) { above += total > floor; };
    for (const auto& stay : scratch->stays) count(stay.total);
    for (const auto& extension : scratch->extensions) count(extension.total);
    if (floor != kMinusInfinity) level -= std::min(level, above);
    auto survives = [&](double total) {
        if (total > floor) return true;
        if (total < floor || level == 0) return false;
        --level;
        return true;
    };
    std::int32_t row = 0;
    for (std::size_t at = 0; at < scratch->stays.size(); ++at)
        if (survives(scratch->stays[at].total)) scratch->new_rows[at] = row++;
    bool longer = false;
    for (auto& extension : scratch->extensions) longer |= extension.taken = survives(extension.total);
    if (row == 0 && !longer) scratch->new_rows[0] = 0;  // only a damaged language model makes all scores invalid
}

void FrameSearch::keep(const Frame& frame, std::size_t row, Beams* beams, Trie* trie, FrameScratch* scratch) const {
    const FrameScratch::Stay& stay = scratch->stays[row];
    Beam beam = beams->items[row];
    beam.blank = stay.blank;
    beam.nonblank = stay.nonblank;
    beam.acoustic = stay.acoustic;
    if (stay.rising) {
        beam.peak = stay.nonblank;
        beam.frame = frame.number;
        beam.log_prob = stay.log_prob;
        beam.record = -1;
        if (stay.renewed) beam.parent = record_of(&beams->items[beam.parent_row], trie);
    }
    scratch->next.push_back(beam);
}

// Add the extensions that are taken as new beams, whose parent rows are those of the frame before.
void FrameSearch::lengthen(
    const Frame& frame, PrefixStates* states, Beams* beams, Trie* trie, FrameScratch* scratch
) const {
    for (const auto& extension : scratch->extensions) {
        if (!extension.taken) continue;
        Beam& source = beams->items[extension.row];
        std::int32_t label = extension.label;
        Beam beam = source;
        beam.blank = kMinusInfinity;
        beam.nonblank = beam.acoustic = beam.peak = extension.acoustic;
        beam.bonus = extension.bonus;
        if (!label_scores_.empty()) beam.complete += label_scores_[label];
        beam.parent_hash = source.hash;
        beam.hash = extend_hash(source.hash, label_keys_[label]);
        beam.log_prob = frame.log_probs[label];
        beam.gain_label = -1;
        beam.depth = source.depth + 1;
        beam.doubled = source.label == label;
        beam.label = label;
        beam.frame = frame.number;
        beam.parent = record_of(&source, trie);
        beam.record = -1;
        beam.parent_row = extension.row;
        if (scorer_.ends_words(label)) {
            const History before = beams->histories[source.history];
            const CachedEnding& ending = states->ending(source.state, label);
            History after = scorer_.end_words(before, ending.effect);
            beam.complete += scorer_.history_score(after) - scorer_.history_score(before);
            beam.state = ending.row;
            beam.history = static_cast<std::int32_t>(beams->histories.size());
            beams->histories.push_back(after);
        } else {
            beam.state = states->follow(source.state, label);
        }
        scratch->next.push_back(beam);
    }
}

// Find the parents that had been dropped and have returned, among the new beams from `kept` on.
void FrameSearch::find_parents(std::size_t kept, FrameScratch* scratch) const {
    auto& beams = scratch->next;
    bool orphans = std::any_of(beams.begin(), beams.begin() + static_cast<std::ptrdiff_t>(kept),
                               [](const Beam& beam) { return beam.parent_row < 0; });
    if (!orphans) return;
    std::size_t size = 16;
    while (size < 4 * (beams.size() - kept)) size *= 2;
    auto& table = scratch->hash_table;
    table.assign(size, -1);
    for (std::size_t row = kept; row < beams.size(); ++row) {
        std::size_t slot = beams[row].hash & (size - 1);
        while (table[slot] >= 0) slot = (slot + 1) & (size - 1);
        table[slot] = static_cast<std::int32_t>(row);
    }
    for (std::size_t row = 0; row < kept; ++row) {
        if (beams[row].parent_row >= 0) continue;
        for (std::size_t slot = beams[row].parent_hash & (size - 1); table[slot] >= 0; slot = (slot + 1) & (size - 1))
            if (beams[table[slot]].hash == beams[row].parent_hash) {
                beams[row].parent_row = table[slot];
                break;
            }
    }
}

}  // namespace edgespeech
