// The functions that library.py calls through ctypes. No exception leaves them: null or -1 stands for "out of memory".
#include <cstdint>
#include <memory>

#include "beam_search.hpp"
#include "kenlm_trie.hpp"
#include "word_order.hpp"

#if defined(_WIN32)
#define EDGESPEECH_API extern "C" __declspec(dllexport)
#else
#define EDGESPEECH_API extern "C" __attribute__((visibility("default")))
#endif

namespace edgespeech {
namespace {

void* (*pointer_of)(void* capsule, const char* name) = nullptr;  // PyCapsule_GetPointer of the Python that runs

template <typename Make>
auto guarded(Make make) noexcept -> decltype(make().release()) {
    try {
        return make().release();
    } catch (...) {
        return nullptr;
    }
}

struct StepResult {
    BeamState* state;
    const char* newly_committed;  // UTF-8; it and the next one belong to the state
    const char* tentative;
    std::int64_t newly_committed_bytes;
    std::int64_t tentative_bytes;
    std::int64_t shared_bytes;
    std::int64_t frame;
    std::int64_t committed_labels;
};

struct ResultView {
    Result* result;  // owns everything below
    const Result::Item* items;
    const std::int64_t* label_ends;
    const std::int32_t* labels;
    const std::int32_t* frames;
    const std::int64_t* word_ends;
    const std::int32_t* word_firsts;
    const std::int32_t* word_lasts;
    const double* confidences;
    const char* words;
    std::int64_t count;
    std::int64_t words_bytes;
};

// Texts, each with a zero byte behind it.
struct StoredTexts {
    const char* bytes;
    std::int64_t size;

    std::string_view view() const { return {bytes, static_cast<std::size_t>(size)}; }
};

struct StateSizes {
    std::int64_t beams, records, histories, committed_labels, table_bytes, bytes;
};

// The destructor of a capsule.
template <typename Owned>
void remove(void* capsule) {
    delete static_cast<Owned*>(pointer_of(capsule, nullptr));
}

StepResult view(BeamState* state) {
    return {state,
            state->newly_committed.data(),
            state->tentative.data(),
            static_cast<std::int64_t>(state->newly_committed.size()),
            static_cast<std::int64_t>(state->tentative.size()),
            static_cast<std::int64_t>(state->shared_bytes),
            state->frame,
            state->committed->size()};
}

}  // namespace
}  // namespace edgespeech

using namespace edgespeech;

// Changes with every change of the functions or layouts below; library.py wants the same number.
EDGESPEECH_API std::int32_t edgespeech_version() { return 6; }

// Comes before the first capsule.
EDGESPEECH_API void edgespeech_use_capsules(void* (*reader)(void*, const char*)) { pointer_of = reader; }

// Return the number of words, or -1.
EDGESPEECH_API std::int64_t edgespeech_sort_words(
    const StoredTexts* stored, const StoredTexts* left_out, char* joined, std::uint32_t* ends, std::uint32_t* numbers
) {
    try {
        return sort_words(stored->view(), left_out->view(), joined, ends, numbers);
    } catch (...) {
        return -1;
    }
}

EDGESPEECH_API KenlmTrie* edgespeech_open_lm(const LmLayout* layout) {
    return guarded([&] { return std::make_unique<KenlmTrie>(*layout); });
}

EDGESPEECH_API void edgespeech_close_lm(void* capsule) { remove<KenlmTrie>(capsule); }

EDGESPEECH_API Search* edgespeech_open_search(const SearchLayout* layout, KenlmTrie* lm) {
    return guarded([&] { return std::make_unique<Search>(*layout, lm); });
}

EDGESPEECH_API void edgespeech_close_search(void* capsule) { remove<Search>(capsule); }

EDGESPEECH_API BeamState* edgespeech_begin(Search* search) {
    return guarded([&] { return search->begin(); });
}

EDGESPEECH_API void edgespeech_free_state(void* capsule) { remove<BeamState>(capsule); }

// Return 0, 1 if the rows are not log-probabilities, or -1.
EDGESPEECH_API std::int32_t edgespeech_step(
    Search* search, const BeamState* state, const Rows* rows, double threshold, StepResult* result
) {
    try {
        std::unique_ptr<BeamState> after = search->step(*state, *rows, threshold);
        if (!after) return 1;
        *result = view(after.release());
        return 0;
    } catch (...) {
        return -1;
    }
}

EDGESPEECH_API std::int32_t edgespeech_finish(
    const Search* search, const BeamState* state, std::int64_t nbest, ResultView* to
) {
    try {
        std::unique_ptr<Result> made = search->finish(*state, static_cast<std::size_t>(nbest));
        Result* result = made.release();
        *to = {result,
               result->items.data(),
               result->label_ends.data(),
               result->labels.data(),
               result->frames.data(),
               result->word_ends.data(),
               result->word_firsts.data(),
               result->word_lasts.data(),
               result->confidences.data(),
               result->words.data(),
               static_cast<std::int64_t>(result->items.size()),
               static_cast<std::int64_t>(result->words.size())};
        return 0;
    } catch (...) {
        return -1;
    }
}

EDGESPEECH_API void edgespeech_free_result(Result* result) { delete result; }

EDGESPEECH_API void edgespeech_sizes(const BeamState* state, StateSizes* sizes) {
    const Committed& committed = *state->committed;
    std::size_t bytes = sizeof(BeamState) + sizeof(Beam) * state->beams.items.capacity() +
                        sizeof(History) * state->beams.histories.capacity() + sizeof(Record) * state->trie.capacity() +
                        (sizeof(std::int32_t) * 2 + sizeof(double)) * committed.labels.capacity() +
                        sizeof(double) * committed.masses.capacity();
    *sizes = {static_cast<std::int64_t>(state->beams.items.size()),
              static_cast<std::int64_t>(state->trie.size()),
              static_cast<std::int64_t>(state->beams.histories.size()),
              committed.size(),
              static_cast<std::int64_t>(state->states->bytes()),
              static_cast<std::int64_t>(bytes)};
}
