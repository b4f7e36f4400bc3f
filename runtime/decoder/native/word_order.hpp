// Sorts the words that a language model lists in another order.
#pragma once

#include <cstdint>
#include <string_view>

namespace edgespeech {

// Writes the distinct words of `stored`, in which a zero byte follows each, one after the other in the order of their
// bytes. `left_out` lists words to leave out in the same way.
//
// `ends` receives where each of them ends and `numbers` which of the stored words it is, the last of equal ones. Returns
// how many there are. All arrays have room for the words of `stored`, which has less than 2**32 bytes.
std::int64_t sort_words(
    std::string_view stored, std::string_view left_out, char* joined, std::uint32_t* ends, std::uint32_t* numbers
);

}  // namespace edgespeech
